"""Layouts in which data sets are published: labels in front, parts in one JSON file, blanks between cells, u.data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netloom.data import DataError, Prepared, prepare
from netloom.data.uploads import add_file, fitting, open_source
from netloom.document import DataChoice
from tests.data.brought import sentence

RANDOM = np.random.default_rng(0)
RECORDS: list[dict[str, Any]] = [{"a": i * 0.5, "b": -i, "kind": "pq"[i % 2]} for i in range(60)]
TEXTS = [sentence(RANDOM, 6) for _ in range(60)]


def added(content: Any, filename: str, home: Path) -> Prepared:
    return prepare(DataChoice(dataset=add_file(content, filename, home).name), home)


def kinds(content: Any, filename: str) -> list[str]:
    return [reader.name for reader in fitting(open_source(content, filename))]


def sizes(data: Prepared) -> list[int]:
    return [len(data.split[part]) for part in ("train", "validation", "test")]


# ---------------------------------------------------------------- labels in front of texts


@pytest.mark.parametrize("labels", [("DESC:manner", "HUM:ind"), ("0", "1"), ("__label__bad", "__label__good")])
def test_labels_in_front_of_texts_are_the_target(labels: tuple[str, str], home: Path) -> None:
    content = "\n".join(f"{labels[i % 2]} {text}" for i, text in enumerate(TEXTS)).encode()
    data = added(content, "train.label", home)
    assert kinds(content, "train.label")[0] == "table"
    assert data.schema.target.classes == tuple(label.removeprefix("__label__") for label in labels)
    assert data.raw.row(3) == {"text": TEXTS[3]}
    assert [data.raw.classes[index] for index in data.raw.target[:2]] == list(data.schema.target.classes)


def test_several_labels_in_front_are_multiple_labels(home: Path) -> None:
    content = "\n".join(f"__label__x {'__label__y ' * (i % 3 > 0)}{text}" for i, text in enumerate(TEXTS)).encode()
    data = added(content, "tags.txt", home)
    assert data.schema.target.kind == "labels"
    assert data.raw.target.tolist() == [[1, int(i % 3 > 0)] for i in range(len(TEXTS))]


def test_files_of_labels_and_texts_give_the_split(home: Path) -> None:
    rows = [f"{'ab'[i % 2]}: {text}" for i, text in enumerate(TEXTS)]
    data = added({"train.txt": "\n".join(rows[:45]).encode(), "test.txt": "\n".join(rows[45:]).encode()}, "set", home)
    assert sizes(data)[2] == 15
    assert data.raw.classes == ("a", "b")


def test_plain_text_is_not_taken_for_labels() -> None:
    assert kinds("\n".join(f"{text}." for text in TEXTS).encode(), "book.txt") == ["prose"]


# ---------------------------------------------------------------- parts in one JSON file


@pytest.mark.parametrize("layout", ["records", "lists", "columns", "below a version"])
def test_json_with_a_list_per_part_gives_the_split(layout: str, home: Path) -> None:
    parts: dict[str, Any] = {"train": RECORDS[:40], "val": RECORDS[40:48], "test": RECORDS[48:]}
    if layout == "lists":
        parts = {name: [list(record.values()) for record in records] for name, records in parts.items()}
    if layout == "columns":
        parts = {
            name: {column: [record[column] for record in records] for column in records[0]}
            for name, records in parts.items()
        }
    data = added(json.dumps({"version": "1", "data": parts} if layout == "below a version" else parts).encode(),
                 "all.json", home)  # fmt: skip
    assert sizes(data) == [40, 8, 12]
    assert data.schema.target.classes == ("p", "q")


def test_several_lists_of_one_part_are_joined(home: Path) -> None:
    parts = {"train": RECORDS[:30], "oos_train": RECORDS[30:40], "test": RECORDS[40:]}
    data = added(json.dumps(parts).encode(), "clinc.json", home)
    assert len(data.split["train"]) + len(data.split["validation"]) == 40


def test_part_of_a_record_does_not_replace_its_own_column(home: Path) -> None:
    records = [{"split": i % 7, **record} for i, record in enumerate(RECORDS)]
    data = added(json.dumps({"train": records[:40], "test": records[40:]}).encode(), "own.json", home)
    assert data.raw.row(3)["split"] == 3
    assert len(data.split["test"]) == 20


def test_columns_of_numbers_named_like_parts_stay_columns() -> None:
    content = json.dumps({"train": [0.5] * 12, "test": [0.7] * 12, "epoch": list(range(12))}).encode()
    assert list(open_source(content, "curves.json").table()[0].columns) == ["train", "test", "epoch"]


def test_facts_beside_the_parts_of_a_split_are_ignored(home: Path) -> None:
    content = json.dumps({"version": "1.1", "train": RECORDS[:40], "test": RECORDS[40:]}).encode()
    data = added(content, "set.json", home)
    assert (sizes(data)[2], data.raw.row(0)["a"]) == (20, 0.0)


# ---------------------------------------------------------------- separators


def test_tabs_separate_cells_of_texts_with_commas(home: Path) -> None:
    lines = [f"{'ham' if i % 3 else 'spam'}\t{text}, as you know" for i, text in enumerate(TEXTS)]
    data = added("\n".join(lines).encode(), "SMSSpamCollection", home)
    assert data.schema.target.classes == ("ham", "spam")
    assert list(data.raw.row(1).values()) == [f"{TEXTS[1]}, as you know"]


def test_a_description_beside_tables_is_not_one_of_them(home: Path) -> None:
    files = {}
    for color, rows in (("red", 40), ("white", 50)):
        lines = ["acidity;alcohol;quality", *(f"{i / 7:.2f};{i % 5};{i % 3 + 5}" for i in range(rows))]
        files[f"winequality-{color}.csv"] = "\n".join(lines).encode()
    files["winequality.names"] = "\n".join(TEXTS).encode()
    assert fitting(open_source(files, "wine"))[0].name == "table"
    data = added(files, "wine", home)
    assert (len(data.raw), data.schema.target.name) == (90, "quality")


@pytest.mark.parametrize("separator", [" ", "   ", "::", " \t "])
def test_blanks_and_double_colons_separate_cells(separator: str) -> None:
    rows = [[f"{i * 0.5}", str(-i), str(i % 3)] for i in range(40)]
    table, _ = open_source("\n".join(map(separator.join, rows)).encode(), "seeds.data").table()
    assert table.shape == (40, 3)
    assert table["column 2"].tolist() == [-i for i in range(40)]


def test_quoted_names_between_blanks_are_one_cell() -> None:
    rows = "".join(f'  {i}.0   {i % 5}   1.5\t"car {i} gt"\n' for i in range(30))
    table, _ = open_source(rows.encode(), "auto.data").table()
    assert table.iloc[4].tolist() == [4.0, 4, 1.5, "car 4 gt"]


def test_empty_cells_between_tabs_stay_empty() -> None:
    rows = "a\tb\tc\n" + "".join(f"{i}\t\t{i}\n" for i in range(30))
    table, _ = open_source(rows.encode(), "gaps.tsv").table()
    assert table["b"].isna().all()


# ---------------------------------------------------------------- ratings


def ratings(times: bool = True) -> list[list[int]]:
    rows = [[user, item, 1 + (user * item) % 5] for user in range(1, 25) for item in range(1, 31) if (user + item) % 4]
    return [[*row, 880_000_000 + 977 * index] for index, row in enumerate(rows)] if times else rows


@pytest.mark.parametrize("separator", ["\t", "::", ","])
def test_ratings_without_names_are_read_with_the_rating_as_target(separator: str, home: Path) -> None:
    rows = ratings()
    content = "\n".join(separator.join(map(str, row)) for row in rows).encode()
    assert kinds(content, "u.data") == ["ratings", "table"]
    data = added(content, "u.data", home)
    assert data.raw.target[:, 0].tolist() == [row[2] for row in rows]
    assert [field.name for field in data.schema.inputs] == ["user", "item"]


def test_ratings_without_times_are_offered_after_a_table() -> None:
    content = "\n".join("\t".join(map(str, row)) for row in ratings(times=False)).encode()
    assert kinds(content, "u.data") == ["table", "ratings"]


def test_other_whole_numbers_without_names_are_not_ratings() -> None:
    rows = [[30 + i % 53, 58 + i % 12, i % 25, 1 + i % 2] for i in range(300)]  # as in Haberman's survival data
    assert kinds("\n".join(",".join(map(str, row)) for row in rows).encode(), "haberman.data") == ["table"]


# ---------------------------------------------------------------- competitions and archives


def test_only_the_training_table_of_a_competition_is_read(home: Path) -> None:
    rows = [f"{i},{i % 2},{20 + i % 40},{i % 3}" for i in range(60)]
    files = {
        "train.csv": "\n".join(["PassengerId,Survived,Age,Pclass", *rows]).encode(),
        "test.csv": "\n".join(["PassengerId,Age,Pclass", *(f"{i},{20 + i},{i % 3}" for i in range(60, 80))]).encode(),
        "gender_submission.csv": "\n".join(["PassengerId,Survived", *(f"{i},0" for i in range(60, 80))]).encode(),
    }
    data = added(files, "titanic", home)
    assert (len(data.raw), data.schema.target.name, data.raw.given) == (60, "Survived", None)
    assert any("'test.csv' and 'gender_submission.csv', as in a competition" in note for note in data.raw.warnings)


def test_the_validation_table_of_a_competition_is_read(home: Path) -> None:
    rows = [f"{i},{i % 2},{20 + i % 40}" for i in range(60)]
    files = {
        "train.csv": "\n".join(["id,label,age", *rows[:40]]).encode(),
        "valid.csv": "\n".join(["id,label,age", *rows[40:]]).encode(),
        "test.csv": "\n".join(["id,age", *(f"{i},{20 + i}" for i in range(60, 80))]).encode(),
        "sample_submission.csv": "\n".join(["id,label", *(f"{i},0" for i in range(60, 80))]).encode(),
        "stores.csv": "\n".join(["store,size", *(f"{i},{3 * i}" for i in range(9))]).encode(),
    }
    data = added(files, "shop", home)
    assert (len(data.raw), data.schema.target.name) == (60, "label")
    assert len(data.split["validation"]) == 20
    assert any("only 'train.csv' and 'valid.csv' have the target" in note for note in data.raw.warnings)
    assert any("Left out 'stores.csv'" in note for note in data.raw.warnings)


def test_the_class_in_front_of_a_series_is_the_target(home: Path) -> None:
    """The UCR archive has no column names."""
    lines = ["\t".join([str(i % 2 + 1), *(f"{value:.5f}" for value in RANDOM.normal(size=24))]) for i in range(60)]
    files = {"Italy_TRAIN.tsv": "\n".join(lines[:40]).encode(), "Italy_TEST.tsv": "\n".join(lines[40:]).encode()}
    data = added(files, "Italy", home)
    assert (data.schema.target.name, data.raw.classes, len(data.split["test"])) == ("column 1", ("1", "2"), 20)


def test_questions_about_paragraphs_are_refused(home: Path) -> None:
    paragraphs = [{"context": text, "qas": [{"question": "Why?", "answers": [{"text": "a"}]}]} for text in TEXTS]
    content = json.dumps({"version": "1.1", "data": [{"title": "A", "paragraphs": paragraphs}]}).encode()
    with pytest.raises(DataError, match="questions about paragraphs, as in SQuAD"):
        add_file(content, "train-v1.1.json", home)


def _inputs(rows: range, separator: str) -> str:
    return "\n".join(separator.join(f"{row / 7 + column:.6e}" for column in range(6)) for row in rows)


@pytest.mark.parametrize("layout", ["UCI HAR", "scikit-learn", "one"])
def test_files_of_inputs_and_targets_are_one_table(layout: str, home: Path) -> None:
    header = "id," + ",".join("abcdef") + "\n"
    files = {}
    for part, rows in {"train": range(40), "test": range(40, 60)}.items():
        if layout == "UCI HAR":  # without column names, beside other signals and names
            files[f"HAR/{part}/X_{part}.txt"] = "  " + _inputs(rows, "  ")
            files[f"HAR/{part}/y_{part}.txt"] = "\n".join(str(row % 3 + 1) for row in rows)
            files[f"HAR/{part}/signals/body_{part}.txt"] = _inputs(rows, " ")
            files["HAR/features.txt"] = "1 mean\n2 std\n"
        elif layout == "scikit-learn":
            ids = [f"{row}," + line for row, line in zip(rows, _inputs(rows, ",").splitlines(), strict=True)]
            files[f"X_{part}.csv"] = header + "\n".join(ids)
            files[f"y_{part}.csv"] = "id,kind\n" + "\n".join(f"{row},{row % 3 + 1}" for row in rows)
    if layout == "one":
        files = {"features.csv": "a,b,c,d,e,f\n" + _inputs(range(60), ","), "labels.csv": "kind\n" + "1\n2\n3\n" * 20}
    data = added({name: text.encode() for name, text in files.items()}, "har", home)
    assert (data.schema.target.name, data.raw.classes) == ("y" if layout == "UCI HAR" else "kind", ("1", "2", "3"))
    assert data.raw.target.tolist() == [row % 3 for row in range(60)]
    assert (data.raw.given is None) == (layout == "one")
    assert layout == "one" or len(data.split["test"]) == 20


def test_inputs_and_targets_of_other_numbers_of_rows_are_refused(home: Path) -> None:
    files = {"X.csv": b"a,b\n" + b"1,2\n" * 40, "y.csv": b"kind\n" + b"p\nq\n" * 19}
    with pytest.raises(DataError, match=r"'X.csv' has 40 rows, but 'y.csv' has 38"):
        add_file(files, "xy", home)
