"""Broken and malicious files: each raises one clear message and leaves no files behind."""

from __future__ import annotations

import io
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from netloom.data import DataError, DatasetInfo, add_file, datasets, prepare, statistics
from netloom.document import DataChoice
from tests.data.crafted import (
    image_folders,
    make_csv,
    make_zip,
    noise_image,
    png_with_huge_header,
    solid_image,
    valid_csv,
    zip_with_patched_directory,
    zip_with_symlink,
)


def _rejection_message(content: bytes | Path, filename: str, home: Path, target: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        add_file(content, filename, home, target=target)
    message = str(caught.value)
    assert "\n" not in message
    assert "Traceback" not in message
    assert message.endswith(".")
    assert not message.endswith("..")
    assert len(message) < 1_500
    assert not list((home / "data").glob("*")), "files were left behind"
    assert all(info.builtin for info in datasets(home))
    return message


def _add_or_reject(content: bytes, filename: str, home: Path) -> DatasetInfo | None:
    """For files that may be valid or not: nothing but a DataError may be raised."""
    try:
        return add_file(content, filename, home)
    except DataError as error:
        message = str(error)
    assert "\n" not in message
    assert message.endswith(".")
    return None


def _rows(cell: str, other: str = "1") -> bytes:
    return make_csv("a,b,y", (f"{cell if i == 5 else other},{i},{i % 2}" for i in range(60)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n\n  \n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"a,b,y\n", "no rows"),
        (b"a\n1\n2\n", "one column"),
        (b"just words without any columns", "one column"),
        (make_csv("a,y", (f"{i}," for i in range(60))), "is empty"),
        (make_csv("a,y", (f"{i},nan" for i in range(60))), "is empty"),
        (make_csv("a,y", (f",{i % 2}" for i in range(60))), "learned from"),
        (make_csv("a,y", (f"{i},only" for i in range(60))), "one value"),
        (make_csv("a,y", (f"{i},5" for i in range(60))), "value"),
        (make_csv("a,y", (f"{i},{i % 2}" for i in range(5))), "5 usable rows"),
        (make_csv("a,y", (f"{i},{i % 2 if i < 6 else ''}" for i in range(60))), "6 usable rows"),
        (make_csv("a,y", (f"{i},name {i}" for i in range(60))), "too many for classes"),
        (make_csv("a,y", (f"{i},{'inf' if i == 3 else i * 1.37}" for i in range(60))), "infinite"),
        (valid_csv().replace(b"0.5", b"0\x005"), "NUL"),
        (valid_csv().decode().encode("utf-16") + b"x", "not UTF-16 text at byte"),
        (b"a,b\n1,2\n" + b"1,2,3,4\n" * 30, "CSV"),
        (b'a,b\n"1,2\n' + b"1,2\n" * 30, ""),
        (b"\x00" * 5000, "has an unknown type"),
        (bytes(range(256)) * 40, ""),
        (b"%PDF-1.7\n" + b"\x93\x8c" * 500, "a PDF document"),
        (b"," * 3000 + b"\n" + b"," * 3000 + b"\n", "columns"),
    ],
)
def test_broken_tables_are_rejected(home: Path, content: bytes, message: str) -> None:
    assert message in _rejection_message(content, "table.csv", home)


@pytest.mark.parametrize("target", ["price", "", "A", "'; DROP", "x\ny", "../../x", "y" * 10_000])
def test_missing_target_column_is_rejected(home: Path, target: str) -> None:
    assert "no column" in _rejection_message(valid_csv(), "table.csv", home, target)


def test_missing_target_message_stays_short_with_long_names(home: Path) -> None:
    header = ",".join(f"{i}" + "n" * 5_000 for i in range(50))
    _rejection_message(make_csv(header, (",".join("1" * 50) for _ in range(30))), "table.csv", home, "y")


@pytest.mark.parametrize("task", ["guess", 7, None, ["regression"]])
@pytest.mark.parametrize("option", ["task", "text", "nosuch\n"])
def test_invalid_table_options_are_rejected(home: Path, option: str, task: Any) -> None:
    info = add_file(valid_csv(), "table.csv", home)
    if option in ("task", "text") and task is None:
        return
    with pytest.raises(DataError) as caught:
        prepare(DataChoice(dataset=info.name, options={option: task}), home)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["x.exe", "x", "", "x.json", "x.pkl", "../../x.npz", "a\nb.xls", "x.zip", "x.png", "x" * 9_999]
)
def test_file_type_is_detected_from_content(home: Path, name: str) -> None:
    assert add_file(valid_csv(), name, home).columns == ("height", "width", "kind")


def test_missing_file_is_rejected(home: Path) -> None:
    assert "cannot be read" in _rejection_message(home / "none.csv", "none.csv", home)
    assert "is empty" in _rejection_message(home, "folder.csv", home)


def test_oversized_file_is_rejected(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netloom.data.uploads.files.source.MAX_FILE_BYTES", 100)
    assert "at most" in _rejection_message(valid_csv(), "table.csv", home)


@pytest.mark.parametrize(
    "cell",
    [
        "x" * 100_000,
        "=cmd|' /C calc'!A0",
        "@SUM(1+1)*cmd",
        "</script><script>alert(1)</script>",
        "../../etc/passwd",
        "𝕏",
        "%s{0}",
    ],
)
def test_hostile_cell_is_plain_text(home: Path, cell: str) -> None:
    info = add_file(_rows(cell, "plain"), "table.csv", home)
    data = prepare(DataChoice(dataset=info.name), home)
    assert data.row(5)["a"] == cell
    assert data.row(4)["a"] == "plain"
    statistics(data)
    info = add_file(make_csv("n,y", (f"{i},{cell if i % 2 else 'b'}" for i in range(60))), "table.csv", home)
    data = prepare(DataChoice(dataset=info.name), home)
    assert data.target_text(1)[:200] == cell[:200]


@pytest.mark.parametrize("cell", ["inf", "-inf", "1e308", "-1e308", "1e400", "9" * 40, "1e-320", "NaN"])
def test_extreme_number_keeps_features_finite(home: Path, cell: str) -> None:
    info = add_file(make_csv("a,b,y", (f"{cell if i == 5 else i},{i},{i % 2}" for i in range(60))), "table.csv", home)
    for seed in range(4):
        data = prepare(DataChoice(dataset=info.name, seed=seed), home)
        assert data.inputs["features"].isfinite().all()
        statistics(data)


@pytest.mark.parametrize("cell", ["inf", "1e308", "1e200"])
def test_columns_of_huge_numbers_stay_finite(home: Path, cell: str) -> None:
    rows = (f"{'-' if i % 2 else ''}{cell},{i},{i % 3}" for i in range(60))
    data = prepare(DataChoice(dataset=add_file(make_csv("a,b,y", rows), "table.csv", home).name), home)
    assert data.inputs["features"].isfinite().all()
    statistics(data)


def test_target_of_huge_numbers_stays_finite(home: Path) -> None:
    content = make_csv("a,y", (f"{i},{'-' if i % 2 else ''}{1 + i / 100}e307" for i in range(60)))
    info = _add_or_reject(content, "table.csv", home)
    if info is not None:
        assert prepare(DataChoice(dataset=info.name), home).target.isfinite().all()


def test_empty_and_constant_columns_are_reported(home: Path) -> None:
    info = add_file(make_csv("a,b,c,y", (f",7,{i},{i % 2}" for i in range(60))), "table.csv", home)
    data = prepare(DataChoice(dataset=info.name), home)
    assert "a" not in data.schema.inputs[0].columns
    assert any("'a' is empty" in warning for warning in data.warnings)
    assert any("'b'" in remark for remark in statistics(data).remarks)


def test_late_text_in_a_numeric_column_is_read(home: Path) -> None:
    rows = (f"{'unknown' if i == 59_999 else i % 30},{i},{i % 2}" for i in range(60_000))
    info = add_file(make_csv("a,b,y", rows), "table.csv", home)
    data = prepare(DataChoice(dataset=info.name), home)
    assert data.schema.rows == 60_000


@pytest.mark.parametrize(
    "header",
    [
        "x,x,y",
        "x,x.1,x",
        " x , x,y",
        ",,y",
        "</script>,../..,y",
        '\'a,"""b""",y',
        '"a\nb","c\r\nd",y',
        "=1+1,@x,y",
        "1,x,y",
        "index,level_0,y",
        "__index_level_0__,x,y",
        "x (days),x,y",
        "\u202e,𝕏,y",
        "a" * 9_999 + ",b,y",
    ],
)
def test_hostile_column_names_are_plain_text(home: Path, header: str) -> None:
    rows = (f"{i * 1.5},{i % 5},{i % 2}" for i in range(60))
    info = add_file(make_csv(header, rows), "table.csv", home)
    assert len(set(info.columns)) == 3
    data = prepare(DataChoice(dataset=info.name), home)
    assert data.inputs["features"].shape == (60, 2)
    assert data.raw.row(7) == dict(zip(info.columns, (10.5, 2.0), strict=False))
    assert {path.name for path in home.iterdir()} == {"data"}


def test_date_part_columns_do_not_hide_others(home: Path) -> None:
    rows = (f"2024-01-{1 + i % 28:02},{i},{i},{i % 2}" for i in range(60))
    info = add_file(make_csv("d,d (days),d (weekday),y", rows), "table.csv", home)
    data = prepare(DataChoice(dataset=info.name), home)
    columns = data.schema.inputs[0].columns
    assert len(set(columns)) == len(columns) >= 4


@pytest.mark.parametrize(
    "name", ["../../x.csv", "a\nb.csv", "</script>.csv", "'\";.csv", "C:\\x\\y.csv", "\ud800.csv", "n" * 9_999 + ".csv"]
)
def test_hostile_file_name_is_plain_text(home: Path, name: str) -> None:
    info = add_file(valid_csv(), name, home)
    assert [path.name for path in (home / "data").iterdir()] == [info.name]
    assert "/" not in info.title
    assert len(info.title) <= 200
    assert datasets(home)[-1] == info


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + b"\xff" * 500 + b"PAR1", b"PAR1" * 100])
def test_broken_parquet_is_rejected(home: Path, content: bytes) -> None:
    assert "Parquet" in _rejection_message(content, "x\ny.parquet", home)


def test_truncated_parquet_is_rejected(home: Path) -> None:
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"a": list(range(500)), "y": [i % 2 for i in range(500)]}), stream)
    file_bytes = bytearray(stream.getvalue())
    for cut in (10, len(file_bytes) // 2, len(file_bytes) - 1):
        _rejection_message(bytes(file_bytes[:cut]), "x.parquet", home)
    for position in range(8, len(file_bytes) // 2, 97):
        broken = file_bytes.copy()
        broken[position : position + 8] = b"\xff" * 8
        _add_or_reject(bytes(broken), "x.parquet", home)


def test_parquet_with_too_many_rows_is_rejected_unread(home: Path) -> None:
    column = pyarrow.array(np.zeros(2_000_000, dtype=np.int64))
    table = pyarrow.table({"a": column, "y": column})
    stream = io.BytesIO()
    with pyarrow.parquet.ParquetWriter(stream, table.schema) as writer:
        for _ in range(10):
            writer.write_table(table)
    assert len(stream.getvalue()) < 2**20
    start = time.process_time()
    assert "20,000,000 rows" in _rejection_message(stream.getvalue(), "x.parquet", home)
    assert time.process_time() - start < 1


ZEROS = b"\0" * 2**20


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"PK\x03\x04" + b"\0" * 100, "not a readable zip"),
        (lambda: make_zip(image_folders())[:2000], "not a readable zip"),
        (lambda: make_zip({}), "no images"),
        (lambda: make_zip({"a/readme.txt": b"x"}), "one column"),
        (lambda: make_zip({"1.png": noise_image(1), "2.png": noise_image(2)}), "no images"),
        (lambda: make_zip({f"a/{i}.png": noise_image(i) for i in range(20)}), "two folders"),
        (lambda: make_zip(dict(list(image_folders().items())[:4])), "4 usable rows"),
        (lambda: make_zip({**image_folders(), "set/cats/bomb.png": ZEROS * 40}, zipfile.ZIP_DEFLATED), "times"),
        (lambda: make_zip({**image_folders(), "elsewhere.bin": ZEROS * 40}, zipfile.ZIP_DEFLATED), "times"),
        (lambda: make_zip({**image_folders(), "set/cats/inner.zip": make_zip({"0": ZEROS * 40}, 8)}, 8), ""),
        (lambda: make_zip({f"a/{i}.csv": b"" for i in range(10_001)}), "10,001 members"),
        (lambda: make_zip({**image_folders(), "../../evil.png": noise_image(1)}), "outside"),
        (lambda: make_zip({**image_folders(), "a/../../evil.png": noise_image(1)}), "outside"),
        (lambda: make_zip({**image_folders(), "/etc/evil.png": noise_image(1)}), "outside"),
        (lambda: make_zip({**image_folders(), "C:\\evil\\evil.png": noise_image(1)}), "outside"),
        (lambda: make_zip({**image_folders(), "..\\evil.png": noise_image(1)}), "outside"),
        (lambda: make_zip({**image_folders(), "..\\..\\e\nvil.png": noise_image(1)}), "outside"),
        (lambda: zip_with_symlink(image_folders(), "set/cats/link.png", "/etc/passwd"), "link"),
        (lambda: zip_with_symlink(image_folders(), "set/more", "../.."), "link"),
        (lambda: zip_with_patched_directory(make_zip(image_folders()), 8, "<H", 1), "encrypted"),
        (lambda: zip_with_patched_directory(make_zip(image_folders()), 24, "<I", 3 * 2**30), "times"),
        (lambda: zip_with_patched_directory(make_zip(image_folders()), 24, "<I", 10), "damaged"),
        (lambda: zip_with_patched_directory(make_zip(image_folders()), 20, "<I", 10), ""),
        (lambda: zip_with_patched_directory(make_zip(image_folders()), 16, "<I", 0), "damaged"),
        (lambda: zip_with_patched_directory(make_zip(image_folders()), 42, "<I", 2**31), ""),
        (lambda: zip_with_patched_directory(make_zip(image_folders()), 10, "<H", 99), ""),
        (lambda: make_zip(image_folders(), zipfile.ZIP_LZMA), "unusual"),
        (lambda: make_zip(image_folders(), zipfile.ZIP_BZIP2), "unusual"),
        (
            lambda: make_zip({**image_folders(), "set/cats/huge.png": png_with_huge_header(8_000, 6_251)}),
            "50 megapixels",
        ),
        (
            lambda: make_zip({**image_folders(), "set/cats/huge.png": png_with_huge_header(2**31 - 1, 2**31 - 1)}),
            "megapixels",
        ),
        (lambda: make_zip({**image_folders(12), "set/cats/empty.png": b""}), "not a readable image"),
        (lambda: make_zip({**image_folders(12), "set/cats/words.png": b"these are words"}), "not a readable image"),
        (
            lambda: make_zip({**image_folders(12), "set/cats/page.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}),
            "not a readable image",
        ),
        (
            lambda: make_zip(
                {**image_folders(12), "set/cats/print.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"}
            ),
            "not a readable image",
        ),
        (lambda: make_zip({**image_folders(12), "set/cats/cut.png": noise_image(1, 64)[:500]}), "not a readable image"),
        (
            lambda: make_zip({**image_folders(12), "set/cats/cut.jpg": solid_image((9, 9, 9), (64, 64), "JPEG")[:300]}),
            "not a readable image",
        ),
        (
            lambda: make_zip({**image_folders(12), "set/cats/zero.png": png_with_huge_header(0, 0)}),
            "not a readable image",
        ),
        (lambda: make_zip({**image_folders(12), "set/cats/a\nb</script>.png": b"x"}), "not a readable image"),
    ],
)
def test_malicious_zips_are_rejected(home: Path, content: Callable[[], bytes], message: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if not message:
            _add_or_reject(content(), "x.zip", home)
        else:
            assert message in _rejection_message(content(), "x.zip", home)
    assert {path.name for path in home.parent.iterdir()} == {"home"}


def test_damaged_zip_stream_is_rejected(home: Path) -> None:
    data = bytearray(make_zip({**image_folders(), "set/cats/x.png": b"abc" * 9_999}, zipfile.ZIP_DEFLATED))
    position = data.find(b"set/cats/x.png") + len("set/cats/x.png")
    data[position : position + 20] = b"\xff" * 20
    assert "damaged" in _rejection_message(bytes(data), "x.zip", home)


def test_forged_sizes_do_not_hide_a_zip_bomb(home: Path) -> None:
    """Every member claims to be stored uncompressed, while a megabyte of zeros is compressed to a kilobyte."""
    bomb = make_zip({f"set/{'ab'[i % 2]}/{i}.png": ZEROS for i in range(20)}, zipfile.ZIP_DEFLATED)
    assert "times" in _rejection_message(zip_with_patched_directory(bomb, 20, "<I", 2**20), "x.zip", home)


@pytest.mark.parametrize("name", [".", "./", "", "a//b.png", "set/cats/", "\x00.png", "a:b/c.png", "‮/x.txt"])
def test_odd_zip_member_names_are_tolerated(home: Path, name: str) -> None:
    info = _add_or_reject(make_zip({**image_folders(), name: b""}), "x.zip", home)
    assert info is None or info.rows == 20


def test_zip_bomb_is_rejected_without_unpacking(home: Path) -> None:
    bomb = make_zip({**image_folders(), "set/cats/x.png": ZEROS * 100}, zipfile.ZIP_DEFLATED)
    start = time.process_time()
    _rejection_message(bomb, "x.zip", home)
    rejection_time = time.process_time() - start
    start = time.process_time()
    with zipfile.ZipFile(io.BytesIO(bomb)) as archive:
        archive.read("set/cats/x.png")
    assert rejection_time < time.process_time() - start
