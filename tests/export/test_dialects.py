"""The exported script reads files as the app does: equal predictions for equal rows in every CSV dialect."""

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
from netloom.data.tables.raw_rows import with_warnings
from netloom.document import DataChoice, Training
from netloom.export.archive import python, sources
from netloom.runs import TrainedRun, fit_here, predict
from tests.data.test_rowfile import COLUMNS, DIALECTS, Writing, rows, write
from tests.export import bare
from tests.networks import of_every_field


@pytest.fixture(scope="module")
def trained_bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedRun, Path]:
    """A network for columns of every type, and its unpacked bundle."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("taken")
    info = add_file(write(rows(dated=False), Writing()), "goods.csv", home, kind="table", target="label")
    choice = DataChoice(dataset=info.name, options=dict[str, Any](columns=COLUMNS))
    data_schema = schema(choice, home)
    assert data_schema is not None
    run = fit_here(of_every_field(data_schema, 2, data=choice, training=Training(epochs=2, batch_size=16)), home)
    with zipfile.ZipFile(export.export(run, "bundle", folder / "taken.zip").path) as archive:
        archive.extractall(folder / "taken")
    return run, folder / "taken"


@pytest.mark.parametrize("name", DIALECTS)
def test_script_matches_app_in_every_csv_dialect(
    name: str, trained_bundle: tuple[TrainedRun, Path], python: bare.Interpreter
) -> None:
    run, folder = trained_bundle
    (folder / "rows.csv").write_bytes(write(rows(dated=False), DIALECTS[name]))
    process = python.run(folder, "predict.py", "rows.csv")
    assert process.returncode == 0, process.stderr
    names = run.data.schema.target.classes
    probabilities = run.output(run.data.inputs).softmax(1)  # from the tensors that training used
    for answer, row in zip(json.loads(process.stdout), probabilities, strict=True):
        assert answer["prediction"] == names[int(row.argmax())]
        assert answer["probabilities"] == pytest.approx(dict(zip(names, row.tolist(), strict=True)), abs=1e-6)
        assert not {"unknown", "unreadable"} & set(answer)


def test_app_and_script_report_unknown_categories_and_unreadable_cells(
    trained_bundle: tuple[TrainedRun, Path], python: bare.Interpreter
) -> None:
    run, folder = trained_bundle
    new_rows: list[dict[str, Any]] = rows(dated=False)[:6]
    new_rows[1] |= {"color": "blue", "size": "abc"}
    new_rows[2] |= {"color": "blue", "half": 99.5}
    (folder / "new.csv").write_bytes(write(new_rows, replace(DIALECTS["tabs"], missing="")))
    process = python.run(folder, "predict.py", "new.csv")
    assert process.returncode == 0, process.stderr
    answers = json.loads(process.stdout)
    assert [answer.get("unknown", {}) for answer in answers[:3]] == [
        {}, {"color": "blue"}, {"color": "blue", "half": "99.5"},
    ]  # fmt: skip
    assert [answer.get("unreadable", {}) for answer in answers[:3]] == [{}, {"size": "abc"}, {}]
    assert (
        "Column 'color': 2 of 6 rows hold a category that the training data did not have: 'blue' (2)." in process.stderr
    )
    assert "Column 'size': 1 of 6 rows" in process.stderr
    read = read_rows(str(folder / "new.csv"), run.data.preprocess.to_json())
    app_answers = with_warnings(predict(run, read.rows), unreadable=read.unreadable)
    assert [answer.keys() for answer in app_answers] == [answer.keys() for answer in answers]
    for app_answer, script_answer in zip(app_answers, answers, strict=True):
        assert {**app_answer, "probabilities": None} == {**script_answer, "probabilities": None}
        assert app_answer["probabilities"] == pytest.approx(script_answer["probabilities"], abs=1e-6)


def test_exported_modules_equal_package_source() -> None:
    """Apart from the import paths of sibling modules and comments for the type checker."""
    for source in sources():
        text = files(source.package).joinpath(source.name).read_text(encoding="utf-8")
        text = re.sub(r"  # type: ignore.*", "", text)
        assert python(source.package, source.name) == re.sub(r"netloom\.(data\.(\w+\.)?|modalities\.)", "", text)


def test_exported_modules_define_no_duplicate_names() -> None:
    """In a notebook, the modules are cells that share one namespace."""
    names: list[str] = []
    for package, name in [*((item.package, item.name) for item in sources()), ("netloom.export", "predict.py")]:
        for node in ast.parse(python(package, name)).body:
            targets = node.targets if isinstance(node, ast.Assign) else [node]
            defined = [getattr(item, "name", getattr(item, "id", "")) for item in targets]
            names += [item for item in defined if item and not isinstance(node, (ast.Import, ast.ImportFrom))]
    assert len(names) == len(set(names)), sorted(item for item in set(names) if names.count(item) > 1)
