"""Training and export of a network that is applied once for each step along an axis."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch

from netloom import export
from netloom.compression import CompressionError
from netloom.compression.importance import importance
from netloom.compression.narrowing import narrowed
from netloom.runs import TrainedRun, fit_here, predict
from tests.export import bare
from tests.loops import diabetes


@pytest.fixture(scope="module")
def run() -> TrainedRun:
    return fit_here(diabetes(initial={"hidden": "learned"}))


def test_exported_files_return_the_outputs_of_the_network(run: TrainedRun, tmp_path: Path) -> None:
    inputs = run.data.inputs["features"][:7]
    expected = run.model.eval()(inputs).detach()
    program = torch.export.load(export.export(run, "pt2", tmp_path / "run.pt2").path).module()
    torch.testing.assert_close(program(inputs), expected, rtol=1e-5, atol=1e-6)
    path = export.export(run, "onnx", tmp_path / "run.onnx").path
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    np.testing.assert_allclose(outputs, expected.numpy(), rtol=1e-5, atol=1e-5)


def test_bundle_predicts_what_the_run_predicts(run: TrainedRun, python: bare.Interpreter, tmp_path: Path) -> None:
    rows = [run.data.row(row) for row in range(3)]
    with zipfile.ZipFile(export.export(run, "bundle", tmp_path / "run.zip").path) as bundle:
        bundle.extractall(tmp_path / "run")
    (tmp_path / "run" / "rows.json").write_text(json.dumps([_json(row) for row in rows]))
    process = python.run(tmp_path / "run", "predict.py", "rows.json")
    assert process.returncode == 0, process.stderr
    for actual, expected in zip(json.loads(process.stdout), predict(run, rows), strict=True):
        assert actual["prediction"] == pytest.approx(expected["prediction"], rel=1e-5)


def _json(row: dict[str, object]) -> dict[str, object]:
    return {name: np.asarray(value).tolist() for name, value in row.items()}


def test_layers_of_a_step_keep_their_channels(run: TrainedRun) -> None:
    with pytest.raises(CompressionError, match="no layer whose channels can be removed"):
        narrowed(run, 0.5, importance(run, "l1"))
