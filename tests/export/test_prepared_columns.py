"""Columns that were prepared in every way: the exported script takes rows as people have them, and answers alike."""

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
from tests.data.samples import csv
from tests.data.test_columns import EVERYTHING, mixed
from tests.export import bare
from tests.networks import of_every_field

TOLERANCE = 1e-6


def _project(home: Path, target: dict[str, Any], outputs: int, objective: str) -> Project:
    """A network of every field: features as they are, tokens through an embedding."""
    info = add_file(csv(mixed()), "houses.csv", home, target="label")
    columns = {**EVERYTHING, **target}
    choice = DataChoice(dataset=info.name, options={"columns": columns})
    found = schema(choice, home)
    assert found is not None
    return of_every_field(found, outputs, data=choice, training=Training(epochs=2, objective=objective, batch_size=16))


@pytest.mark.parametrize("task", ["class", "numbers"])
def test_the_script_reads_the_rows_of_the_file_itself(
    task: str, home: Path, python: bare.Interpreter, tmp_path: Path
) -> None:
    numbers = {"label": {"role": "ignore"}, "size": {"role": "target"}, "house": {"role": "target"}}
    made = _project(home, {}, 2, "classification") if task == "class" else _project(home, numbers, 2, "regression")
    run = fit_here(made, home)
    archive = export.export(run, "bundle", tmp_path / "taken.zip").path
    folder = tmp_path / "taken"
    with zipfile.ZipFile(archive) as found:
        found.extractall(folder)
    rows = pd.DataFrame(mixed()).drop(columns="label").head(12)
    rows.loc[3, "note"] = "never seen ünïcødé 漢字, and a much longer text than any in training, word by word by word"
    new: dict[str, Any] = {"city": "nowhere", "kind": "new", "rooms": 99}
    for name, value in new.items():
        rows.loc[4, name] = value
    rows.loc[5, "when"] = ""
    rows.to_csv(folder / "rows.csv", index=False)
    done = python.run(folder, "predict.py", "rows.csv")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    plain = pd.read_csv(folder / "rows.csv", dtype=str, keep_default_na=False).to_dict("records")
    expected = predict(run, [{str(name): value for name, value in row.items()} for row in plain])
    assert len(answers) == len(expected) == 12
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer.keys() == wanted.keys()
        if task == "class":
            assert answer["prediction"] == wanted["prediction"]
            assert answer["probabilities"] == pytest.approx(wanted["probabilities"], abs=TOLERANCE)
        else:
            assert answer["prediction"] == pytest.approx(wanted["prediction"], abs=1e-4)
            assert len(answer["prediction"]) == 2
    # And the rows that training itself read are answered as they are through the app's own tensors.
    test = run.data.split["test"][:5]
    straight = run.output({name: values[test] for name, values in run.data.inputs.items()})
    said = predict(run, [run.data.row(int(row)) for row in test])
    if task == "numbers":
        assert np.allclose([one["prediction"] for one in said], run.data.restore(straight).numpy(), atol=1e-4)
    else:
        names = run.data.schema.target.classes
        assert [one["prediction"] for one in said] == [names[int(row.argmax())] for row in straight]
