"""Branches, loops and functions of ONNX files: unrolled with equal outputs and shared weights, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper

from netloom.compile import module
from netloom.compile.importers import UnreadableModelError
from netloom.compile.importers.imported_model import ImportedModel
from netloom.compile.importers.onnx import import_bytes

N, T, D = 2, 5, 4
NUMBERS = np.random.default_rng(0)
KERNEL = NUMBERS.normal(0, 0.5, (D, D)).astype(np.float32)
FILTERS = NUMBERS.normal(0, 0.5, (T, 3, 4)).astype(np.float32)
node = helper.make_node


def info(name: str, *shape: int | str, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def content(nodes: Sequence[NodeProto], outputs: Sequence[str], functions: Sequence[Any] = (), **tensors: Any) -> bytes:
    """A file with the input X (N, T, D), a few constants, and others by name."""
    constants = {"W": KERNEL, "half": np.float32(0.5), "true": np.array(True), "steps": np.int64(T)} | tensors
    graph = helper.make_graph(
        list(nodes), "g", [info("X", "n", T, D)], [info(name, "n", *"abc"[: 2 - (name == "last")]) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return bytes(helper.make_model(graph, opset_imports=domains, ir_version=8, functions=functions).SerializeToString())


def check(file: bytes) -> ImportedModel:
    """Import the file, and compare all outputs with ONNX Runtime."""
    rows = NUMBERS.normal(size=(N, T, D)).astype(np.float32)
    expected = onnxruntime.InferenceSession(file).run(None, {"X": rows})
    model = import_bytes(file)
    network = module(model.project).eval()
    network.load_state_dict(model.weights)
    outputs = network(torch.from_numpy(rows))
    for output, reference in zip(outputs if isinstance(outputs, tuple) else (outputs,), expected, strict=True):
        np.testing.assert_allclose(output.detach(), reference, rtol=0, atol=2e-6)
    return model


# h = tanh(x W + h): the body reads W from the graph around it.
STEP = [
    node("MatMul", ["x", "W"], ["product"]),
    node("Add", ["product", "state"], ["sum"]),
    node("Tanh", ["sum"], ["next"]),
    node("Identity", ["next"], ["out"]),
]
# Zeros (n, D) of the batch
ZEROS = [
    node("ReduceSum", ["X", "axis"], ["total"], keepdims=0),
    node("Shape", ["total"], ["shape"]),
    node("ConstantOfShape", ["shape"], ["zeros"]),
]
AXIS = np.array([1])


def types(model: ImportedModel, network: str = "main") -> list[str]:
    """The types of the nodes of a network, in order."""
    return sorted(item.type for item in model.project.networks[network].nodes.values())


def settings(model: ImportedModel) -> dict[str, Any]:
    """The settings of the only network along an axis."""
    (found,) = (item for item in model.project.main_network.nodes.values() if item.params.get("along") == "axis")
    return dict(found.params)


@pytest.mark.parametrize("is_backward", [0, 1])
def test_a_scan_over_the_steps_has_one_set_of_weights(is_backward: int) -> None:
    body = helper.make_graph(
        STEP, "body", [info("state", "n", D), info("x", "n", D)], [info("next", "n", D), info("out", "n", D)]
    )
    directions: dict[str, Any] = {"scan_input_directions": [is_backward], "scan_output_directions": [is_backward]}
    axes: dict[str, Any] = {"scan_input_axes": [1], "scan_output_axes": [1]}
    scan = node("Scan", ["zeros", "X"], ["last", "Y"], body=body, num_scan_inputs=1, **axes, **directions)
    model = check(content([*ZEROS, scan], ["Y", "last"], axis=AXIS))
    parameters = sum(value.numel() for value in module(model.project).parameters())
    assert parameters == KERNEL.size
    assert types(model) == ["Input", "Output", "Output", "Subnetwork"]
    assert types(model, "step_1") == ["Add", "Input", "Input", "Linear", "Output", "Tanh"]
    direction = {"direction": "reverse"} if is_backward else {}
    states = {"state_1": "out"}
    assert settings(model) == {"network": "step_1", "along": "axis", "axis": 1, "states": states, **direction}


def loop(
    *before_condition: NodeProto, limit: str = "steps", condition: str = "true", step: str = "i"
) -> list[NodeProto]:
    """A loop that takes the steps of X by its counter, and collects the states."""
    body = helper.make_graph(
        [node("Gather", ["X", step], ["x"], axis=1), *STEP, *before_condition], "body",
        [info("i", kind=TensorProto.INT64), info("on", kind=TensorProto.BOOL), info("state", "n", D)],
        [info("going", kind=TensorProto.BOOL), info("next", "n", D), info("out", "n", D)],
    )  # fmt: skip
    return [
        *ZEROS,
        node("Loop", [limit, condition, "zeros"], ["last", "states"], body=body),
        node("Transpose", ["states"], ["Y"], perm=[1, 0, 2]),
    ]


def test_a_loop_over_all_steps_becomes_a_network() -> None:
    model = check(content(loop(node("Identity", ["on"], ["going"])), ["Y", "last"], axis=AXIS))
    assert types(model) == ["Input", "Output", "Output", "Subnetwork"]


def test_a_loop_over_some_steps_is_unrolled() -> None:
    file = content(loop(node("Identity", ["on"], ["going"]), limit="some"), ["Y", "last"], axis=AXIS, some=np.int64(3))
    model = check(file)
    assert types(model).count("Tanh") == 3
    assert list(model.project.networks) == ["main"]


def test_a_state_that_is_computed_and_a_tensor_for_all_steps_are_inputs() -> None:
    """Two sequences, a state that starts as a mean, and a tensor that each step reads as a whole."""
    body = helper.make_graph(
        [
            *STEP[:2],
            node("Mul", ["sum", "other"], ["mixed"]),
            node("Add", ["mixed", "mean"], ["shifted"]),
            node("Tanh", ["shifted"], ["next"]),
            node("Identity", ["next"], ["out"]),
        ],
        "body",
        [info("state", "n", D), info("x", "n", D), info("other", "n", D)],
        [info("next", "n", D), info("out", "n", D)],
    )
    axes: dict[str, Any] = {"scan_input_axes": [1, 1], "scan_output_axes": [1]}
    scan = node("Scan", ["mean", "X", "sine"], ["last", "Y"], body=body, num_scan_inputs=2, **axes)
    nodes = [node("ReduceMean", ["X"], ["mean"], axes=[1], keepdims=0), node("Sin", ["X"], ["sine"]), scan]
    model = check(content(nodes, ["Y", "last"]))
    assert {key: settings(model)[key] for key in ("initial", "constant")} == {
        "initial": {"state_1": "input"},
        "constant": ["constant_1"],
    }


def test_a_scan_within_a_scan_is_a_network_in_a_network() -> None:
    inner_body = helper.make_graph(
        [node("Add", ["inner state", "inner x"], ["inner sum"]), node("Tanh", ["inner sum"], ["inner next"])],
        "inner", [info("inner state", "n", D), info("inner x", "n", D)], [info("inner next", "n", D)],
    )  # fmt: skip
    inner = node("Scan", ["sum", "X"], ["next"], body=inner_body, num_scan_inputs=1, scan_input_axes=[1])
    body = helper.make_graph(
        [*STEP[:2], inner], "body", [info("state", "n", D), info("x", "n", D)], [info("next", "n", D)]
    )
    scan = node("Scan", ["zeros", "X"], ["last"], body=body, num_scan_inputs=1, scan_input_axes=[1])
    model = check(content([*ZEROS, scan], ["last"], axis=AXIS))
    assert set(model.project.networks) == {"main", "step_1", "step_2"}


def test_a_scan_of_many_steps_is_a_network() -> None:
    """Unrolled, its 3,000 steps would be refused."""
    body = helper.make_graph(
        [node("Add", ["state", "x"], ["sum"]), node("Tanh", ["sum"], ["next"])],
        "body", [info("state", "n", 1), info("x", "n", 1)], [info("next", "n", 1)],
    )  # fmt: skip
    scan = node("Scan", ["zeros", "long"], ["last"], body=body, num_scan_inputs=1, scan_input_axes=[1])
    tile = [node("Reshape", ["X", "row"], ["flat"]), node("Tile", ["flat", "many"], ["wide"]),
            node("Unsqueeze", ["wide", "two"], ["long"])]  # fmt: skip
    zeros = [node("ReduceSum", ["wide", "axis"], ["start"], keepdims=1), node("Shape", ["start"], ["shape"]),
             node("ConstantOfShape", ["shape"], ["zeros"])]  # fmt: skip
    tensors: dict[str, Any] = {"row": np.array([0, T * D]), "many": np.array([1, 150]), "two": np.array([2])}
    model = check(content([*tile, *zeros, scan], ["last"], axis=AXIS, **tensors))
    assert settings(model)["states"] == {"state_1": "out"}


def test_a_loop_ends_with_its_condition() -> None:
    stop = [node("Less", ["i", "two"], ["going"])]
    model = check(content(loop(*stop, limit=""), ["Y", "last"], axis=AXIS, two=np.int64(2)))
    assert sum(item.type == "Tanh" for item in model.project.networks["main"].nodes.values()) == 3


def test_the_bias_of_each_step_is_added() -> None:
    """The state of the first step is a constant, which is the bias of its product; those of later steps are not."""
    body = helper.make_graph(
        [node("Gather", ["X", "i"], ["x"], axis=1), *STEP[:3], node("Identity", ["on"], ["going"])], "body",
        [info("i", kind=TensorProto.INT64), info("on", kind=TensorProto.BOOL),
         helper.make_tensor_value_info("state", TensorProto.FLOAT, None)],
        [info("going", kind=TensorProto.BOOL), helper.make_tensor_value_info("next", TensorProto.FLOAT, None)],
    )  # fmt: skip
    start = NUMBERS.normal(size=D).astype(np.float32)
    check(content([node("Loop", ["steps", "true", "start"], ["last"], body=body)], ["last"], start=start))


def test_nested_loops_end_at_a_limit() -> None:
    def nested(depth: int) -> NodeProto:
        """1,000 ** depth steps without operators."""
        ends = [info(f"going {depth}", kind=TensorProto.BOOL), info(f"next {depth}")]
        inner = nested(depth - 1) if depth > 1 else node("Identity", [f"state {depth}"], [f"next {depth}"])
        if depth > 1:
            inner.input[2], inner.output[0] = f"state {depth}", f"next {depth}"
        starts = [info(f"i {depth}", kind=TensorProto.INT64), info(f"on {depth}", kind=TensorProto.BOOL)]
        going = node("Identity", [f"on {depth}"], [f"going {depth}"])
        body = helper.make_graph([inner, going], f"body {depth}", [*starts, info(f"state {depth}")], ends)
        return node("Loop", ["many", "true", "half"], ["end"], body=body)

    file = content([nested(3), node("Add", ["X", "end"], ["Y"])], ["Y"], many=np.int64(1_000))
    with pytest.raises(UnreadableModelError, match="unrolled loops have more than 20,000 operators"):
        import_bytes(file)


def test_a_scan_of_many_sequences_ends_at_a_limit() -> None:
    """The selections of each step count, although the body has no operator."""
    count = 30
    body = helper.make_graph([], "body", [info(f"part {number}") for number in range(count)], [info("part 0")])
    scan = node("Scan", ["sequence"] * count, ["stack"], body=body, num_scan_inputs=count)
    nodes = [scan, node("ReduceSum", ["stack"], ["sum"], keepdims=0), node("Add", ["X", "sum"], ["Y"])]
    with pytest.raises(UnreadableModelError, match="unrolled loops have more than 20,000 operators"):
        import_bytes(content(nodes, ["Y"], sequence=np.zeros(1_000, np.float32)))


def test_names_of_bodies_differ_from_all_names_of_the_file() -> None:
    branches = {
        f"{name}_branch": helper.make_graph(
            [node(kind, ["X"], ["a"]), node("Identity", ["a"], ["out"])], name, [], [info("out", "n", T, D)]
        )
        for name, kind in (("then", "Relu"), ("else", "Tanh"))
    }
    for number in (1, 2):
        nodes = [node("Sigmoid", ["X"], [f"a/{number}"]), node("If", ["true"], ["z"], **branches)]
        check(content([*nodes, node("Add", ["z", f"a/{number}"], ["Y"])], ["Y"]))


@pytest.mark.parametrize("is_true", [True, False])
def test_the_branch_of_a_known_condition_is_taken(is_true: bool) -> None:
    branches = {
        f"{name}_branch": helper.make_graph(
            [node(kind, ["X"], ["same name"])], name, [], [info("same name", "n", T, D)]
        )
        for name, kind in (("then", "Relu"), ("else", "Tanh"))
    }
    model = check(content([node("If", ["chosen"], ["Y"], **branches)], ["Y"], chosen=np.array(is_true)))
    kinds = [item.type for item in model.project.networks["main"].nodes.values()]
    assert kinds == ["Input", "ReLU" if is_true else "Tanh", "Output"]


def test_functions_of_a_file_are_replaced_by_their_operators() -> None:
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function(
        "own", "Gate", ["a"], ["b"], [node("Sigmoid", ["a"], ["s"]), node("Mul", ["a", "s"], ["b"])], opsets
    )
    check(content([node("Gate", ["X"], ["Y"], domain="own")], ["Y"], [function]))


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (loop(node("ReduceSum", ["x", "axis"], ["all"], keepdims=0), node("Greater", ["all", "half"], ["going"])),
         "Loop .* number of steps is computed"),
        (loop(node("Identity", ["on"], ["going"]), limit="many", step="first"), "Loop .* more than 1,000 steps"),
        ([*ZEROS[:2], node("Gather", ["shape", "first"], ["rows"]),
          *loop(node("Identity", ["on"], ["going"]), limit="rows", step="first")[2:]],
         "Loop .* number of steps is the number of rows"),
        ([*ZEROS[:2], node("Gather", ["shape", "first"], ["rows"]), node("Add", ["rows", "rows"], ["twice"]),
          *loop(node("Identity", ["on"], ["going"]), limit="twice", step="first")[2:]],
         "Loop .* number of steps is the number of rows"),
        ([node("ReduceMax", ["X"], ["top"], axes=[1, 2], keepdims=0), node("Greater", ["top", "half"], ["is"]),
          node("If", ["is"], ["Y"], **{f"{name}_branch": helper.make_graph(
              [node(kind, ["X"], ["y"])], name, [], [info("y", "n", T, D)])
              for name, kind in (("then", "Relu"), ("else", "Tanh"))})],
         "If .* condition is computed"),
    ],
)  # fmt: skip
def test_conditions_that_depend_on_the_inputs_are_refused(nodes: list[NodeProto], reason: str) -> None:
    with pytest.raises(UnreadableModelError, match=reason):
        import_bytes(content(nodes, ["Y"], axis=AXIS, many=np.int64(10**6), first=np.int64(0)))


OPERATORS: dict[str, tuple[list[NodeProto], dict[str, Any]]] = {
    "ThresholdedRelu": ([node("ThresholdedRelu", ["X"], ["Y"], alpha=0.3)], {}),
    "Shrink": ([node("Shrink", ["X"], ["Y"], lambd=0.5, bias=0.2)], {}),
    "soft Shrink": ([node("Shrink", ["X"], ["Y"], lambd=0.5, bias=0.5)], {}),
    "ReduceLogSum": ([node("Exp", ["X"], ["e"]), node("ReduceLogSum", ["e"], ["Y"], axes=[1])], {}),
    "exclusive CumSum": ([node("CumSum", ["X", "one"], ["Y"], exclusive=1, reverse=1)], {"one": np.int64(1)}),
    "Trilu": ([node("Trilu", ["X", "shift"], ["Y"])], {"shift": np.int64(1)}),
    "lower Trilu": ([node("Trilu", ["X", "shift"], ["Y"], upper=0)], {"shift": np.int64(-1)}),
    # -5 to 4 with 3 classes: -3 to -1 count from the end, and others than -3 to 2 have zeros.
    "OneHot": (
        [
            node("Mul", ["X", "two"], ["doubled"]),
            node("Cast", ["doubled"], ["indices"], to=TensorProto.INT64),
            node("OneHot", ["indices", "depth", "values"], ["vectors"]),
            node("Reshape", ["vectors", "shape"], ["Y"]),
        ],
        {
            "two": np.float32(2), "depth": np.int64(3), "values": np.array([0, 1], np.float32),
            "shape": np.array([0, T, 3 * D]),
        },
    ),
    "Hardmax": ([node("Hardmax", ["X"], ["Y"])], {}),
    "ConvTranspose": (
        [node("ConvTranspose", ["X", "K"], ["Y"], strides=[2], pads=[0, 2], output_padding=[1])], {"K": FILTERS}
    ),
    "ConvTranspose with auto_pad": (
        [node("ConvTranspose", ["X", "K"], ["Y"], strides=[2], auto_pad="SAME_LOWER")], {"K": FILTERS}
    ),
    # (N, 5, 4) as images of 4 × 4 with one channel and back, with the place in a block before the channel
    "SpaceToDepth": (
        [
            node("Slice", ["X", "start", "end", "one"], ["square"]),
            node("Unsqueeze", ["square", "one"], ["image"]),
            node("Concat", ["image", "image"], ["images"], axis=1),
            node("Mul", ["images", "scales"], ["scaled"]),
            node("SpaceToDepth", ["scaled"], ["blocks"], blocksize=2),
            node("Softmax", ["blocks"], ["changed"], axis=1),
            node("DepthToSpace", ["changed"], ["again"], blocksize=2),
            node("Concat", ["again", "scaled"], ["both"], axis=1),
            node("Reshape", ["both", "shape"], ["Y"]),
        ],
        {
            "start": np.array([0]), "end": np.array([4]), "one": np.array([1]), "shape": np.array([0, 4, 16]),
            "scales": np.array([1, 2], np.float32).reshape(1, 2, 1, 1),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_match_onnxruntime(name: str) -> None:
    nodes, tensors = OPERATORS[name]
    check(content(nodes, ["Y"], **tensors))
