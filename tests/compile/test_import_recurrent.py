"""Recurrent layers of PyTorch programs and ONNX files: initial and final states, cells, and sequences (T, N, D)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn

from netloom.cli.bench.imports.case import Reference
from netloom.cli.bench.imports.measure import compare
from netloom.cli.bench.imports.modules import import_module
from netloom.compile import module
from netloom.compile.importers import ImportedModel, UnreadableModelError
from netloom.compile.importers.onnx import import_bytes
from netloom.nn.stepped_recurrent import SteppedGRU

# What PyTorch says about views that its own recurrent layers keep, and about its slower projections
pytestmark = [
    pytest.mark.filterwarnings("ignore:The tensor attributes? .*_flat_weights"),
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]
N, T, D, H = 3, 5, 4, 6
MOVED_INPUT, MOVED_OUTPUT = re.compile("batch is axis 2 of the input"), re.compile("output .* has the batch as axis 2")


class Model(nn.Module):
    """A network whose forward pass is a function of itself and its inputs."""

    def __init__(self, forward: Callable[..., Any], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(self, *inputs)


def sequence(steps: int = T) -> torch.Tensor:
    return torch.randn(N, steps, D)


def states(layers: int, batch: int = N) -> torch.Tensor:
    return torch.randn(layers, batch, H)


def imported(function: Callable[..., Any], *inputs: torch.Tensor, **parts: Any) -> tuple[ImportedModel, Reference]:
    torch.manual_seed(0)
    return import_module("own", Model(function, **parts), inputs)


def translated(model: Any, x: torch.Tensor, y: torch.Tensor) -> Any:
    """A decoder that begins with the states of the encoder, and attends to its outputs."""
    keys, (hidden, memory) = model.encoder(x)
    out, (last, _) = model.decoder(y, (hidden, memory))
    scores = torch.softmax(keys @ torch.cat([last[-2], last[-1]], 1).unsqueeze(2), 1)
    return torch.cat([out.flatten(1), (scores * keys).sum(1)], 1)


def read_states(model: Any, x: torch.Tensor) -> Any:
    _, (hidden, memory) = model.lstm(x)
    by_layer = hidden.view(2, 2, x.shape[0], H)
    return torch.cat([hidden[0], by_layer[1].sum(0), memory.permute(1, 0, 2).flatten(1)], 1)


def from_first_step(model: Any, x: torch.Tensor) -> Any:
    """A memory that is computed, beside a hidden state of zeros."""
    start = torch.tanh(model.linear(x[:, 0])).unsqueeze(0)
    return model.lstm(x, (torch.zeros_like(start), start))[0]


def from_parameter(model: Any, x: torch.Tensor) -> Any:
    return model.gru(x, model.start.expand(-1, x.shape[0], -1).contiguous())[1][-1]


def steps_of_two_cells(model: Any, x: torch.Tensor) -> Any:
    """Two cells on each step, and a query of one step over all of them."""
    hidden = memory = above = torch.zeros(x.shape[0], H)
    steps = []
    for step in range(x.shape[1]):
        hidden, memory = model.lower(x[:, step], (hidden, memory))
        above = model.upper(hidden, above)
        steps.append(above)
    keys = torch.stack(steps, 1)
    scores = torch.softmax(keys @ steps[2].unsqueeze(2), 1)
    return torch.cat([(scores * keys).sum(1), hidden, memory], 1)


def changed_between_steps(model: Any, x: torch.Tensor) -> Any:
    state = torch.zeros(x.shape[0], H)
    for step in range(x.shape[1]):
        state = model.norm(model.cell(x[:, step], state))
    return state


def memories(model: Any, x: torch.Tensor) -> Any:
    state = memory = torch.zeros(x.shape[0], H)
    steps = []
    for step in range(x.shape[1]):
        state, memory = model.cell(x[:, step], (state, memory))
        steps.append(memory)
    return torch.stack(steps, 1)


def backward(model: Any, x: torch.Tensor) -> Any:
    state = torch.zeros(x.shape[0], H)
    for step in reversed(range(x.shape[1])):
        state = model.cell(x[:, step], state)
    return state


def twice(model: Any, x: torch.Tensor) -> Any:
    out, state = model.gru(x)
    return model.gru(out, state)[0]


BOTH = {"num_layers": 2, "bidirectional": True, "batch_first": True}
REPRODUCED: dict[str, tuple[Callable[..., Any], Callable[[], Sequence[torch.Tensor]], Callable[[], dict[str, Any]]]] = {
    "states of an encoder": (
        translated, lambda: (sequence(), sequence(2)),
        lambda: {"encoder": nn.LSTM(D, H, **BOTH), "decoder": nn.LSTM(D, H, **BOTH)},
    ),
    "final states of all layers": (read_states, lambda: (sequence(),), lambda: {"lstm": nn.LSTM(D, H, **BOTH)}),
    "a computed memory": (
        from_first_step, lambda: (sequence(),),
        lambda: {"linear": nn.Linear(D, H), "lstm": nn.LSTM(D, H, batch_first=True, bias=False)},
    ),
    "a learned state of zeros": (
        from_parameter, lambda: (sequence(),),
        lambda: {"gru": nn.GRU(D, H, 2, batch_first=True), "start": nn.Parameter(torch.zeros(2, 1, H))},
    ),
    "a single example": (
        lambda model, x, state: model.rnn(x, state)[0], lambda: (sequence()[:1], states(1, 1)),
        lambda: {"rnn": nn.RNN(D, H, batch_first=True, nonlinearity="relu")},
    ),
    "one layer twice": (twice, lambda: (torch.randn(N, T, H),), lambda: {"gru": nn.GRU(H, H, batch_first=True)}),
}  # fmt: skip


# Its parts are in the others: states of bidirectional layers, and states that are given or passed on.
SIMILAR = ("states of an encoder",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in SIMILAR else []) for name in REPRODUCED]
)
def test_recurrent_networks_are_reproduced(name: str) -> None:
    function, inputs, parts = REPRODUCED[name]
    assert compare(*imported(function, *inputs(), **parts()))[0] == ""


def kinds_of(model: ImportedModel) -> list[str]:
    return [node.type for node in model.project.main_network.nodes.values()]


def test_a_loop_over_the_steps_of_a_sequence_becomes_a_recurrent_layer() -> None:
    parts = {"lower": nn.LSTMCell(D, H, bias=False), "upper": nn.GRUCell(H, H)}
    model, reference = imported(steps_of_two_cells, sequence(8), **parts)
    assert compare(model, reference)[0] == ""
    kinds = kinds_of(model)
    assert {"LSTM", "GRU"} <= set(kinds)
    assert not {"LSTMCell", "GRUCell"} & set(kinds)
    assert kinds.count("Select") == 1  # the step that asks


@pytest.mark.parametrize(
    ("function", "parts"),
    [
        (changed_between_steps, {"cell": nn.GRUCell(D, H), "norm": nn.LayerNorm(H)}),
        (memories, {"cell": nn.LSTMCell(D, H)}),
        (backward, {"cell": nn.RNNCell(D, H)}),
    ],
    ids=["changed between steps", "memories of all steps", "backward"],
)
def test_other_loops_stay_steps_with_shared_weights(function: Callable[..., Any], parts: dict[str, Any]) -> None:
    model, reference = imported(function, sequence(), **parts)
    assert compare(model, reference)[0] == ""
    cells = [node for node in model.project.main_network.nodes.values() if node.type.endswith("Cell")]
    assert len(cells) == T
    assert {node.shares for node in cells} == {None, cells[0].id}


def test_a_loop_over_the_first_axis_is_imported_with_the_batch_first() -> None:
    def steps(model: Any, x: torch.Tensor) -> Any:
        state = torch.tanh(model.linear(x[0]))
        for step in range(len(x)):
            state = model.cell(x[step], state)
        return state

    model, reference = imported(steps, torch.randn(T, N, D), linear=nn.Linear(D, H), cell=nn.GRUCell(D, H))
    moved = Reference(tuple(x.transpose(0, 1) for x in reference.inputs), reference.outputs, reference.parameters)
    assert compare(model, moved)[0] == ""
    assert "GRU" in kinds_of(model)


@pytest.mark.parametrize("is_given", [False, True])
def test_sequences_with_the_steps_first_are_imported_with_the_batch_first(is_given: bool) -> None:
    inputs = [torch.randint(0, 9, (T, N)), *([states(2)] if is_given else [])]
    model, reference = imported(
        lambda model, x, *start: model.gru(model.table(x), *start),
        *inputs, gru=nn.GRU(D, H, bidirectional=True), table=nn.Embedding(9, D),
    )  # fmt: skip
    assert len(list(filter(MOVED_INPUT.search, model.remarks))) == len(inputs)
    assert len(list(filter(MOVED_OUTPUT.search, model.remarks))) == 2
    moved = Reference(tuple(x.transpose(0, 1) for x in inputs), reference.outputs, reference.parameters)
    assert compare(model, moved)[0] == ""


@pytest.mark.parametrize(
    ("function", "inputs", "parts", "reason"),
    [
        (lambda model, x: model.lstm(x)[0], [sequence()], {"lstm": nn.LSTM(D, H, batch_first=True, proj_size=2)},
         "projects its states"),
        (lambda model, x: model.gru(x, model.start)[0], [sequence()],
         {"gru": nn.GRU(D, H, batch_first=True), "start": nn.Parameter(states(1))}, "differ between the examples"),
        (lambda model, x: model.gru(x)[0], [torch.randn(T, D)], {"gru": nn.GRU(D, H)}, "batch must be axis 2"),
        (lambda model, x: model.gru(x.flatten(0, 1))[0], [torch.randn(N, 2, T, D)],
         {"gru": nn.GRU(D, H, batch_first=True)}, "merges the batch with another axis"),
        (lambda model, x: model.gru(x)[1].reshape(x.shape[0], -1), [sequence()], {"gru": nn.GRU(D, H, **BOTH)},
         "reshape"),
    ],
    ids=["projection", "a state for each example", "no batch", "a merged batch", "mixed examples"],
)  # fmt: skip
def test_recurrent_networks_that_no_layer_expresses_are_refused(
    function: Callable[..., Any], inputs: list[torch.Tensor], parts: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UnreadableModelError, match=reason):
        imported(function, *inputs, **parts)


def test_matrices_that_a_layer_uses_twice_are_remarked() -> None:
    rnn = nn.RNN(H, H, batch_first=True)
    rnn.weight_hh_l0 = rnn.weight_ih_l0
    model, _ = imported(lambda model, x: model.rnn(x)[0], torch.randn(N, T, H), rnn=rnn)
    assert any("its weight_hh_l0 is weight_ih_l0" in remark for remark in model.remarks)


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def recurrent_file(
    kind: str, direction: str = "forward", lengths: Sequence[int] = (), peepholes: float = 0.0, **attributes: Any
) -> tuple[ModelProto, dict[str, np.ndarray[Any, Any]]]:
    """An ONNX file of one recurrent layer with initial states and all outputs, and its inputs."""
    numbers = np.random.default_rng(0)
    directions, gates = 1 + (direction == "bidirectional"), GATES[kind]

    def values(*shape: int) -> np.ndarray[Any, Any]:
        return numbers.normal(0, 0.5, shape).astype(np.float32)

    weights = {"W": values(directions, gates * H, D), "R": values(directions, gates * H, H)}
    weights["B"] = values(directions, 2 * gates * H)
    feeds = {"X": values(T, N, D), "h": values(directions, N, H)}
    feeds |= {"c": values(directions, N, H)} if kind == "LSTM" else {}
    inputs = ["X", "W", "R", "B", "lengths" if lengths else "", *list(feeds)[1:]]
    weights |= {"lengths": np.array(lengths, np.int32)} if lengths else {}
    if peepholes:
        weights["P"] = np.full((directions, 3 * H), peepholes, np.float32)
        inputs.append("P")
    outputs = ["Y", "Y_h", "Y_c"][: 2 + (kind == "LSTM")]
    settings: dict[str, Any] = {"hidden_size": H, "direction": direction, "linear_before_reset": 1} | attributes
    if kind != "GRU":
        del settings["linear_before_reset"]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, outputs, **settings)], "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in feeds.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), feeds


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_recurrent_layers_of_onnx_files_match_onnxruntime(kind: str, direction: str) -> None:
    relu: dict[str, Any] = {"activations": ["Relu"] * (1 + (direction == "bidirectional"))} if kind == "RNN" else {}
    file, feeds = recurrent_file(kind, direction, **relu)
    expected = onnxruntime.InferenceSession(file.SerializeToString()).run(None, feeds)
    model = import_bytes(file.SerializeToString())
    network = module(model.project).eval()
    network.load_state_dict(model.weights)
    out, *finals = network(*(torch.from_numpy(value).transpose(0, 1) for value in feeds.values()))
    # (T, directions, N, H), and (directions, N, H) for each state
    np.testing.assert_allclose(out.detach().movedim(0, 2), expected[0], rtol=0, atol=2e-6)
    assert len(finals) == len(expected) - 1
    for state, expected_state in zip(finals, expected[1:], strict=True):
        np.testing.assert_allclose(state.detach().movedim(0, 1), expected_state, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("kind", "settings", "params"),
    [
        ("GRU", {"linear_before_reset": 0}, {"reset_after": False}),
        (
            "GRU",
            {"linear_before_reset": 0, "activations": ["HardSigmoid", "Softsign"] * 2, "direction": "bidirectional"},
            {"activation": "softsign", "gate_activation": "hard_sigmoid_0.2", "reset_after": False},
        ),
        (
            "LSTM",
            {"activations": ["HardSigmoid", "Relu", "Relu"], "activation_alpha": [1 / 6], "activation_beta": [0.5]},
            {"activation": "relu", "gate_activation": "hard_sigmoid"},
        ),
        ("RNN", {"activations": ["Sigmoid"]}, {"nonlinearity": "sigmoid"}),
    ],
)
def test_activations_of_recurrent_layers_match_onnxruntime(
    kind: str, settings: dict[str, Any], params: dict[str, Any]
) -> None:
    file, feeds = recurrent_file(kind, **settings)
    expected = onnxruntime.InferenceSession(file.SerializeToString()).run(None, feeds)
    model = import_bytes(file.SerializeToString())
    node = next(node for node in model.project.networks["main"].nodes.values() if node.type == kind)
    assert params.items() <= node.params.items()
    network = module(model.project).eval()
    network.load_state_dict(model.weights)
    out, *finals = network(*(torch.from_numpy(value).transpose(0, 1) for value in feeds.values()))
    outputs = [out.detach().movedim(0, 2), *(state.detach().movedim(0, 1) for state in finals)]
    for output, value in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output.reshape(value.shape), value, rtol=0, atol=2e-6)


def test_stepped_layers_are_exported_for_any_number_of_rows() -> None:
    rows = torch.randn(3, 3, 4)
    layer = SteppedGRU(4, 3, reset_after=False, bidirectional=True, batch_first=True).eval()
    program = torch.export.export(layer, (rows,), dynamic_shapes={"x": {0: torch.export.Dim("n")}})
    expected = layer(rows[:2])
    for output, value in zip(program.module()(rows[:2]), expected, strict=True):
        torch.testing.assert_close(output, value)


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        ("LSTM", {"lengths": [5, 3, 2]}, "differ in length"),
        ("LSTM", {"peepholes": 0.1}, "peepholes"),
        ("LSTM", {"clip": 0.1}, "clipped"),
        ("LSTM", {"activations": ["Sigmoid", "Relu", "Tanh"]}, "memory and its state"),
        ("RNN", {"activations": ["Relu", "Tanh"], "direction": "bidirectional"}, "directions have different"),
        ("GRU", {"activations": ["ScaledTanh", "Tanh"]}, "activation ScaledTanh is not one"),
        ("RNN", {"activations": ["HardSigmoid"], "activation_alpha": [0.3]}, "activation HardSigmoid is not one"),
    ],
)
def test_recurrent_layers_that_differ_from_pytorchs_are_refused(
    kind: str, options: dict[str, Any], reason: str
) -> None:
    file, _ = recurrent_file(kind, **options)
    with pytest.raises(UnreadableModelError, match=reason):
        import_bytes(file.SerializeToString())
