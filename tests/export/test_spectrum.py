"""Sounds read as spectrograms, all the way: trained, explained, and answered by the script that is taken away."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from netloom import export
from netloom.document import DataChoice, Training
from netloom.explain import Trained, explain
from netloom.runs import fit_here, predict
from tests.export import bare
from tests.networks import chain


def test_the_script_takes_the_waveform_itself(home: Path, python: bare.Interpreter, tmp_path: Path) -> None:
    sound: dict[str, str | int] = {"sound": "log-mel", "bands": 16, "window": 128, "hop": 64}
    choice = DataChoice(dataset="spoken", options={"rows": 200, "fields": {"sound": {**sound}}})
    source = ("Input", {"field": "sound", "kind": "sequence", "shape": [19, 16]})
    made = chain(
        source,
        ("Flatten", {}),
        ("Linear", {"units": 32}),
        ("ReLU", {}),
        ("Linear", {"units": 10}),
        data=choice,
        training=Training(epochs=30, batch_size=32, learning_rate=0.01),
    )
    run = fit_here(made, home)
    test = run.data.split["test"]
    rows = [run.data.row(int(row)) for row in test[:6]]
    expected = predict(run, rows)
    answer = run.output({name: values[test] for name, values in run.data.inputs.items()})
    assert float((answer.argmax(1) == run.data.target[test]).float().mean()) > 0.6  # of ten digits; by chance 0.1
    with zipfile.ZipFile(export.export(run, "bundle", tmp_path / "taken.zip").path) as found:
        found.extractall(tmp_path / "taken")
    given = [{name: np.asarray(value).tolist() for name, value in row.items()} for row in rows]
    (tmp_path / "taken" / "rows.json").write_text(json.dumps(given))
    cells = [f'"{json.dumps(row["sound"])}"' for row in given]
    (tmp_path / "taken" / "rows.csv").write_text("\n".join(["sound", *cells]))
    for name in ("rows.json", "rows.csv"):
        done = python.run(tmp_path / "taken", "predict.py", name)
        assert done.returncode == 0, done.stderr
        for one, wanted in zip(json.loads(done.stdout), expected, strict=True):
            assert one["prediction"] == wanted["prediction"]
            assert one["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)
    _explained(run, int(test[0]))


def _explained(run: Trained, row: int) -> None:
    """The parts of an answer are those of the spectrogram, each band by its name."""
    found = explain(run, "integrated_gradients", row, proofs=False)
    assert found.attributions["sound"].shape == (19, 16)
    assert found.labels["sound"][0].endswith(" Hz")
    assert np.shape(found.example.series) == (19, 16)
    own = explain(run, "integrated_gradients", run.data.row(row), proofs=False)
    assert np.allclose(own.attributions["sound"], found.attributions["sound"], atol=1e-6)
    assert own.example.series == pytest.approx(np.asarray(found.example.series), abs=1e-9)
