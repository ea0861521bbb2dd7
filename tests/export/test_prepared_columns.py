"""Columns with every kind of preprocessing: the exported script predicts from raw rows as the app does."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from netloom import export
from netloom.data import add_file, schema
from netloom.document import DataChoice, Project, Training
from netloom.runs import fit_here, predict
from tests.data.samples import csv_from_columns
from tests.data.test_columns import EVERYTHING, mixed
from tests.export import bare
from tests.networks import of_every_field

TOLERANCE = 1e-6


def _project(home: Path, target: dict[str, Any], outputs: int, objective: str) -> Project:
    """A network that reads every field: features directly, tokens through an embedding."""
    info = add_file(csv_from_columns(mixed()), "houses.csv", home, target="label")
    columns = {**EVERYTHING, **target}
    choice = DataChoice(dataset=info.name, options={"columns": columns})
    data_schema = schema(choice, home)
    assert data_schema is not None
    return of_every_field(
        data_schema, outputs, data=choice, training=Training(epochs=2, objective=objective, batch_size=16)
    )


@pytest.mark.parametrize("task", ["class", "numbers"])
def test_script_predicts_from_raw_csv_rows(task: str, home: Path, python: bare.Interpreter, tmp_path: Path) -> None:
    numbers = {"label": {"role": "ignore"}, "size": {"role": "target"}, "house": {"role": "target"}}
    document = _project(home, {}, 2, "classification") if task == "class" else _project(home, numbers, 2, "regression")
    run = fit_here(document, home)
    archive = export.export(run, "bundle", tmp_path / "taken.zip").path
    folder = tmp_path / "taken"
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(folder)
    rows = pd.DataFrame(mixed()).drop(columns="label").head(12)
    rows.loc[3, "note"] = "never seen ünïcødé 漢字, and a much longer text than any in training, word by word by word"
    new: dict[str, Any] = {"city": "nowhere", "kind": "new", "rooms": 99}
    for name, value in new.items():
        rows.loc[4, name] = value
    rows.loc[5, "when"] = ""
    rows.to_csv(folder / "rows.csv", index=False)
    process = python.run(folder, "predict.py", "rows.csv")
    assert process.returncode == 0, process.stderr
    answers = json.loads(process.stdout)
    raw_rows = pd.read_csv(folder / "rows.csv", dtype=str, keep_default_na=False).to_dict("records")
    expected = predict(run, [{str(name): value for name, value in row.items()} for row in raw_rows])
    assert len(answers) == len(expected) == 12
    for answer, expected_answer in zip(answers, expected, strict=True):
        assert answer.keys() == expected_answer.keys()
        if task == "class":
            assert answer["prediction"] == expected_answer["prediction"]
            assert answer["probabilities"] == pytest.approx(expected_answer["probabilities"], abs=TOLERANCE)
        else:
            assert answer["prediction"] == pytest.approx(expected_answer["prediction"], abs=1e-4)
            assert len(answer["prediction"]) == 2
    # Predictions from raw test rows match the outputs for the preprocessed tensors.
    test = run.data.split["test"][:5]
    outputs = run.output({name: values[test] for name, values in run.data.inputs.items()})
    predictions = predict(run, [run.data.row(int(row)) for row in test])
    if task == "numbers":
        assert np.allclose(
            [prediction["prediction"] for prediction in predictions], run.data.restore(outputs).numpy(), atol=1e-4
        )
    else:
        names = run.data.schema.target.classes
        assert [prediction["prediction"] for prediction in predictions] == [names[int(row.argmax())] for row in outputs]
