"""Inputs and outputs keep the order of their source in the document, the source code, ONNX and pt2."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from netloom import export
from netloom.compile import input_nodes, module, output_nodes
from netloom.compile.formula import network_of, text_of
from netloom.compile.importers import ImportedModel, read_model
from netloom.document import SUBNETWORK, Network, Project, apply, canvas_network, dumps, loads
from netloom.document.edits import EditError
from netloom.export.tracing import quiet
from netloom.runs.history.comparison import difference
from tests.explain.models import untrained_run
from tests.networks import project

pytestmark = pytest.mark.usefixtures("operators")

# This is neither the alphabetical order nor the order in which the operators read the inputs.
NAMES = ("z", "a", "m")


class Away(nn.Module):
    """m − 2z + 3a and z − a: every order of the arguments and outputs gives different numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 4, bias=False)  # a document needs a trainable layer
        self.last.weight.data = torch.eye(4)

    def forward(self, z: torch.Tensor, a: torch.Tensor, m: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.last(m - 2 * z + 3 * a), z - a


def run_document(document: Project, *inputs: torch.Tensor) -> Any:
    """Run the document's network on positional inputs, with identity weights in its linear layer."""
    model = module(document).eval()
    for parameter in model.parameters():
        parameter.data = torch.eye(4) if parameter.ndim == 2 else torch.zeros(4)
    with torch.no_grad():
        return model(*inputs)


def import_pt2(path: Path) -> ImportedModel:
    example = tuple(torch.rand(3, 4) for _ in NAMES)
    shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in NAMES)
    with quiet():
        torch.export.save(torch.export.export(Away(), example, dynamic_shapes=shapes), path / "away.pt2")
    return read_model(path / "away.pt2")


def import_onnx(path: Path) -> ImportedModel:
    nodes = [
        helper.make_node("Sub", ["z", "a"], ["second"]),
        helper.make_node("Add", ["z", "z"], ["twice"]),
        helper.make_node("Sub", ["m", "twice"], ["less"]),
        helper.make_node("Add", ["a", "a"], ["a2"]),
        helper.make_node("Add", ["a2", "a"], ["a3"]),
        helper.make_node("Add", ["less", "a3"], ["sum"]),
        helper.make_node("MatMul", ["sum", "weight"], ["first"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in (*NAMES, "first", "second")]
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "weight")
    graph = helper.make_graph(nodes, "away", values[:3], values[3:], [weight])
    (path / "away.onnx").write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()
    )
    return read_model(path / "away.onnx")


def import_keras(path: Path) -> ImportedModel:
    def ref(name: str) -> dict[str, Any]:
        history = {"shape": [None, 4], "dtype": "float32", "keras_history": [name, 0, 0]}
        return {"class_name": "__keras_tensor__", "config": history}

    def layer(kind: str, name: str, *inputs: str, **config: Any) -> dict[str, Any]:
        calls = [{"args": [[ref(input_name) for input_name in inputs]], "kwargs": {}}] if inputs else []
        return {
            **{"module": "keras.layers", "class_name": kind, "config": {"name": name, **config}},
            **{"name": name, "inbound_nodes": calls},
        }

    layers = [layer("InputLayer", name, batch_shape=[None, 4]) for name in sorted(NAMES)]
    layers += [
        *(layer("Subtract", "second", "z", "a"), layer("Add", "twice", "z", "z"), layer("Add", "a3", "a", "a", "a")),
        *(layer("Subtract", "less", "m", "twice"), layer("Add", "sum", "less", "a3")),
        layer("Dense", "first", "sum", units=4, use_bias=False, activation="linear"),
    ]
    config = {
        **{"name": "away", "layers": layers},
        **{key: [[name, 0, 0] for name in names] for key, names in
           (("input_layers", NAMES), ("output_layers", ("first", "second")))},
    }  # fmt: skip
    (path / "away.json").write_text(json.dumps({"class_name": "Functional", "config": config}))
    return read_model(path / "away.json")


@pytest.mark.parametrize("source", [import_pt2, import_onnx, import_keras])
def test_import_keeps_the_argument_order_of_its_source(source: Callable[[Path], ImportedModel], tmp_path: Path) -> None:
    imported = source(tmp_path).project
    inputs = tuple(torch.rand(5, 4) for _ in NAMES)
    for document in (imported, loads(dumps(imported))):  # the keys of a file are sorted
        for actual, expected in zip(run_document(document, *inputs), Away()(*inputs), strict=True):
            torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)


def test_unused_argument_keeps_its_position(tmp_path: Path) -> None:
    class Unread(Away):
        def forward(self, z: torch.Tensor, a: torch.Tensor, m: torch.Tensor) -> Any:
            return self.last(z - 2 * m)

    with quiet():
        torch.export.save(torch.export.export(Unread(), tuple(torch.rand(3, 4) for _ in NAMES)), tmp_path / "x.pt2")
    inputs = tuple(torch.rand(5, 4) for _ in NAMES)
    imported = read_model(tmp_path / "x.pt2").project
    torch.testing.assert_close(run_document(imported, *inputs), Unread()(*inputs))


def swapped_fields() -> Project:
    """Two data fields in the reverse of both their order in the data and the alphabetical order of ids."""
    second = {"field": "second", "kind": "image", "shape": [1, 8, 8]}
    first = {"field": "first", "kind": "image", "shape": [1, 8, 8]}
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        **{"b": ("Input", first), "c": ("Input", second)},
        **{"flat_c": ("Flatten", {}), "flat_b": ("Flatten", {}), "less": ("Subtract", {})},
        **{"linear": ("Linear", {"units": 2}), "out": ("Output", {})},
    }
    edges = [("c", "flat_c"), ("b", "flat_b"), ("flat_c", "less.a"), ("flat_b", "less.b"), ("less", "linear")]
    document = project(nodes, [*edges, ("linear", "out")], data={"dataset": "same_digits"})
    return apply(document, {"kind": "order", "inputs": ["c", "b"]})


def test_exports_keep_the_input_order_of_the_document() -> None:
    import onnxruntime  # type: ignore[import-untyped]

    run = untrained_run(swapped_fields())
    assert run.fields == ["second", "first"]
    assert "def forward(self, c: torch.Tensor, b: torch.Tensor)" in run.source
    # Each export compares the file with the network on real rows, by position.
    content = {kind: export.content(run, kind) for kind in ("onnx", "pt2", "bundle")}
    session = onnxruntime.InferenceSession(content["onnx"], providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_inputs()] == ["second", "first"]
    second, first = torch.rand(5, 1, 8, 8), torch.rand(5, 1, 8, 8)
    expected_output = run.model(second, first).detach()
    by_name = session.run(None, {"second": second.numpy(), "first": first.numpy()})[0]
    np.testing.assert_allclose(by_name, expected_output.numpy(), atol=1e-5)
    program = torch.export.load(io.BytesIO(content["pt2"])).module()
    torch.testing.assert_close(program(second, first), expected_output)


def test_exported_files_import_with_the_same_input_order(tmp_path: Path) -> None:
    run = untrained_run(swapped_fields())
    for kind in ("onnx", "pt2"):
        path = tmp_path / f"crossed.{kind}"
        path.write_bytes(export.content(run, kind))
        imported = read_model(path)
        model = module(imported.project).eval()
        model.load_state_dict(imported.weights)
        second, first = torch.rand(5, 1, 8, 8), torch.rand(5, 1, 8, 8)
        torch.testing.assert_close(model(second, first), run.model(second, first), atol=1e-5, rtol=1e-4)


def test_formula_keeps_the_declaration_order_of_inputs() -> None:
    declared = "".join(f"{name} = Input(shape=(4,))\n" for name in NAMES)
    text = f"{declared}return Linear(m - 2 * z + 3 * a, units=4)\n"
    network = network_of(text)
    assert network.order("Input") == ["z", "a", "m"]
    written = text_of(network)
    assert written.splitlines()[:3] == text.splitlines()[:3]
    parsed = network_of(written)
    assert (parsed.inputs, parsed.nodes.keys()) == (network.inputs, network.nodes.keys())
    undeclared = network_of("gate * x - other")
    assert undeclared.order("Input") == ["x", "gate", "other"]  # x is the default input name
    inputs = tuple(torch.rand(3, 4) for _ in NAMES)
    torch.testing.assert_close(run_document(Project(name="z", networks={"main": network}), *inputs), Away()(*inputs)[0])


def test_default_input_order_is_natural_and_not_stored() -> None:
    z = ("Input", {"shape": [4]})
    document = project({"in_10": z, "in_2": z, "less": ("Subtract", {}), "out": ("Output", {})},
                   [("in_10", "less.a"), ("in_2", "less.b"), ("less", "out")])  # fmt: skip
    assert input_nodes(document) == ["in_2", "in_10"]
    text = dumps(document)
    assert '"inputs"' not in text
    assert dumps(loads(text)) == text
    reordered = apply(document, {"kind": "order", "inputs": ["in_10"]})
    assert input_nodes(loads(dumps(reordered))) == ["in_10", "in_2"]
    assert dumps(apply(reordered, {"kind": "order", "inputs": ["in_2", "in_10"]})) == text


def test_invalid_input_order_is_refused() -> None:
    value = json.loads(dumps(swapped_fields()))
    value["networks"]["main"]["inputs"] = ["c", "linear"]
    with pytest.raises(ValueError, match="inputs names linear, which is not an Input of this network"):
        loads(json.dumps(value))
    value["networks"]["main"]["inputs"] = ["c", "c"]
    with pytest.raises(ValueError, match="inputs repeats a node"):
        loads(json.dumps(value))
    with pytest.raises(EditError, match="'linear' is not an Input"):
        apply(swapped_fields(), {"kind": "order", "inputs": ["linear"]})


def nested_subtraction() -> Project:
    """A subnetwork that computes z − a, with two inputs in main."""
    inner = network_of("z = Input(shape=(4,))\na = Input(shape=(4,))\nreturn Linear(z - a, units=4)\n")
    four = ("Input", {"shape": [4]})
    document = project(
        {"one": four, "two": four, "less": (SUBNETWORK, {"network": "inner"}), "out": ("Output", {})},
        [("one", "less"), ("two", "less.a"), ("less", "out")],
    )
    return document.with_network("inner", inner)


def test_edges_follow_reordered_ports_of_a_subnetwork() -> None:
    first, second = torch.rand(3, 4), torch.rand(3, 4)
    document = nested_subtraction()
    torch.testing.assert_close(run_document(document, first, second), first - second)
    reordered = apply(document, {"kind": "order", "network": "inner", "inputs": ["a", "z"]})
    assert reordered.networks["inner"].ports("Input") == {"a": "in", "z": "z"}
    # The outer network is unaffected.
    torch.testing.assert_close(run_document(reordered, first, second), first - second)
    # A new input is appended regardless of its id; removing an input removes its edge and keeps the others.
    node = {"id": "aa", "type": "Input", "params": {"shape": [4]}}
    grown = apply(document, {"kind": "add", "network": "inner", "nodes": [node]})
    assert list(grown.networks["inner"].ports("Input")) == ["z", "a", "aa"]
    fewer = apply(document, {"kind": "remove", "network": "inner", "nodes": ["z"]})
    assert [(edge.source, edge.target) for edge in fewer.main_network.edges] == [("two", "less"), ("less", "out")]
    typed = network_of("a = Input(shape=(4,))\nz = Input(shape=(4,))\nreturn Linear(z - a, units=4)\n")
    content = typed.model_dump(mode="json")
    replaced = apply(document, {"kind": "replace_network", "name": "inner", "content": content})
    assert list(replaced.networks["inner"].ports("Input")) == ["a", "z"]
    torch.testing.assert_close(run_document(replaced, first, second), first - second)


def test_canvas_and_pasted_nodes_keep_the_input_order() -> None:
    document = swapped_fields()
    assert list(canvas_network(document)["nodes"])[:2] == ["c", "b"]
    nodes = [{"id": f"{key}_2", **node} for key, node in canvas_network(document)["nodes"].items()]
    pasted = apply(document, {"kind": "add", "nodes": nodes})
    assert input_nodes(pasted) == ["c", "b", "c_2", "b_2"]
    assert [(item.path, item.old, item.new) for item in difference(pasted, document).parameters] == []
    reordered = apply(document, {"kind": "order", "inputs": ["b", "c"]})
    assert [(item.path, item.old, item.new) for item in difference(document, reordered).parameters] == [
        ("main.inputs", "c, b", "b, c")
    ]


def test_removing_an_input_clears_the_stored_order() -> None:
    document = apply(swapped_fields(), {"kind": "remove", "nodes": ["c"]})
    assert document.main_network.inputs == ()
    assert loads(dumps(document)) == document
    stale = Network(nodes=swapped_fields().main_network.nodes, inputs=("c", "b")).model_copy(update={"nodes": {}})
    assert loads(dumps(document.with_network("main", stale))).main_network == Network()
    assert output_nodes(document) == ["out"]
