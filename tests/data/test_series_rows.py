"""Series as rows of a table with a column for each step, as in the TSV files of the UCR archive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netloom.data import DataError, add_file, prepare
from netloom.data.raw.series import Series
from netloom.data.tables.row_file import read_rows
from netloom.data.uploads import fitting, open_source, reader_for
from netloom.document import DataChoice
from netloom.modalities.encoding.cells import EncodeError
from tests.data.samples import import_and_prepare, import_error

RANDOM = np.random.default_rng(0)
STEPS = 40
SERIES = np.cumsum(RANDOM.normal(size=(60, STEPS)), axis=1).round(4)
CLASSES = [str(row % 2 + 1) for row in range(60)]


def table(series: np.ndarray = SERIES, *, place: str = "first", separator: str = "\t", header: str = "") -> bytes:
    """Lines of the steps with a class before or after them, or without any."""
    lines = [header] if header else []
    for row, label in zip(series, CLASSES, strict=False):
        cells = [f"{value:g}" for value in row]
        lines.append(separator.join({"first": [label, *cells], "last": [*cells, label]}.get(place, cells)))
    return ("\n".join(lines) + "\n").encode()


@pytest.mark.parametrize("place", ["first", "last"])
def test_rows_of_steps_are_series_beside_their_class(place: str, home: Path) -> None:
    data = import_and_prepare(table(place=place), home, "Waves_TRAIN.tsv")
    assert isinstance(data.raw, Series)
    assert data.schema.target.name == ("column 1" if place == "first" else f"column {STEPS + 1}")
    assert np.allclose(data.raw.windows[:, :, 0], SERIES)
    assert [data.raw.classes[index] for index in data.raw.target.ravel()] == CLASSES


def test_files_of_a_split_stay_apart(home: Path) -> None:
    files = {"Waves_TRAIN.tsv": table(SERIES[:40]), "Waves_TEST.tsv": table(SERIES[40:])}
    data = prepare(DataChoice(dataset=add_file(files, "Waves", home).name), home)
    assert isinstance(data.raw, Series)
    assert sorted(data.split["test"].tolist()) == list(range(40, 60))


@pytest.mark.parametrize("other", ["unrelated", "whole", "named", "few", "pixels", "large"])
def test_other_tables_stay_tables(other: str) -> None:
    unrelated = RANDOM.normal(size=(60, STEPS))
    # Two of the last columns are much larger than the others, as the lengths of runs of capitals in Spambase
    large = np.hstack([unrelated[:, :-2], np.exp(unrelated[:, -2:-1] + [[4, 6]])])
    series = {"unrelated": unrelated, "whole": SERIES.round(), "few": SERIES[:, :20], "large": large}
    names = {"named": [f"gene{step * 3}" for step in range(STEPS)], "pixels": [f"pixel{step}" for step in range(STEPS)]}
    header = "\t".join(["y", *names[other]]) if other in names else ""
    source = open_source(table(series.get(other, SERIES), header=header), "a.tsv")
    assert fitting(source)[0].name == "table"
    assert reader_for(source, target="y" if header else "column 1").name == "table"


def test_columns_with_names_can_be_read_as_series(home: Path) -> None:
    header = "\t".join(["y", *(f"t{step / 10}" for step in range(STEPS))])
    info = add_file(table(header=header), "a.tsv", home, kind="series_rows", target="y")
    data = prepare(DataChoice(dataset=info.name), home)
    assert (data.schema.inputs[0].shape, data.schema.target.name) == ((STEPS, 1), "y")
    with pytest.raises(DataError, match="has no columns of numbers beside"):
        add_file(b"y,a\n" + b"u,v\nw,x\n" * 20, "b.csv", home, kind="series_rows", target="y")


def test_a_column_that_is_no_number_is_left_out_of_the_guess(home: Path) -> None:
    rows = table(separator=",").decode().splitlines()
    rows[3] = rows[3].replace(rows[3].split(",")[7], "high", 1)
    assert fitting(open_source("\n".join(rows).encode(), "a.csv"))[0].name == "table"
    assert import_error(b"", home, "a.csv")


@pytest.mark.parametrize("place", ["first", "last", "none"])
def test_lines_without_a_header_are_predicted_as_series(place: str, home: Path) -> None:
    data = import_and_prepare(table(), home, "Waves_TRAIN.tsv")
    rows = read_rows(table(SERIES[:5], place=place), "new.tsv", data.preprocess.to_json()).rows
    assert len(rows) == 5
    assert np.allclose([row["series"] for row in rows], SERIES[:5])


def test_decimal_commas_are_predicted_as_they_are_read(home: Path) -> None:
    def with_commas(content: bytes) -> bytes:
        return content.replace(b",", b";").replace(b".", b",")

    data = import_and_prepare(with_commas(table(separator=",")), home, "waves.csv")
    rows = read_rows(with_commas(table(SERIES[:5], separator=",")), "new.csv", data.preprocess.to_json()).rows
    assert np.allclose([row["series"] for row in rows], SERIES[:5])


def test_a_missing_step_in_the_first_line_is_named(home: Path) -> None:
    data = import_and_prepare(table(), home, "Waves_TRAIN.tsv")
    lines = table(SERIES[:5], place="none", separator=",").decode().splitlines()
    for mark in ("", "NaN"):
        cells = lines[0].split(",")
        content = "\n".join([",".join([*cells[:3], mark, *cells[4:]]), *lines[1:]])
        rows = read_rows(content.encode(), "new.csv", data.preprocess.to_json()).rows
        assert rows[0]["series"][3] is None
        assert np.allclose(rows[1]["series"], SERIES[1])


def test_an_ambiguous_class_column_is_not_guessed(home: Path) -> None:
    data = import_and_prepare(table(), home, "Waves_TRAIN.tsv")
    both_whole = SERIES[:5].copy()
    both_whole[:, -1] = 0
    with pytest.raises(EncodeError, match="has no column 'series'"):
        read_rows(table(both_whole), "new.tsv", data.preprocess.to_json())
