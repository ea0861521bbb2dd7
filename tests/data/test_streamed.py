"""Tables larger than memory: reading in chunks gives the same results as reading at once."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from netloom.data import DataError, Prepared, prepare, statistics
from netloom.data.preparation.prepare import clear_cache
from netloom.data.quality.overview import columns
from netloom.data.raw.table import Table
from netloom.data.tables.arrow_table import StoredNumbers, StoredTable, StoredTexts
from netloom.data.uploads import add_file, remove
from netloom.document import DataChoice

ROWS = 1_600
LIMITS = (1_000.0, 0.01)  # in MiB, for reading at once and for reading in chunks


def table(rows: int = ROWS) -> pd.DataFrame:
    """Every type of column, with missing cells in each column that allows them and in the target."""
    random = np.random.default_rng(0)
    size = random.standard_normal(rows)
    integers = pd.Series(random.integers(0, 90, rows), dtype="Int64")
    integers[random.random(rows) < 0.1] = None
    color = pd.Series(random.choice(["red", "green", "blue"], rows), dtype="string")
    color[random.random(rows) < 0.1] = None
    label = pd.Series(np.where(size + integers.fillna(0) / 30 > 1, "yes", "no"), dtype="string")
    label[random.random(rows) < 0.02] = None
    return pd.DataFrame(
        {
            "size": size.astype(np.float32),
            "price": np.where(random.random(rows) < 0.05, np.nan, np.exp(size)),
            "whole": integers,
            "colour": color,
            "code": [f"{row % 7:03}" if row < rows // 2 else "x1" for row in range(rows)],
            "day": pd.date_range("2020-01-01", periods=rows, freq="h").strftime("%Y-%m-%d"),
            "moment": pd.date_range("2020-01-01", periods=rows, freq="min"),
            "told": random.random(rows) < 0.5,
            "told or not": [None if row % 9 == 0 else row % 2 == 0 for row in range(rows)],
            "label": label,
        }
    )


def as_parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file, row_group_size=700)
    return file.getvalue()


def as_csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def as_lines(frame: pd.DataFrame) -> bytes:
    return frame.to_json(orient="records", lines=True, date_format="iso").encode()


FORMS: list[tuple[str, Callable[[pd.DataFrame], bytes]]] = [
    ("a.parquet", as_parquet),
    ("a.csv", as_csv),
    ("a.jsonl", as_lines),
]


@pytest.fixture(scope="module")
def limit_memory() -> Iterator[Callable[[float], None]]:
    """Sets the memory limit for a table in MiB and makes each chunk only a few rows, until the end of the module."""
    with pytest.MonkeyPatch.context() as patch:

        def limit(mib: float) -> None:
            patch.setenv("NETLOOM_DATA_MEMORY_MB", str(mib))
            patch.setattr(
                "netloom.data.tables.streamed_table.StreamedTable.rows_per_chunk", staticmethod(lambda columns: 512)
            )
            patch.setattr("netloom.data.tables.streamed_table.MAX_CELLS", 8 * 512 * 10)

        yield limit


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder for data that several tests read."""
    return tmp_path_factory.mktemp("home")


@cache
def add_at_once_and_in_chunks(content: bytes, filename: str, home: Path, limit: Callable[[float], None]) -> list[str]:
    """The ids of the data read at once and read in chunks."""
    names = []
    for mib in LIMITS:
        limit(mib)
        names.append(add_file(content, filename, home).name)
    return names


def read_at_once_and_in_chunks(
    content: bytes, filename: str, home: Path, limit: Callable[[float], None], **choice: object
) -> list[Prepared]:
    """The data read at once and read in chunks."""
    datasets = []
    for mib, name in zip(LIMITS, add_at_once_and_in_chunks(content, filename, home, limit), strict=True):
        limit(mib)
        datasets.append(prepare(DataChoice(dataset=name, **choice), home))  # type: ignore[arg-type]
    assert not datasets[0].raw.large
    assert not datasets[0].files
    assert datasets[1].raw.large
    assert set(datasets[1].files) == set(datasets[1].inputs)
    return datasets


def assert_identical(first: Prepared, second: Prepared) -> None:
    assert first.schema == second.schema
    assert first.preprocess == second.preprocess
    assert first.fingerprint == second.fingerprint
    assert first.warnings == second.warnings
    for name in first.inputs:
        assert first.inputs[name].dtype == second.inputs[name].dtype
        assert torch.equal(first.inputs[name], second.inputs[name]), name
    assert torch.equal(first.target, second.target)
    for part in first.split:
        assert torch.equal(first.split[part], second.split[part])
    for row in (0, 17, len(first.target) - 1):
        assert repr(first.row(row)) == repr(second.row(row))


@pytest.mark.parametrize(("filename", "written"), FORMS)
def test_streamed_table_is_bitwise_equal(
    filename: str, written: Callable[[pd.DataFrame], bytes], tmp_path: Path, limit_memory: Callable[[float], None]
) -> None:
    assert_identical(*read_at_once_and_in_chunks(written(table()), filename, tmp_path, limit_memory, seed=3))


def test_streamed_localized_cells_are_bitwise_equal(tmp_path: Path, limit_memory: Callable[[float], None]) -> None:
    """A title, dates such as 31.12.2024, decimal commas, thousands separators, symbols, marks and padded cells."""
    frame = table()
    prices = [f"{1_000 + row * 7.25:,.2f}".translate(str.maketrans(",.", ".,")) for row in range(ROWS)]
    frame = frame.assign(
        day=pd.date_range("2020-01-01", periods=ROWS, freq="D").strftime("%d.%m.%Y"),
        price=prices,
        label=frame["label"].fillna("no"),
        cost=[f"{price} €" for price in prices],
        share=["?" if row % 7 == 2 else f"{row % 100},5%" for row in range(ROWS)],
        rank=["-" if row % 9 == 2 else row for row in range(ROWS)],
        size=[f" {value:.6f} ".replace(".", ",") if row % 5 else " NA " for row, value in enumerate(frame["size"])],
    )
    text = "Sales;;\n\n" + frame.to_csv(index=False, sep=";")
    in_memory, streamed = read_at_once_and_in_chunks(text.encode(), "a.csv", tmp_path, limit_memory, seed=3)
    assert_identical(in_memory, streamed)
    assert isinstance(streamed.raw, Table)
    assert {"price", "cost", "share", "rank", "size", "day (days)"} <= set(streamed.raw.numbers)
    assert streamed.raw.numbers["price"][3] == streamed.raw.numbers["cost"][3] == 1_021.75
    assert streamed.raw.numbers["share"][[1, 3]].tolist() == [1.5, 3.5]
    assert np.flatnonzero(np.isnan(streamed.raw.numbers["share"]))[:2].tolist() == [2, 9]
    assert np.flatnonzero(np.isnan(streamed.raw.numbers["rank"]))[:2].tolist() == [2, 11]
    assert np.isnan(streamed.raw.numbers["size"][5])
    assert streamed.raw.numbers["day (days)"][40] == (pd.Timestamp("2020-02-10") - pd.Timestamp(0)).days


@pytest.mark.parametrize(
    "options",
    [
        {"target": "price"},
        {"target": "label", "columns": {"size": {"scale": "normal", "impute": "mean"}, "whole": {"scale": "log1p"}}},
        {"target": "label", "columns": {"colour": {"encode": "index"}, "code": {"encode": "hash"}}},
        {"target": "label", "columns": {"moment": {"role": "time"}, "whole": {"role": "weight", "impute": None}}},
        {
            "target": "label",
            "columns": {"day": {"kind": "date", "parts": ["year", "weekday"]}, "code": {"kind": "text"}},
        },
        {"target": "label", "columns": {"told": {"kind": "boolean"}, "colour": {"role": "group"}}},
    ],
    ids="number scaled encoded time parts group".split(),
)
def test_streamed_column_settings_are_bitwise_equal(
    options: dict[str, object], shared_home: Path, limit_memory: Callable[[float], None]
) -> None:
    frame = table()
    frame["whole"] = frame["whole"].fillna(3) + 1
    frame["label"] = frame["label"].fillna("no")
    content = as_parquet(frame)  # imported for the first of these tests
    assert_identical(
        *read_at_once_and_in_chunks(content, "a.parquet", shared_home, limit_memory, seed=5, options=options)
    )


def test_streamed_texts_are_tokenized_identically(tmp_path: Path, limit_memory: Callable[[float], None]) -> None:
    random = np.random.default_rng(4)
    words = np.array("the a cat dog sleeps runs on under red blue chair table".split())
    texts = [" ".join(random.choice(words, 3 + row % 5)) for row in range(ROWS)]
    frame = pd.DataFrame({"text": texts, "label": ["cat" if "cat" in text else "other" for text in texts]})
    in_memory, streamed = read_at_once_and_in_chunks(as_parquet(frame), "a.parquet", tmp_path, limit_memory)
    assert in_memory.preprocess.fields[0].encoding == "words"
    assert_identical(in_memory, streamed)


def test_streamed_statistics_and_overview_are_identical(tmp_path: Path, limit_memory: Callable[[float], None]) -> None:
    content = as_parquet(table())
    in_memory, streamed = read_at_once_and_in_chunks(content, "a.parquet", tmp_path, limit_memory)
    assert statistics(in_memory).columns == statistics(streamed).columns
    assert statistics(in_memory).remarks == statistics(streamed).remarks
    names = [path.parent.name for path in (tmp_path / "data").glob("*/table.*")]
    first, second = (columns(DataChoice(dataset=name), tmp_path) for name in names)
    assert first == second
    assert columns(DataChoice(dataset=names[0]), tmp_path) == first  # the counts are cached
    assert {column.name: column.missing for column in first}["label"] == int(table()["label"].isna().sum())


def test_streamed_import_reports_progress(tmp_path: Path, limit_memory: Callable[[float], None]) -> None:
    limit_memory(0.01)
    reports: list[tuple[float, str]] = []
    add_file(
        as_parquet(table()), "a.parquet", tmp_path, progress=lambda share, message: reports.append((share, message))
    )
    shares = [share for share, _ in reports]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(set(shares)) > 8
    assert any(message == "Storing row 1,024 of 1,600" for _, message in reports)


def test_local_file_is_imported_as_a_stream(tmp_path: Path, limit_memory: Callable[[float], None]) -> None:
    limit_memory(0.01)
    path = tmp_path / "b.csv"
    path.write_bytes(as_csv(table()))
    info = add_file(path, path.name, tmp_path)
    assert info.rows == ROWS
    assert prepare(DataChoice(dataset=info.name), tmp_path).raw.large


def test_encoding_maps_are_reused_and_limited_in_number(tmp_path: Path, limit_memory: Callable[[float], None]) -> None:
    limit_memory(0.01)
    name = add_file(as_parquet(table(600)), "a.parquet", tmp_path).name
    maps = tmp_path / "data" / name / "maps"
    first = prepare(DataChoice(dataset=name, seed=0), tmp_path)
    inodes = {path: path.stat().st_ino for path in maps.glob("rows-*/*.bin")}
    features = first.inputs["features"].clone()
    assert list(inodes) == [map_file.path for map_file in first.files.values()]
    clear_cache()
    prepare(DataChoice(dataset=name, seed=0), tmp_path)
    assert {path: path.stat().st_ino for path in maps.glob("rows-*/*.bin")} == inodes
    for seed in range(1, 6):
        prepare(DataChoice(dataset=name, seed=seed), tmp_path)
    assert len(list(maps.glob("rows-*"))) <= 4
    assert not list(maps.glob(".half-*"))
    # Data read from a deleted map stays readable.
    assert torch.equal(first.inputs["features"], features)
    file = first.files["features"]
    assert np.array_equal(file.read(7, 20), features[7:20].numpy())
    remove(name, tmp_path)
    assert not maps.exists()


def test_truncated_encoding_map_is_rebuilt(tmp_path: Path, limit_memory: Callable[[float], None]) -> None:
    limit_memory(0.01)
    name = add_file(as_parquet(table(600)), "a.parquet", tmp_path).name
    features = prepare(DataChoice(dataset=name), tmp_path).inputs["features"].clone()
    (path,) = (tmp_path / "data" / name / "maps").glob("rows-*/0.bin")
    path.write_bytes(path.read_bytes()[:-8])
    clear_cache()
    assert torch.equal(prepare(DataChoice(dataset=name), tmp_path).inputs["features"], features)


def test_streamed_import_rejects_invalid_files(
    tmp_path: Path, limit_memory: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_memory(0.01)
    with pytest.raises(DataError, match="does not fit into memory, which only tables may"):
        add_file(as_csv(table(600)), "a.csv", tmp_path, kind="series")
    with pytest.raises(DataError, match="is not a JSON record"):
        add_file(as_lines(table(600)) + b"[1, 2]\n", "a.jsonl", tmp_path)
    with pytest.raises(DataError, match="line 602 has 11 cells where 10 were expected"):
        add_file(as_csv(table(600)) + b"1,2,3,4,5,6,7,8,9,10,11\n", "a.csv", tmp_path)
    with pytest.raises(DataError, match="is not a readable Parquet file"):
        add_file(as_parquet(table(600))[:-100], "a.parquet", tmp_path)
    monkeypatch.setattr("netloom.data.limits.MAX_STREAMED_ROWS", 500)
    with pytest.raises(DataError, match="more than 500 rows"):
        add_file(as_parquet(table(600)), "a.parquet", tmp_path)
    monkeypatch.setattr("netloom.data.limits.MAX_STREAMED_ROWS", 5_000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1_000})())
    with pytest.raises(DataError, match="free some space"):
        add_file(as_parquet(table(600)), "a.parquet", tmp_path)
    assert not list((tmp_path / "data").iterdir())


RESERVED = r"""
import re, sys
from pathlib import Path
import numpy as np
from netloom.data.tables.arrow_table import StoredTable

def private():
    return int(re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024

stored = StoredTable.open(Path(sys.argv[1]))
before = private()
found = {name: stored.numbers(name, 100, 290_000) for name in stored.columns}
print(private() - before)
np.savez(sys.argv[2], **found)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process has reserved")
def test_reading_a_column_reserves_little_memory(tmp_path: Path) -> None:
    rows = 300_000
    every_seventh = np.arange(rows) % 7 == 0
    integers, floats = np.arange(rows, dtype=np.int64), np.linspace(0, 1, rows)
    columns = {
        "whole": pa.array(integers),
        "missing": pa.array(integers, mask=every_seventh),
        "yes": pa.array(every_seventh),
        "real": pa.array(floats, mask=every_seventh),
    }
    arrow_table, numbers = pa.table(columns), tmp_path / "numbers.npz"
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file, pa.ipc.new_file(file, arrow_table.schema) as writer:
        writer.write_table(arrow_table, max_chunksize=65_536)
    command = [sys.executable, "-c", RESERVED, str(tmp_path / "t.arrow"), str(numbers)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(result.stdout) < 200 * 2**20
    expected = {
        "whole": integers,
        "missing": np.where(every_seventh, np.nan, integers),
        "yes": every_seventh,
        "real": np.where(every_seventh, np.nan, floats),
    }
    for name, values in np.load(numbers).items():
        assert np.array_equal(values, expected[name][100:290_000].astype(np.float64), equal_nan=True), name


def test_streamed_deduplication_is_rejected_before_encoding(
    tmp_path: Path, limit_memory: Callable[[float], None]
) -> None:
    limit_memory(0.01)
    info = add_file(as_csv(table(600)), "a.csv", tmp_path)
    with pytest.raises(DataError, match="cannot be searched for duplicates"):
        prepare(DataChoice(dataset=info.name, duplicates="drop"), tmp_path)
    assert not list((tmp_path / "data" / info.name).glob("maps/rows-*"))


def test_stored_columns_index_like_sequences() -> None:
    stored = StoredTable(Path("table.arrow"), pa.table({"text": ["a", "b"], "number": [1.0, 2.0]}))
    texts, numbers = StoredTexts(stored, "text"), StoredNumbers(stored, "number")
    assert (texts[-1], numbers[-2]) == ("b", 1.0)
    assert texts.index("b") == 1
    with pytest.raises(ValueError):  # noqa: PT011 - Python's sequences do not give a message either
        texts.index("absent")
    empty = stored[np.zeros(2, dtype=bool)]
    for values, index in (
        (texts, 2),
        (numbers, -3),
        (StoredTexts(empty, "text"), 0),
        (StoredNumbers(empty, "number"), 0),
    ):
        with pytest.raises(IndexError, match="out of range"):
            values[index]
