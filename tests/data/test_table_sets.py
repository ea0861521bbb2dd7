"""Several files: parts of a split, tables with the same columns, and folders with several data sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from netloom.core.errors import DataError
from netloom.data import prepare
from netloom.data.uploads import add_file, open_source, reader_for
from netloom.data.uploads.files.table_sets import FILE
from netloom.document import DataChoice
from tests.data.brought import EXAMPLE_FILES
from tests.data.crafted import make_csv

ROWS = [f"{i * 0.5},{-i},{'pq'[i % 2]}" for i in range(60)]
MONTHS = {f"{month}.csv": make_csv("a,b,kind", ROWS[20 * i : 20 * i + 20]) for i, month in enumerate(("may", "june"))}
WINES = {
    "wine/red.csv": make_csv("a,b,kind", ROWS[:40]),
    "wine/white.csv": make_csv("c,d,sort", ROWS),
    "wine/README.txt": b"Wines, by somebody, with notes, and more.",
}


def read(files: dict[str, bytes], answers: dict[str, Any] | None = None) -> tuple[list[str], int]:
    """The columns and the number of rows that the likely reader takes."""
    source = open_source(files, "set")
    table = reader_for(source, "table").preview(source, answers or {})
    return list(table.columns), len(source.together(str((answers or {}).get("data_set", "")))[0])


def test_files_with_the_same_columns_are_one_table(home: Path) -> None:
    data = prepare(DataChoice(dataset=add_file(MONTHS, "months", home).name), home)
    assert len(data.raw) == 40
    assert any(f"the column {FILE!r} names the file" in warning for warning in data.raw.warnings)
    assert sorted(data.raw.row(0)) == ["a", "b"]


def test_name_of_the_file_can_be_the_target(home: Path) -> None:
    data = prepare(DataChoice(dataset=add_file(MONTHS, "months", home, target=FILE).name), home)
    assert data.schema.target.classes == ("june", "may")


def test_own_column_of_this_name_stays() -> None:
    files = {name: content.replace(b"a,b,kind", b"file,b,kind") for name, content in MONTHS.items()}
    assert read(files)[0] == ["file'", "file", "b", "kind"]


def test_one_of_several_data_sets_is_chosen(home: Path) -> None:
    source = open_source(WINES, "wine")
    question = next(item for item in reader_for(source).questions(source, {}) if item.name == "data_set")
    assert (question.choices, question.default, question.when_added) == (("white.csv", "red.csv"), "white.csv", True)
    info = add_file(WINES, "wine", home, options={"data_set": "red.csv"})
    data = prepare(DataChoice(dataset=info.name), home)
    assert info.columns == ("a", "b", "kind")
    assert len(data.raw) == 40
    assert "'red.csv' is read, and 'white.csv' is left out." in data.raw.warnings[0]


def test_unknown_data_set_is_rejected(home: Path) -> None:
    with pytest.raises(DataError, match=r"no data set 'pink.csv'; there is 'white.csv', 'red.csv'"):
        add_file(WINES, "wine", home, options={"data_set": "pink.csv"})


def test_each_data_set_can_have_its_own_split() -> None:
    files = {
        f"{name}/{part}.csv": make_csv(header, ROWS[:count])
        for name, header, count in (("small", "a,b,kind", 10), ("large", "c,d,sort", 20))
        for part in ("train", "test")
    }
    assert list(open_source(files, "sets").sets()) == ["large", "small"]
    assert read(files) == (["c", "d", "sort", "part of the split"], 40)
    assert read(files, {"data_set": "small"}) == (["a", "b", "kind", "part of the split"], 20)


def test_single_file_with_a_description_is_the_table() -> None:
    assert read({"set/data.csv": MONTHS["may.csv"], "set/README.md": b"# Data, described\n"})[1] == 20


def test_data_and_its_parts_are_not_read_twice() -> None:
    rows = [f"{i}\t{i % 7}\t{i % 3}" for i in range(40)]
    files = {
        "u.data": "\n".join(rows).encode(),
        "u1.base": "\n".join(rows[:30]).encode(),
        "u1.test": "\n".join(rows[30:]).encode(),
    }
    assert read(files)[1] == 40


@pytest.mark.parametrize("name", ["reviews.zip", "lines.zip", "tones.zip", "squares.zip", "mnist.zip"])
def test_files_that_are_not_tables_hold_no_data_sets(name: str) -> None:
    assert open_source(EXAMPLE_FILES[name][0](), name).sets() == {}


def test_triplets_are_not_a_table_unless_a_target_is_named(home: Path) -> None:
    rows = [f"a {i % 5},b {i % 5},c {i % 5},{i % 2}" for i in range(40)]
    content = make_csv("anchor,positive_text,neg,kind", rows)
    with pytest.raises(DataError, match=r"'anchor', 'positive_text' and 'neg' are triplets, .* Read them as triplets"):
        add_file(content, "triplets.csv", home, kind="table")
    assert add_file(content, "triplets.csv", home, target="kind").task == "classification"


def _features(order: Sequence[int] = range(40), ids: Sequence[int] = range(40)) -> dict[str, bytes]:
    """Return inputs and targets with ids, whose label is the last digit of the id."""
    return {
        "X.csv": make_csv("id,a,b", [f"{i + 100},{i * 0.5},{-i}" for i in ids]),
        "y.csv": make_csv("id,kind", [f"{i + 100},k{i % 10}" for i in order]),
    }


def test_targets_are_joined_by_their_ids() -> None:
    source = open_source(_features(order=range(39, -1, -1)), "set")
    table = reader_for(source, "table").preview(source, {})
    assert list(table.columns) == ["id", "a", "b", "kind"]
    assert [f"k{int(i) % 10}" for i in table["id"]] == list(table["kind"])


def test_targets_with_other_ids_are_refused(home: Path) -> None:
    with pytest.raises(DataError, match=r"The column 'id' differs between 'X.csv' and 'y.csv'; put the rows"):
        add_file(_features(order=range(1, 41)), "set", home)
    same = {name: content.replace(b"kind", b"a") for name, content in _features().items()}
    with pytest.raises(DataError, match=r"'X.csv' has all columns of 'y.csv', such as 'id', so that no target is left"):
        add_file(same, "set", home)


def test_numbered_targets_are_named_y() -> None:
    files = {
        "X.csv": "\n".join(f"{i * 0.5},{-i},{i * i}" for i in range(40)).encode(),
        "y.csv": "\n".join(f"{i * 0.25},{i + 0.5}" for i in range(40)).encode(),
    }
    assert read(files)[0] == ["column 1", "column 2", "column 3", "y1", "y2"]


def test_features_in_folders_of_the_parts_are_joined() -> None:
    files = {f"{part}/{name}": content for part in ("train", "test") for name, content in _features().items()}
    source = open_source(files, "set")
    table = reader_for(source, "table").preview(source, {})
    assert list(table.columns) == ["id", "a", "b", "kind", "part of the split"]


@pytest.mark.parametrize("columns", ["a,b,kind", "a,kind"])
def test_parts_in_two_formats_are_two_data_sets_if_their_columns_differ(columns: str, home: Path) -> None:
    """SNLI has each part as JSON lines and as a table with tabs, whose columns differ."""
    files = {f"set/{part}.csv": make_csv("a,b,kind", ROWS[:20]) for part in ("train", "test")}
    for part in ("train", "test"):
        records = [dict(zip(("a", "b", "kind"), row.split(","), strict=True)) for row in ROWS[:20]]
        lines = [json.dumps({name: record[name] for name in columns.split(",")}) for record in records]
        files[f"set/{part}.jsonl"] = "\n".join(lines).encode()
    source = open_source(files, "set")
    data = prepare(DataChoice(dataset=add_file(files, "set", home).name), home)
    if columns == "a,kind":
        assert [*source.sets()] == ["set.csv", "set.jsonl"]
        assert len(data.raw) == 40
        assert "'set.csv' is read, and 'set.jsonl' is left out." in data.raw.warnings[0]
    else:
        assert len(data.raw) == 80
