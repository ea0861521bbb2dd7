"""Decomposed attention imports as one layer with equal outputs and per-head attention weights."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from torch import nn

from netloom.compile import input_nodes, module
from netloom.compile.importers import read_model
from netloom.compile.importers.imported_model import ImportedModel
from netloom.export.tracing import quiet
from tests.compile.spelled import HEADS, STEPS, WIDTH, Biased, Multihead, Readers, Shared, Writers

pytestmark = pytest.mark.usefixtures("operators")

Rows = tuple[torch.Tensor, ...]


def tokens(count: int) -> Rows:
    return (torch.randint(0, 30, (count, STEPS)),)


def padded(count: int) -> Rows:
    mask = torch.ones(count, STEPS)
    mask[0, 4:] = 0
    return (*tokens(count), mask)


def steps(count: int) -> Rows:
    return (torch.randn(count, STEPS, WIDTH),)


def masked(count: int) -> Rows:
    return (*steps(count), padded(count)[1])


def pairs(count: int) -> Rows:
    return (*steps(count), torch.randn(count, 5, WIDTH))


def export_to_file(network: nn.Module, rows: Rows, exporter: str, path: Path) -> Path:
    """Export as pt2, or as ONNX with the dynamo exporter (opset 18, or 23 for the operator Attention) or the old."""
    names = ["x", "y"][: len(rows)]
    with warnings.catch_warnings(), quiet(), torch.no_grad():
        warnings.simplefilter("ignore")  # the old exporter is deprecated, and tracing warns about Python values
        if exporter == "pt2":
            shapes: Any = tuple({0: torch.export.Dim.DYNAMIC} for _ in rows)
            torch.export.save(torch.export.export(network, rows, dynamic_shapes=shapes), path / "model.pt2")
            return path / "model.pt2"
        target: Any = path / "model.onnx"
        if exporter == "old":
            axes = {name: {0: "n"} for name in names}
            torch.onnx.export(network, rows, target, dynamo=False, input_names=names, dynamic_axes=axes)
            return path / "model.onnx"
        shapes = tuple({0: "batch"} for _ in rows)
        options: dict[str, Any] = {"dynamic_shapes": shapes, "input_names": names, "verbose": False}
        program = torch.onnx.export(network, rows, dynamo=True, opset_version=int(exporter), **options)
        assert program is not None
        target.write_bytes(program.model_proto.SerializeToString())
    return path / "model.onnx"


def reference_output(network: nn.Module, path: Path, rows: Rows) -> torch.Tensor:
    if path.suffix == ".pt2":
        output: torch.Tensor = network(*rows)
        return output
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    feeds = {item.name: row.numpy() for item, row in zip(session.get_inputs(), rows, strict=True)}
    return torch.from_numpy(np.asarray(session.run(None, feeds)[0]))


def run_imported(built: nn.Module, imported: ImportedModel, rows: Rows) -> torch.Tensor:
    """Run the imported network; if its first input is the mask, the inputs are in reverse order."""
    order = [imported.project.main_network.nodes[key].params["kind"] for key in input_nodes(imported.project)]
    ordered_rows = rows[::-1] if len(order) > 1 and order[0] == "vector" else rows
    result: torch.Tensor = built(*ordered_rows)
    return result


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Rows], str, str, int]] = {
    "gpt2 old": (lambda: Writers("where"), tokens, "old", "MultiHeadAttention", 1),
    "gpt2 pt2": (lambda: Writers("add"), tokens, "pt2", "MultiHeadAttention", 1),
    "gpt old": (lambda: Writers("fill"), tokens, "old", "MultiHeadAttention", 1),
    "bert old": (Readers, padded, "old", "SelfAttention", 1),
    "bert pt2": (Readers, padded, "pt2", "SelfAttention", 1),
    "function 23": (lambda: Shared(False, True), steps, "23", "MultiHeadAttention", 1),
    "function pt2": (lambda: Shared(True), steps, "pt2", "SelfAttention", 1),
    "function old": (lambda: Shared(False), masked, "old", "SelfAttention", 1),
    "module 18": (lambda: Multihead(True), steps, "18", "MultiHeadAttention", 1),
    "module pt2": (lambda: Multihead(False), steps, "pt2", "MultiHeadAttention", 1),
    "module old": (lambda: Multihead(False, cross=True), pairs, "old", "CrossAttention", 1),
    "own bias": (Biased, steps, "old", "Softmax", 1),
}


# The same networks from the other exporter, whose files the tests of other networks here import.
SIMILAR = ("gpt2 old", "module pt2")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in SIMILAR else []) for name in CASES]
)
def test_attention_imports_as_one_layer_with_equal_outputs(name: str, tmp_path: Path) -> None:
    build, make_rows, exporter, kind, count = CASES[name]
    torch.manual_seed(5)
    network = build().eval()
    path = export_to_file(network, make_rows(2), exporter, tmp_path)
    imported = read_model(path)
    types = Counter(node.type for part in imported.project.networks.values() for node in part.nodes.values())
    assert types[kind] == count
    assert kind == "Softmax" or not types["Softmax"]
    built = module(imported.project).eval()
    built.load_state_dict(imported.weights)
    rows = make_rows(3)
    with torch.no_grad():
        assert torch.allclose(run_imported(built, imported, rows), reference_output(network, path, rows), atol=1e-5)


def test_imported_attention_weights_match_each_head(tmp_path: Path) -> None:
    torch.manual_seed(5)
    network: Any = Writers("where", 1).eval()
    rows = tokens(3)
    imported = read_model(export_to_file(network, tokens(2), "old", tmp_path))
    built: Any = module(imported.project).eval()
    built.load_state_dict(imported.weights)
    (layer,) = [part for part in built.modules() if hasattr(part, "capture")]
    layer.capture = True
    with torch.no_grad():
        network(*rows)
        built(*rows)
    assert layer.attention.shape == (3, HEADS, STEPS, STEPS)
    assert torch.allclose(layer.attention, network.blocks[0].weights, atol=1e-6)


def test_attention_node_id_contains_its_module_name(tmp_path: Path) -> None:
    imported = read_model(export_to_file(Multihead(False).eval(), steps(2), "old", tmp_path))
    (node,) = [node for node in imported.project.main_network.nodes.values() if node.type == "MultiHeadAttention"]
    assert "attend" in node.id
