"""Recurrent layers with their initial and final states, and single steps of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from netloom.compile.importers.layer_graph.states import by_layer, initial_features
from netloom.compile.importers.layer_graph.values import (
    BatchAxisError,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
)
from netloom.compile.importers.torch_export.operators.table import AtenCall, States, aten
from netloom.compile.importers.torch_export.program import Program, Reference

_LAYERS = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}
_CELLS = {"gru_cell": "GRUCell", "lstm_cell": "LSTMCell", "rnn_tanh_cell": "RNNCell", "rnn_relu_cell": "RNNCell"}
_WEIGHTS = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}


def with_batch_axes(program: Program, *, time_first: bool = False) -> Program:
    """The program with the batch axis of its initial states, (layers, N, H); the program does not state it.

    With `time_first`, it is the second axis of all other inputs as well, (T, N, …).
    """
    states = {ref.name for hx in _initial_states(program) for ref in hx}
    inputs = tuple(
        replace(entry, batch_axis=1) if len(entry.shape) > 1 and (time_first or entry.name in states) else entry
        for entry in program.inputs
    )
    return replace(program, inputs=inputs)


def is_time_first(program: Program) -> bool:
    """Whether a recurrent layer of the program reads sequences (T, N, D), or a cell may read their steps."""
    return any(
        item.type in _CELLS or (item.type in _LAYERS and item.args.get("batch_first") is not True)
        for item in program.operators
    )


def _initial_states(program: Program) -> Iterator[list[Reference]]:
    for item in program.operators:
        if item.type in _LAYERS:
            hx = item.args.get("hx")
            yield [ref for ref in (hx if isinstance(hx, list) else [hx]) if isinstance(ref, Reference)]


@aten(*_LAYERS)
def _recurrent(op: AtenCall) -> list[Any]:
    if "batch_sizes" in op.args:
        raise UnsupportedOperatorError("it reads packed sequences; export the network with padded sequences")
    tensor = op.tensor("input")
    bidirectional, layers = op.flag("bidirectional"), op.integer("num_layers", 1)
    weights = _recurrent_weights(op, layers, bidirectional)
    size, count = weights["weight_hh_l0"].shape[1], layers * (1 + bidirectional)
    order = (0, 1, 2) if op.flag("batch_first") else (1, 0, 2)
    if tensor.rank == 3 and 0 in tensor.axes[order[0]] and len(tensor.axes[order[0]]) > 1:
        raise UnsupportedOperatorError("its sequence merges the batch with another axis")
    if tensor.rank != 3 or tensor.axes[order[0]] != (0,):
        raise BatchAxisError(f"the batch must be axis {order[0] + 1} of its sequence")
    sequence = op.builder.to_batch_first(replace(tensor, axes=tuple(tensor.axes[axis] for axis in order)))
    params: dict[str, Any] = {"hidden_size": size}
    params |= {"layers": layers} if layers > 1 else {}
    params |= {"bidirectional": True} if bidirectional else {}
    params |= {} if op.flag("has_biases", True) else {"bias": False}
    params |= {"nonlinearity": "relu"} if op.type == "rnn_relu" else {}
    rate = op.number("dropout", 0.0)
    # Without stacked layers, PyTorch ignores dropout, but the layer refuses it.
    params |= {"dropout": round(rate, 9)} if 0 < rate < 1 and layers > 1 else {}
    inputs = {"in": sequence} | _initial(op, sequence, count, size)
    params |= {"initial_state": True} if len(inputs) > 1 else {}
    params |= {"final_states": True} if any(op.used_outputs[2:]) else {}
    key = op.builder.add_node(_LAYERS[op.type], inputs, op.name, weights=weights, **params)
    out = op.builder.output(key)
    outputs: list[Any] = [replace(out, axes=tuple((axis,) for axis in order)), None, None]
    if any(op.used_outputs[1:2]):
        outputs[1] = _hidden(op, key, layers, 1 + bidirectional, size)
    if any(op.used_outputs[2:]):
        outputs[2] = by_layer(op.builder, op.builder.output(key, "memories"), count, size)
    return outputs


def _initial(op: AtenCall, sequence: Tensor, count: int, size: int) -> dict[str, Tensor]:
    """The initial states by port; empty if they are zeros that are not learned."""
    states = op.argument("hx", [])
    # In the order of the states, (layers · directions, N, H)
    like = replace(sequence, axes=((1,), (0,), (2,)))
    values = op.without_recorded_batch([like, *(states if isinstance(states, list) else [states])])[1:]
    return initial_features(op.builder, values, like, count, size)


def _hidden(op: AtenCall, key: str, layers: int, directions: int, size: int) -> Tensor | States:
    """The final hidden states (layers · directions, N, H); those of the last layer have a port of their own."""
    builder = op.builder
    last = by_layer(builder, builder.output(key, "state"), directions, size)
    if layers == 1:
        return last

    @cache
    def whole() -> Tensor:
        builder.set_params(key, final_states=True)
        return by_layer(builder, builder.output(key, "states"), layers * directions, size)

    return States(last, layers * directions, whole)


def _recurrent_weights(op: AtenCall, layers: int, bidirectional: bool) -> dict[str, Any]:
    params = op.argument("params", [])
    parts = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if op.flag("has_biases", True) else [])]
    names = [
        f"{part}_l{layer}{suffix}"
        for layer in range(layers)
        for suffix in ("", "_reverse")[: 1 + bidirectional]
        for part in parts
    ]
    if len(params) != len(names):
        raise UnsupportedOperatorError("it projects its states, or has other weights than PyTorch's layer")
    if not all(isinstance(value, Constant) for value in params):
        raise UnsupportedOperatorError("its weights must be constants in the file")
    return {name: value.array for name, value in zip(names, params, strict=True)}


@aten(*_CELLS)
def _cell(op: AtenCall) -> list[Value]:
    weights: dict[str, Any] = {}
    for argument, name in _WEIGHTS.items():
        value = op.args.get(argument)
        if value is None and name.startswith("bias"):
            continue
        if not isinstance(value, Constant):
            raise UnsupportedOperatorError("it computes its weights")
        weights[name] = value.array
    states = op.argument("hx", [])
    states = states if isinstance(states, list) else [states]
    tensor = op.value("input")
    like = next((value for value in (tensor, *states) if isinstance(value, Tensor)), None)
    if like is None:
        raise UnsupportedOperatorError("none of its inputs depends on the inputs of the network")
    ports = dict(zip(("in", "state", "memory"), (tensor, *states), strict=False))
    inputs = {name: op.builder.to_batch_first(_on_batch(op, value, like)) for name, value in ports.items()}
    params: dict[str, Any] = {"nonlinearity": "relu"} if op.type == "rnn_relu_cell" else {}
    params |= {} if "bias_ih" in weights else {"bias": False}
    key = op.builder.add_node(_CELLS[op.type], inputs, op.name, weights=weights, **params)
    return [op.builder.output(key, port) for port in op.builder.ports(key)]


def _on_batch(op: AtenCall, value: Any, like: Tensor) -> Tensor:
    """A state, which may be a constant such as zeros."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, Constant):
        raise UnsupportedOperatorError("a state is missing")
    (once,) = op.without_recorded_batch([value, like])[:1]
    return op.builder.add_constant(once if isinstance(once, Constant) else value, like, value.weight)
