"""Tables in the formats of Weka and of SVMlight."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from tests.data.samples import import_and_prepare, import_error

HEADER = """% a comment
@relation 'a name'
@attribute 'big a' real
@attribute note string
@ATTRIBUTE class {yes,'not yet'}
@DATA
"""


def test_arff_files_are_read(home: Path) -> None:
    rows = [f"{row / 4},'it\\'s, fine',{['yes', chr(39) + 'not yet' + chr(39)][row % 2]}" for row in range(40)]
    rows[3] = "?,?,yes"
    data = import_and_prepare((HEADER + "\n".join(["% more", *rows])).encode(), home, "a.arff")
    assert data.schema.target.classes == ("not yet", "yes")
    assert data.row(0)["big a"] == 0
    assert data.row(0)["note"] == "it's, fine"
    assert data.row(3)["big a"] is None


@pytest.mark.parametrize(
    ("row", "reason"), [("{0 1.5}", "sparse rows"), ("1,2", "Row 41 of 'a.arff' has 2 values, but the file declares 3")]
)
def test_other_arff_rows_are_refused(row: str, reason: str, home: Path) -> None:
    rows = ["1,b,yes"] * 40
    assert reason in import_error((HEADER + "\n".join([*rows, row])).encode(), home, "a.arff")


def test_arff_files_with_tables_in_cells_are_not_read_as_prose(home: Path) -> None:
    header = "@relation Moves\n@attribute series relational\n@attribute step numeric\n@end series\n@data\n"
    note = "% The data was recorded by a smart watch, ten times a second.\n" * 20
    error = import_error((note + header + "'1, 2\\n3, 4',walking\n" * 3).encode(), home, "a.arff")
    assert "tables in its cells (relational attributes)" in error


def test_svmlight_files_are_read_as_by_scikit_learn(home: Path) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(40, 5)) * (random.random((40, 5)) < 0.5)
    file = io.BytesIO()
    dump_svmlight_file(values, np.arange(40) % 2 * 2 - 1, file, zero_based=False)
    data = import_and_prepare(file.getvalue(), home, "a.txt")
    features, labels = load_svmlight_file(io.BytesIO(file.getvalue()))
    assert data.schema.target.classes == ("-1", "1")
    assert [data.row(row)[f"x{column + 1}"] for row in range(3) for column in range(5)] == (
        features.toarray()[:3].ravel().tolist()
    )
    assert [data.schema.target.classes[int(index)] for index in data.target[:5]] == [
        f"{label:.0f}" for label in labels[:5]
    ]


@pytest.mark.parametrize(("form", "row"), [("ARFF", "1.5,b,yes"), ("SVMlight", "1 1:0.5 3:2")])
def test_formats_that_do_not_fit_into_memory_are_refused(
    form: str, row: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETLOOM_DATA_MEMORY_MB", "0.001")
    content = "\n".join([row] * 400) + "\n"
    error = import_error((HEADER * (form == "ARFF") + content).encode(), home, "a.txt")
    assert f"is an {form} file that does not fit into memory" in error
