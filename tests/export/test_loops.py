"""Training and export of a network that is applied once for each step along an axis."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch

from netloom import export
from netloom.compile.importers import read_model
from netloom.compression import CompressionError
from netloom.compression.importance import importance
from netloom.compression.narrowing import narrowed
from netloom.document import DataChoice, Edge, Node, Project, Training
from netloom.runs import TrainedRun, fit_here, predict
from tests.export import bare
from tests.loops import diabetes, leaky_cell, looped, sequence

pytestmark = pytest.mark.usefixtures("operators")


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


def forecast(initial: str, direction: str) -> Project:
    """A forecast of a series of 32 steps by a cell with two inputs of a step, and an initial state."""
    document = looped(leaky_cell(features=1), sequence(32, 1), direction=direction, initial={"hidden": initial})
    main = document.main_network
    head = {"head": Node(id="head", type="Linear", params={"units": 1}), "output": Node(id="output", type="Output")}
    reads = "cell_1.final_hidden"
    nodes = {key: node for key, node in main.nodes.items() if node.type != "Output"} | head
    nodes["input_1"] = nodes["input_1"].model_copy(update={"params": {**nodes["input_1"].params, "field": "series"}})
    edges = [edge for edge in main.edges if edge.target in nodes or edge.target_node in nodes]
    edges += [Edge(source=reads, target="head"), Edge(source="head", target="output")]
    network = main.model_copy(update={"nodes": nodes, "edges": tuple(edges), "inputs": ("input_1",), "outputs": ()})
    training = Training(objective="regression", epochs=1)
    changed = {"data": DataChoice(dataset="sine"), "training": training}
    return document.model_copy(update={"networks": {**document.networks, "main": network}, **changed})


@pytest.mark.parametrize(
    ("initial", "direction"),
    [
        pytest.param("zeros", "forward", marks=pytest.mark.long),  # the defaults
        ("learned", "reverse"),
    ],
)
def test_onnx_has_one_scan_for_any_number_of_steps(initial: str, direction: str, tmp_path: Path) -> None:
    run = fit_here(forecast(initial, direction))
    path = export.export(run, "onnx", tmp_path / "run.onnx").path
    model = onnx.load(path)
    assert [node.op_type for node in model.graph.node].count("Scan") == 1
    assert not {"Tanh", "Unsqueeze", "Split"} & {node.op_type for node in model.graph.node}
    assert not model.functions
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for rows, steps in ((3, 32), (1, 32), (4, 7), (2, 50)):
        x = torch.randn(rows, steps, 1)
        (outputs,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(outputs, run.model(x).detach().numpy(), rtol=1e-5, atol=1e-5)
    imported = read_model(path)
    nodes = [node for node in imported.project.main_network.nodes.values() if node.params.get("along") == "axis"]
    assert len(nodes) == 1


def test_a_loop_that_is_not_a_scan_is_written_step_by_step(
    run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise RuntimeError("an operator without a scan")

    monkeypatch.setattr("netloom.export.scanned_loops.scan", refused)
    graph = onnx.load(export.export(run, "onnx", tmp_path / "run.onnx").path).graph
    assert [node.op_type for node in graph.node].count("Tanh") == 5


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
