"""Tables larger than memory: what is worked out of them by stretches is what is worked out of them at once."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
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

ROWS = 3_000


def table(rows: int = ROWS) -> pd.DataFrame:
    """Every kind of column, with cells that are missing in all that may lack them, and in the target."""
    random = np.random.default_rng(0)
    size = random.standard_normal(rows)
    whole = pd.Series(random.integers(0, 90, rows), dtype="Int64")
    whole[random.random(rows) < 0.1] = None
    colour = pd.Series(random.choice(["red", "green", "blue"], rows), dtype="string")
    colour[random.random(rows) < 0.1] = None
    label = pd.Series(np.where(size + whole.fillna(0) / 30 > 1, "yes", "no"), dtype="string")
    label[random.random(rows) < 0.02] = None
    return pd.DataFrame(
        {
            "size": size.astype(np.float32),
            "price": np.where(random.random(rows) < 0.05, np.nan, np.exp(size)),
            "whole": whole,
            "colour": colour,
            "code": [f"{place % 7:03}" if place < rows // 2 else "x1" for place in range(rows)],
            "day": pd.date_range("2020-01-01", periods=rows, freq="h").strftime("%Y-%m-%d"),
            "moment": pd.date_range("2020-01-01", periods=rows, freq="min"),
            "told": random.random(rows) < 0.5,
            "told or not": [None if place % 9 == 0 else place % 2 == 0 for place in range(rows)],
            "label": label,
        }
    )


def as_parquet(made: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    made.to_parquet(file, row_group_size=700)
    return file.getvalue()


def as_csv(made: pd.DataFrame) -> bytes:
    return made.to_csv(index=False).encode()


def as_lines(made: pd.DataFrame) -> bytes:
    return made.to_json(orient="records", lines=True, date_format="iso").encode()


FORMS: list[tuple[str, Callable[[pd.DataFrame], bytes]]] = [
    ("a.parquet", as_parquet),
    ("a.csv", as_csv),
    ("a.jsonl", as_lines),
]


@pytest.fixture
def limit_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how much of a table may be in memory, in MiB, and how few rows are read at a time."""

    def limit(mib: float) -> None:
        monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", str(mib))
        monkeypatch.setattr(
            "netloom.data.tables.streamed_table.StreamedTable.rows_per_chunk", staticmethod(lambda columns: 512)
        )
        monkeypatch.setattr("netloom.data.tables.streamed_table._MAX_CELLS", 8 * 512 * 10)

    return limit


def read_both_ways(
    content: bytes, filename: str, home: Path, limit: Callable[[float], None], **asked: object
) -> list[Prepared]:
    """The data as it is read at once, and as it is read by stretches."""
    found = []
    for mib in (1_000.0, 0.01):
        limit(mib)
        info = add_file(content, filename, home)
        found.append(prepare(DataChoice(dataset=info.name, **asked), home))  # type: ignore[arg-type]
    assert not found[0].raw.large
    assert not found[0].files
    assert found[1].raw.large
    assert set(found[1].files) == set(found[1].inputs)
    return found


def assert_identical(one: Prepared, other: Prepared) -> None:
    assert one.schema == other.schema
    assert one.preprocess == other.preprocess
    assert one.fingerprint == other.fingerprint
    assert one.warnings == other.warnings
    for name in one.inputs:
        assert one.inputs[name].dtype == other.inputs[name].dtype
        assert torch.equal(one.inputs[name], other.inputs[name]), name
    assert torch.equal(one.target, other.target)
    for part in one.split:
        assert torch.equal(one.split[part], other.split[part])
    for row in (0, 17, len(one.target) - 1):
        assert repr(one.row(row)) == repr(other.row(row))


@pytest.mark.parametrize(("filename", "written"), FORMS)
def test_streamed_table_is_bitwise_equal(
    filename: str, written: Callable[[pd.DataFrame], bytes], tmp_path: Path, limit_memory: Callable[[float], None]
) -> None:
    assert_identical(*read_both_ways(written(table()), filename, tmp_path, limit_memory, seed=3))


def test_streamed_localized_cells_are_bitwise_equal(tmp_path: Path, limit_memory: Callable[[float], None]) -> None:
    """Dates such as 31.12.2024, decimal commas, groups of three digits, and blanks around cells."""
    made = table()
    prices = [f"{1_000 + place * 7.25:,.2f}".translate(str.maketrans(",.", ".,")) for place in range(ROWS)]
    made = made.assign(
        day=pd.date_range("2020-01-01", periods=ROWS, freq="D").strftime("%d.%m.%Y"),
        price=prices,
        label=made["label"].fillna("no"),
        size=[f" {value:.6f} ".replace(".", ",") if place % 5 else " NA " for place, value in enumerate(made["size"])],
    )
    text = made.to_csv(index=False, sep=";")
    one, other = read_both_ways(text.encode(), "a.csv", tmp_path, limit_memory, seed=3)
    assert_identical(one, other)
    assert isinstance(other.raw, Table)
    assert {"price", "size", "day (days)"} <= set(other.raw.numbers)
    assert other.raw.numbers["price"][3] == 1_021.75
    assert np.isnan(other.raw.numbers["size"][5])
    assert other.raw.numbers["day (days)"][40] == (pd.Timestamp("2020-02-10") - pd.Timestamp(0)).days


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
    options: dict[str, object], tmp_path: Path, limit_memory: Callable[[float], None]
) -> None:
    made = table()
    made["whole"] = made["whole"].fillna(3) + 1
    made["label"] = made["label"].fillna("no")
    assert_identical(*read_both_ways(as_parquet(made), "a.parquet", tmp_path, limit_memory, seed=5, options=options))


def test_streamed_texts_are_tokenized_identically(tmp_path: Path, limit_memory: Callable[[float], None]) -> None:
    random = np.random.default_rng(4)
    words = np.array("the a cat dog sleeps runs on under red blue chair table".split())
    texts = [" ".join(random.choice(words, 3 + place % 5)) for place in range(ROWS)]
    made = pd.DataFrame({"text": texts, "label": ["cat" if "cat" in text else "other" for text in texts]})
    one, other = read_both_ways(as_parquet(made), "a.parquet", tmp_path, limit_memory)
    assert one.preprocess["fields"][0]["encoding"] == "words"
    assert_identical(one, other)


def test_streamed_statistics_and_overview_are_identical(tmp_path: Path, limit_memory: Callable[[float], None]) -> None:
    content = as_parquet(table())
    one, other = read_both_ways(content, "a.parquet", tmp_path, limit_memory)
    assert statistics(one).columns == statistics(other).columns
    assert statistics(one).remarks == statistics(other).remarks
    names = [path.parent.name for path in (tmp_path / "data").glob("*/table.*")]
    first, second = (columns(DataChoice(dataset=name), tmp_path) for name in names)
    assert first == second
    assert columns(DataChoice(dataset=names[0]), tmp_path) == first  # what was counted is remembered
    assert {column.name: column.missing for column in first}["label"] == int(table()["label"].isna().sum())


def test_streamed_import_reports_progress(tmp_path: Path, limit_memory: Callable[[float], None]) -> None:
    limit_memory(0.01)
    told: list[tuple[float, str]] = []
    add_file(as_parquet(table()), "a.parquet", tmp_path, progress=lambda share, what: told.append((share, what)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(set(shares)) > 8
    assert any(what == "Storing row 1,024 of 3,000" for _, what in told)


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
    made = {path: path.stat().st_ino for path in maps.glob("rows-*/*.bin")}
    kept = first.inputs["features"].clone()
    assert list(made) == [one.path for one in first.files.values()]
    clear_cache()
    prepare(DataChoice(dataset=name, seed=0), tmp_path)
    assert {path: path.stat().st_ino for path in maps.glob("rows-*/*.bin")} == made
    for seed in range(1, 6):
        prepare(DataChoice(dataset=name, seed=seed), tmp_path)
    assert len(list(maps.glob("rows-*"))) <= 4
    assert not list(maps.glob(".half-*"))
    # Who read one that is gone by now still can.
    assert torch.equal(first.inputs["features"], kept)
    file = first.files["features"]
    assert np.array_equal(file.read(7, 20), kept[7:20].numpy())
    remove(name, tmp_path)
    assert not maps.exists()


def test_truncated_encoding_map_is_rebuilt(tmp_path: Path, limit_memory: Callable[[float], None]) -> None:
    limit_memory(0.01)
    name = add_file(as_parquet(table(600)), "a.parquet", tmp_path).name
    whole = prepare(DataChoice(dataset=name), tmp_path).inputs["features"].clone()
    (path,) = (tmp_path / "data" / name / "maps").glob("rows-*/0.bin")
    path.write_bytes(path.read_bytes()[:-8])
    clear_cache()
    assert torch.equal(prepare(DataChoice(dataset=name), tmp_path).inputs["features"], whole)


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
def test_reading_a_column_reserves_no_more_memory_than_it_needs(tmp_path: Path) -> None:
    rows = 300_000
    some = np.arange(rows) % 7 == 0
    whole, real = np.arange(rows, dtype=np.int64), np.linspace(0, 1, rows)
    columns = {
        "whole": pa.array(whole),
        "missing": pa.array(whole, mask=some),
        "yes": pa.array(some),
        "real": pa.array(real, mask=some),
    }
    made, numbers = pa.table(columns), tmp_path / "numbers.npz"
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file, pa.ipc.new_file(file, made.schema) as writer:
        writer.write_table(made, max_chunksize=65_536)
    asked = [sys.executable, "-c", RESERVED, str(tmp_path / "t.arrow"), str(numbers)]
    told = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert int(told.stdout) < 200 * 2**20
    expected = {
        "whole": whole,
        "missing": np.where(some, np.nan, whole),
        "yes": some,
        "real": np.where(some, np.nan, real),
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
    with pytest.raises(ValueError):  # noqa: PT011 - the sequences of Python say no more
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
