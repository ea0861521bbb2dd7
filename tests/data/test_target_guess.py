"""The likely targets of a table, and where they are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from netloom.cli import main
from netloom.data.tables.target_guess import default_target, is_timestamp, likely_targets, ranked_targets
from netloom.data.uploads import fitting, open_source
from netloom.data.uploads.upload_kind import other_guesses
from netloom.sandbox import FileInspection
from tests.data.crafted import make_csv

ROWS = 60
RANDOM = np.random.default_rng(0)
CELLS = {
    "number": RANDOM.normal(size=ROWS).round(4),
    "flag": np.arange(ROWS) % 2,
    "few": np.array(["a", "b", "c"] * (ROWS // 3)),
    "id": np.arange(ROWS),
    "recurring": np.arange(ROWS) // 2,
    "seconds": np.arange(ROWS) * 86_400 + 1_700_000_000,
    "same": np.ones(ROWS),
    "date": pd.date_range("2024-01-01", periods=ROWS, tz="UTC"),
    "part": np.array(["train", "train", "test"] * (ROWS // 3)),
}


def table(columns: str) -> pd.DataFrame:
    """A table from `name:cells` pairs."""
    pairs = (column.split(":") for column in columns.split())
    return pd.DataFrame({name: CELLS[cells] for name, cells in pairs})


@pytest.mark.parametrize(
    ("columns", "target"),
    [
        ("survived:flag pclass:number class:few alone:flag", "survived"),  # Titanic
        ("species:few length:number mass:number sex:flag", "species"),  # penguins
        ("mpg:number cylinders:number origin:few", "mpg"),
        ("carat:number cut:few price:number x:number y:number z:number", "price"),  # y is a coordinate
        ("x:number y:flag other:number", "y"),
        ("Target:flag class:few last:number", "Target"),
        ("a:number SalePrice:number b:few", "SalePrice"),
        ("a:number b:few", "b"),
        ("v1:few v2:number customer_id:id", "v2"),
        ("a:number rating:few when:seconds", "rating"),
        ("age:number income:number buys:flag", "buys"),
        ("image_id:id dx:few dx_type:few age:number", "dx"),  # HAM10000
        ("a:number b:few c:seconds", "b"),
        ("a:number b:few c:same", "b"),
        ("a:number b:few c:date", "b"),
        ("a:number b:few c:part", "b"),
        ("ozone:number wind:number year:number", "wind"),
        ("ozone:number Month:few Day:flag", "ozone"),
        ("treatment:few seizures:number id:few", "seizures"),
        ("treatment:few seizures:number family_id:recurring", "seizures"),
        ("treatment:few seizures:number familyid:recurring", "seizures"),
        ("treatment:few seizures:number patient:recurring", "seizures"),
        ("area:number species_id:recurring", "species_id"),
        ("area:number patient_id:few", "patient_id"),  # so few values may be classes
        ("name:number state:few latitude:number longitude:number", "state"),
        ("name:number state:few longitude:number", "longitude"),
        ("time:number status:flag age:number weight:number", "status"),
        ("choice:few price_a:number price_b:number c:number", "choice"),
        ("min_price:number price:number max_price:number weight:number", "price"),
        ("marital_status:few hours:number status:few", "status"),
        ("loan_status:flag hours:number status:few", "loan_status"),
    ],
)
def test_target_is_guessed_by_name_position_and_cardinality(columns: str, target: str) -> None:
    assert default_target(table(columns)) == target


@pytest.mark.parametrize(
    ("cells", "target"),
    [
        ("few number number", "column 1"),  # as in the wine data of UCI
        ("few number flag", "column 3"),
        ("few few number", "column 3"),
        ("number number flag", "column 3"),  # Pima
    ],
)
def test_target_without_column_names_is_guessed_by_cells(cells: str, target: str) -> None:
    assert (
        default_target(
            table(" ".join(f"c{i}:{kind}" for i, kind in enumerate(cells.split(), 1))).set_axis(
                [f"column {i}" for i in range(1, 4)], axis=1
            )
        )
        == target
    )


def test_names_in_a_small_table_are_not_guessed() -> None:
    cities = [f"city {row}" for row in range(20)]  # too many values for classes
    table = pd.DataFrame({"long": RANDOM.normal(size=20), "lat": RANDOM.normal(size=20), "city": cities})
    assert ranked_targets(table) == ["lat", "long", "city"]


def test_all_columns_but_the_split_are_ranked() -> None:
    assert ranked_targets(table("survived:flag class:few part:part alone:flag a:number")) == [
        "survived",
        "class",
        "a",
        "alone",
    ]


def test_only_columns_that_can_be_predicted_are_offered_beyond_the_first() -> None:
    assert likely_targets(table("row:id same:same a:number when:seconds")) == ["a"]
    assert likely_targets(table("a:number b:few c:flag d:number e:few")) == ["e", "a", "b"]
    assert likely_targets(table("class:same a:number year:few")) == ["class", "a"]  # named, so that the reason is shown
    assert likely_targets(table("id:id same:same")) == ["same"]


@pytest.mark.parametrize(
    ("columns", "guesses"),
    [
        ("a:number b:number y1:number y2:number", ["y2", "y1", "a"]),
        ("X1:number X2:number X3:few Y1:number Y2:number", ["Y2", "Y1", "X1"]),  # ENB2012 of UCI
        ("x1:number y1:number x2:number y2:number name:few", ["name", "x1", "y1"]),  # corners of boxes
        ("_:number y1:number b:number", ["y1", "b", "_"]),
        ("a:number y1:number y2:same b:few", ["b", "y1", "a"]),
        ("target_1:flag a:number target_2:flag b:few", ["target_1", "target_2", "b"]),
    ],
)
def test_numbered_targets_are_among_the_guesses(columns: str, guesses: list[str]) -> None:
    assert likely_targets(table(columns)) == guesses


def test_timestamps_are_whole_seconds_or_milliseconds_that_differ() -> None:
    seconds = pd.Series(CELLS["seconds"])
    assert is_timestamp(seconds)
    assert is_timestamp(seconds * 1_000)
    assert not is_timestamp(seconds / 2**20)
    assert not is_timestamp(pd.Series(CELLS["id"]))
    assert not is_timestamp(seconds.iloc[:1])


def test_second_and_third_guess_are_reported_by_the_command(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = make_csv(
        "survived,age,class,alone", (f"{i % 2},{i * 1.5},{'abc'[i % 3]},{i % 4 // 2}" for i in range(ROWS))
    )
    (tmp_path / "ship.csv").write_bytes(content)
    guesses = "Other guesses for 'column to predict': 'class', 'alone'."
    assert main(["--home", str(home), "data", "add", str(tmp_path / "ship.csv")]) == 0
    assert guesses in capsys.readouterr().out
    assert main(["--home", str(home), "data", "add", str(tmp_path / "ship.csv"), "--target", "class"]) == 0
    assert "Other guesses" not in capsys.readouterr().out


def test_guesses_pass_from_the_confined_process() -> None:
    content = make_csv("survived,class,age", (f"{i % 2},{'abc'[i % 3]},{i * 1.5}" for i in range(ROWS)))
    source = open_source(content, "ship.csv")
    inspection = FileInspection({"ship.csv": content}, "ship.csv")
    try:
        reader = inspection.reader()
        confined = inspection.questions(reader, {})
    finally:
        inspection.close()
    assert confined == fitting(source)[0].questions(source, {})
    assert confined[0].likely == ("survived", "class", "age")
    assert other_guesses(confined, {"target": "class"}) == ["Other guesses for 'column to predict': 'survived', 'age'."]
