"""The exported script reads files as the app does: equal answers for equal rows, whatever program wrote them."""

from __future__ import annotations

import ast
import json
import re
import zipfile
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from netloom import export
from netloom.cli.rows import read_rows
from netloom.data import add_file, schema
from netloom.data.tables.row_file import with_warnings
from netloom.document import DataChoice, Training
from netloom.export.archive import python, sources
from netloom.runs import TrainedRun, fit_here, predict
from tests.data.test_rowfile import COLUMNS, DIALECTS, Writing, rows, write
from tests.export import bare
from tests.networks import of_every_field


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedRun, Path]:
    """A network for columns of every kind, and its bundle."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("taken")
    info = add_file(write(rows(dated=False), Writing()), "goods.csv", home, kind="table", target="label")
    choice = DataChoice(dataset=info.name, options=dict[str, Any](columns=COLUMNS))
    found = schema(choice, home)
    assert found is not None
    run = fit_here(of_every_field(found, 2, data=choice, training=Training(epochs=2, batch_size=16)), home)
    with zipfile.ZipFile(export.export(run, "bundle", folder / "taken.zip").path) as archive:
        archive.extractall(folder / "taken")
    return run, folder / "taken"


@pytest.mark.parametrize("name", DIALECTS)
def test_the_script_answers_as_the_app_does_in_every_dialect(
    name: str, taken: tuple[TrainedRun, Path], python: bare.Interpreter
) -> None:
    run, folder = taken
    (folder / "rows.csv").write_bytes(write(rows(dated=False), DIALECTS[name]))
    done = python.run(folder, "predict.py", "rows.csv")
    assert done.returncode == 0, done.stderr
    names = run.data.schema.target.classes
    straight = run.output(run.data.inputs).softmax(1)  # what training itself read
    for answer, row in zip(json.loads(done.stdout), straight, strict=True):
        assert answer["prediction"] == names[int(row.argmax())]
        assert answer["probabilities"] == pytest.approx(dict(zip(names, row.tolist(), strict=True)), abs=1e-6)
        assert not {"unknown", "unreadable"} & set(answer)


def test_both_report_what_training_never_saw_and_what_cannot_be_read(
    taken: tuple[TrainedRun, Path], python: bare.Interpreter
) -> None:
    run, folder = taken
    found: list[dict[str, Any]] = rows(dated=False)[:6]
    found[1] |= {"color": "blue", "size": "abc"}
    found[2] |= {"color": "blue", "half": 99.5}
    (folder / "new.csv").write_bytes(write(found, replace(DIALECTS["tabs"], missing="")))
    done = python.run(folder, "predict.py", "new.csv")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert [answer.get("unknown", {}) for answer in answers[:3]] == [
        {}, {"color": "blue"}, {"color": "blue", "half": "99.5"},
    ]  # fmt: skip
    assert [answer.get("unreadable", {}) for answer in answers[:3]] == [{}, {"size": "abc"}, {}]
    assert "Column 'color': 2 of 6 rows hold a category that the training data did not have: 'blue' (2)." in done.stderr
    assert "Column 'size': 1 of 6 rows" in done.stderr
    read = read_rows(str(folder / "new.csv"), run.data.preprocess)
    ours = with_warnings(predict(run, read.rows), unreadable=read.unreadable)
    assert [answer.keys() for answer in ours] == [answer.keys() for answer in answers]
    for mine, other in zip(ours, answers, strict=True):
        assert {**mine, "probabilities": None} == {**other, "probabilities": None}
        assert mine["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)


def test_what_is_exported_is_the_source_that_import_runs() -> None:
    """But for where its neighbours are imported from."""
    for one in sources():
        ours = files(one.package).joinpath(one.name).read_text(encoding="utf-8")
        assert python(one.package, one.name) == re.sub(r"netloom\.(data\.\w+|modalities)\.", "", ours)


def test_no_name_of_the_modules_is_another_one_in_a_notebook() -> None:
    """They are cells of one namespace there."""
    names: list[str] = []
    for package, name in [*((one.package, one.name) for one in sources()), ("netloom.export", "predict.py")]:
        for node in ast.parse(python(package, name)).body:
            targets = node.targets if isinstance(node, ast.Assign) else [node]
            found = [getattr(one, "name", getattr(one, "id", "")) for one in targets]
            names += [one for one in found if one and not isinstance(node, (ast.Import, ast.ImportFrom))]
    assert len(names) == len(set(names)), sorted(one for one in set(names) if names.count(one) > 1)
