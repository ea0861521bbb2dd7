"""Truncated, corrupted and malicious files of every kind: each gives data or one clear message, quickly."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netloom.data import DataError, add_file, datasets, prepare
from netloom.document import DataChoice
from tests.data import brought
from tests.data.brought import EXAMPLE_FILES, bars, excel, idx, npz, people, png
from tests.data.crafted import image_folders, make_csv, make_zip, valid_csv, zip_with_symlink

LONGEST_S = 20
BEGINS = [b"", b"\0\0\x08\x03", b"\x93NUMPY\x01\0", b"RIFF    WAVE", b"fLaC", b"PAR1"]


def _error_message(content: Any, home: Path, filename: str = "x", **options: Any) -> str:
    """The message for a rejected file; an empty string if it is accepted."""
    start = time.process_time()
    message = ""
    try:
        info = add_file(content, filename, home, **options)
        prepare(DataChoice(dataset=info.name), home)
    except DataError as error:
        message = str(error)
        assert message.endswith((".", "?")), message
        assert "\n" not in message
        assert "Traceback" not in message
        assert len(message) < 1_500
        if "info" not in locals():
            assert not [info for info in datasets(home) if not info.builtin and info.title == filename]
    assert time.process_time() - start < LONGEST_S
    return message


@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(data=st.data())
@pytest.mark.parametrize("filename", EXAMPLE_FILES)
def test_corrupted_file_raises_only_data_errors(
    filename: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    valid = EXAMPLE_FILES[filename][0]()
    home = tmp_path_factory.mktemp("home")
    _error_message(valid[: data.draw(st.integers(0, len(valid) - 1))], home)
    changed = bytearray(valid)
    for index in data.draw(st.lists(st.integers(0, len(valid) - 1), min_size=1, max_size=12)):
        changed[index] = data.draw(st.integers(0, 255))
    _error_message(bytes(changed), home)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"\0\0\x08\x03", b"\x93NUMPY\x01\0", b"RIFF    WAVE", b"fLaC", b"PAR1"]),
)
def test_arbitrary_bytes_raise_only_data_errors(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, begin: bytes
) -> None:
    home = tmp_path_factory.mktemp("home")
    assert _error_message(begin + content, home) or datasets(home)
    assert _error_message({"one": begin + content, "two": idx(bars(20)[1])}, home) or datasets(home)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4),
    st.sampled_from([8, 9, 11, 12, 13, 14, 10]),
    st.binary(max_size=64),
)
def test_forged_idx_headers_are_rejected(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], code: int, content: bytes
) -> None:
    header = struct.pack(f">BBBB{len(shape)}I", 0, 0, code, len(shape), *shape)
    labels = idx(bars(20)[1])
    assert _error_message({"images": header + content, "labels": labels}, tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("rows", [19, 21, 0])
def test_inputs_and_targets_of_different_lengths_are_rejected(home: Path, rows: int) -> None:
    message = _error_message({"images": idx(bars(20)[0]), "labels": idx(np.zeros(rows, np.uint8))}, home)
    assert "20 rows" in message


def _truncated_records() -> bytes:
    """JSON records, one per line, of which the 21st is truncated."""
    rows = brought.jsonl().split(b"\n")
    return b"\n".join([*rows[:20], rows[20][:9], *rows[21:]])


def _ratings(odd: str) -> bytes:
    return make_csv("user,film,rating", (f"{i % 7},{i % 5},{odd if i == 5 else i % 6}" for i in range(60)))


def _series(odd: str, when: str = "") -> bytes:
    days = [f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(60)]
    return make_csv(
        "time,value", (f"{when if when and i == 5 else day},{odd if i == 5 else i * 0.5}" for i, day in enumerate(days))
    )


@pytest.mark.parametrize(
    ("content", "expected_message"),
    [
        (pickle.dumps({"a": 1}), "pickle"),
        (npz(x=np.array([{"a": 1}] * 20, dtype=object), y=np.arange(20)), "Python objects"),
        (npz(x=np.zeros((20, 2), dtype=[("a", "f4"), ("b", "f4")]), y=np.arange(20) % 2), "records"),
        (npz(x=np.full((20, 3), np.nan), y=np.arange(20) % 2), "missing or infinite"),
        (npz(x=np.zeros((20, 3)), y=np.full(20, np.inf)), "missing or infinite"),
        (npz(x=np.zeros((20, 3))), "the only array"),
        (b"\x7fELF" + b"\0" * 400, "a program"),
        (b"MZ\x90\0" + b"\0" * 400, "a program"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 400, "an old Office document"),
        (b"SQLite format 3\0" + b"\0" * 400, "an SQLite database"),
        (b"Rar!\x1a\x07" + b"\0" * 50, "a RAR archive"),
        (b"ID3\x04" + b"\0" * 50, "an MP3 sound"),
        (png(np.zeros((8, 8), np.uint8)), "a single image"),
        (brought.tone(300, 0.1, 8_000), "a single sound"),
        (gzip.compress(make_zip(image_folders())), "an archive in an archive"),
        (gzip.compress(gzip.compress(valid_csv())), "an archive in an archive"),
        (gzip.compress(valid_csv())[:-9], "cut short"),
        (gzip.compress(b"a,b\n" * 5_000_000), "would unpack"),
        (make_zip({"a/x.zip": make_zip(image_folders()), "b/y.txt": b"x"}), "an archive or an Office document"),
        (make_zip({"a.xlsx": excel({"A": people()}), "b.png": png(np.zeros((8, 8), np.uint8))}), "refused"),
        (make_zip({"[Content_Types].xml": b"<a/>", "word/document.xml": b"<a/>"}), "a Word document"),
        (make_zip({"[Content_Types].xml": b"<a/>", "xl/workbook.xml": b"<a/>"}), "not a readable Excel file"),
        (zip_with_symlink({"a.csv": valid_csv()}, "b.csv", "/etc/passwd"), "link"),
        (make_zip({"../a.csv": valid_csv()}), "outside"),
        (b'{"a": [' * 20_000, "JSON"),
        (b'[{"a": 1}, 2, 3]', "not an object"),
        (b'{"a": 1, "b": "x"}', "not a table"),
        (_truncated_records(), "line 21 is not a complete record"),
        (brought.graph_arrays((60, 5, 4)), "graph 1 has 5 rows and 4 columns, but has to be square"),
        (brought.graph_arrays((60, 4, 4)), "features of 5 nodes and an adjacency of 4"),
        (brought.graph_arrays((5, 5)), "received 5 × 5; upload many graphs"),
        (brought.graph_arrays(labels=59), "Graphs need a target"),
        (brought.graph_records([[0, 1], [1]]), "adjacency of graph 3 is not a matrix"),
        (brought.graph_records([[0, None], [1, 0]]), "adjacency of graph 3 holds missing"),
        (json.dumps({"nodes": [{"id": 0}], "links": [{"source": 0, "target": 0}]}).encode(), "lists of nodes"),
        (json.dumps([{"edge_index": [[0], [1]], "x": [[1], [2]], "y": 0}] * 9).encode(), "lists of nodes and edges"),
        (_ratings("great"), "'rating' is not all numbers, as 'great' in row 6 is not a number like the others; fix"),
        (_series("much"), "'much' in row 6 is not a number like the others; fix"),
        (_series("1", "yesterday"), "'yesterday' in row 6 is not a date like the others; fix"),
        (brought.conll().replace(b"York\tI-place", b"York", 1), "has no tag after its word: 'York'"),
        (brought.conll().replace(b"York\tI-place", b"York\tNNP\tI-place", 1), "3 columns where the line before has 2"),
    ],
)
def test_rejected_file_is_explained(home: Path, content: bytes, expected_message: str) -> None:
    message = _error_message(content, home)
    assert expected_message in message
    assert not list((home / "data").glob("*"))


def test_series_error_names_the_non_numeric_cell(home: Path) -> None:
    message = _error_message(_series("much"), home, kind="series", options={"target": "value"})
    assert "'value' is not all numbers, as 'much' in row 6 is not a number like the others; fix" in message


def test_masks_match_images_of_the_same_folder(home: Path) -> None:
    dark, light = np.zeros((8, 8), np.uint8), np.full((8, 8), 200, np.uint8)
    light[:4] = 0
    pictures = {f"{part}/images/{i}.png": png(dark) for part in ("train", "test") for i in range(12)}
    masks = {f"train/masks/{i}.png": png(light) for i in range(12)}
    test_masks = {f"test/masks/{i}.png": png(light.T.copy()) for i in range(11)}
    info = add_file(make_zip({**pictures, **masks, **test_masks}), "x.zip", home)
    data = prepare(DataChoice(dataset=info.name), home)
    expected = [(light > 0), (light.T > 0)]
    for row in data.split["test"].tolist():
        assert (data.target[row].numpy() == expected[1]).all()
    assert (data.target[data.split["train"]].numpy() == expected[0]).all()
    assert any("'test/images/11.png'" in note for note in data.warnings)


def test_truncated_sounds_and_nul_characters_give_warnings(home: Path) -> None:
    sounds = {f"{'ab'[i % 2]}/{i}.wav": brought.tone(300 + i, 0.2, 8_000) for i in range(20)}
    half = brought.tone(500, 0.2, 8_000)
    cut = add_file(make_zip({**sounds, "a/cut.wav": half[: len(half) // 2]}), "x.zip", home)
    assert any("'a/cut.wav'" in note for note in prepare(DataChoice(dataset=cut.name), home).warnings)
    text = add_file(b"Some words of a text.\n" * 60 + b"\0\0" + b"And more of it.\n" * 60, "x.txt", home)
    assert "2 NUL characters, the first in line 61," in prepare(DataChoice(dataset=text.name), home).warnings[0]


def _sheet(rows: str, strings: str = "") -> bytes:
    """A spreadsheet whose only sheet is this XML."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(excel({"A": people()}))) as source, zipfile.ZipFile(stream, "w", 8) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "xl/worksheets/sheet1.xml":
                content = f'{strings}<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">\
<sheetData>{rows}</sheetData></worksheet>'.encode()
            target.writestr(name, content)
    return stream.getvalue()


LAUGHS = "".join(
    f'<!ENTITY a{number + 1} "{f"&a{number};" * 10}">' if number else '<!ENTITY a1 "ha">' for number in range(10)
)


@pytest.mark.parametrize(
    ("content", "expected_message"),
    [
        (lambda: make_zip({"[Content_Types].xml": b"<a/>", "xl/workbook.xml": b" " * 50_000_000}, 8), "times"),
        (lambda: _sheet('<row r="1"><c r="A1"><v>1</v></c></row>' + "<row><c><v>1</v></c></row>" * 3), ""),
        (lambda: _sheet("".join(f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(1, 500))), "cells"),
        (lambda: _sheet('<row r="1048576"><c r="A1048576"><v>1</v></c></row>'), ""),
        (
            lambda: _sheet(
                '<row r="1"><c r="A1" t="inlineStr"><is><t>&a10;</t></is></c></row>', f"<!DOCTYPE x [{LAUGHS}]>"
            ),
            "Excel",
        ),
        (lambda: _sheet('<row r="1"><c r="A1" t="s"><v>99999</v></c></row>'), "Excel"),
        (lambda: _sheet("<row><row>"), "Excel"),
    ],
)
def test_malicious_spreadsheets_are_rejected(home: Path, content: Callable[[], bytes], expected_message: str) -> None:
    message = _error_message(content(), home, "x.xlsx")
    assert message
    assert expected_message in message


def test_excel_macro_is_ignored(home: Path) -> None:
    stream = io.BytesIO(excel({"A": people()}))
    with zipfile.ZipFile(stream, "a") as book:
        book.writestr("xl/vbaProject.bin", b"\xd0\xcf\x11\xe0 Sub AutoOpen()")
    assert not _error_message(stream.getvalue(), home)


def test_folder_is_read_without_symbolic_links(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for name, content in image_folders().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "set" / "cats" / "secret.png").symlink_to("/etc/passwd")
    (folder / ".hidden.png").write_bytes(b"x")
    assert add_file(folder, "set", home).rows == 20


def test_member_limit_does_not_apply_to_images(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netloom.data.uploads.files.members.MAX_MEMBERS", 15)
    assert add_file(make_zip(image_folders(20)), "x.zip", home).rows == 20
    tables = make_zip({f"{'ab'[i % 2]}/{i}.csv": b"some words" for i in range(20)})
    assert "20 members" in _error_message(tables, home, "y")
