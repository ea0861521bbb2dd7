"""Sounds as spectrograms, end to end: training, explanation, and prediction by the exported script."""

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


def test_script_predicts_from_raw_waveform(home: Path, python: bare.Interpreter, tmp_path: Path) -> None:
    sound: dict[str, str | int] = {"sound": "log-mel", "bands": 16, "window": 128, "hop": 64}
    choice = DataChoice(dataset="spoken", options={"rows": 200, "fields": {"sound": {**sound}}})
    source = ("Input", {"field": "sound", "kind": "sequence", "shape": [19, 16]})
    document = chain(
        source,
        ("Flatten", {}),
        ("Linear", {"units": 32}),
        ("ReLU", {}),
        ("Linear", {"units": 10}),
        data=choice,
        training=Training(epochs=30, batch_size=32, learning_rate=0.01),
    )
    run = fit_here(document, home)
    test_rows = run.data.split["test"]
    rows = [run.data.row(int(row)) for row in test_rows[:6]]
    expected = predict(run, rows)
    output = run.output({name: values[test_rows] for name, values in run.data.inputs.items()})
    assert (
        float((output.argmax(1) == run.data.target[test_rows]).float().mean()) > 0.6
    )  # ten digits; chance level is 0.1
    with zipfile.ZipFile(export.export(run, "bundle", tmp_path / "taken.zip").path) as bundle:
        bundle.extractall(tmp_path / "taken")
    json_rows = [{name: np.asarray(value).tolist() for name, value in row.items()} for row in rows]
    (tmp_path / "taken" / "rows.json").write_text(json.dumps(json_rows))
    cells = [f'"{json.dumps(row["sound"])}"' for row in json_rows]
    (tmp_path / "taken" / "rows.csv").write_text("\n".join(["sound", *cells]))
    for name in ("rows.json", "rows.csv"):
        process = python.run(tmp_path / "taken", "predict.py", name)
        assert process.returncode == 0, process.stderr
        for actual, expected_answer in zip(json.loads(process.stdout), expected, strict=True):
            assert actual["prediction"] == expected_answer["prediction"]
            assert actual["probabilities"] == pytest.approx(expected_answer["probabilities"], abs=1e-5)
    assert_explained_by_band(run, int(test_rows[0]))


def assert_explained_by_band(run: Trained, row: int) -> None:
    """Attributions have the shape of the spectrogram, and each band is labeled with its frequency."""
    explanation = explain(run, "integrated_gradients", row, proofs=False)
    assert explanation.attributions["sound"].shape == (19, 16)
    assert explanation.labels["sound"][0].endswith(" Hz")
    assert np.shape(explanation.example.series) == (19, 16)
    custom = explain(run, "integrated_gradients", run.data.row(row), proofs=False)
    assert np.allclose(custom.attributions["sound"], explanation.attributions["sound"], atol=1e-6)
    assert custom.example.series == pytest.approx(np.asarray(explanation.example.series), abs=1e-9)
