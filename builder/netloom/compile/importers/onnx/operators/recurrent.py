"""Recurrent layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.states import by_layer, initial_features
from netloom.compile.importers.layer_graph.values import (
    Array,
    BatchAxisError,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
)
from netloom.compile.importers.onnx.operators.operator import Call, operator
from netloom.compile.importers.onnx.parser import Graph, InputInfo, Operator

# The order of PyTorch's gates in ONNX's: LSTM has i, o, f, c (PyTorch i, f, g, o), GRU has z, r, h (PyTorch r, z, n).
# https://onnx.ai/onnx/operators/onnx__LSTM.html, https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}


_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
_DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
# Activations by ONNX's names, with the parameters alpha and beta that they must have; None stands for ONNX's default
_ACTIVATIONS: dict[str, list[tuple[str, tuple[float | None, ...], tuple[float | None, ...]]]] = {
    **{name: [(name, (None,), (None,))] for name in ("tanh", "relu", "sigmoid", "softsign", "softplus")},
    "elu": [("elu", (None, 1.0), (None,))],
    "hardsigmoid": [("hard_sigmoid_0.2", (None, 0.2), (None, 0.5)), ("hard_sigmoid", (1 / 6,), (None, 0.5))],
}
_PARAMETRIC = ("elu", "hardsigmoid")  # the activations that read alpha
_LENGTHS, _STATES, _PEEPHOLES = 4, slice(5, 7), 7


def with_batch_axes(graph: Graph, *, time_first: bool = False) -> tuple[InputInfo, ...]:
    """The inputs of a file with the batch axis of initial states, (directions, N, H); the file does not state it.

    With `time_first`, it is the second axis of all other inputs as well, (T, N, …).
    """
    states = {key for item in _recurrent_operators(graph) for key in item.inputs[_STATES]}
    return tuple(
        replace(entry, batch=1) if len(entry.shape) > 1 and (time_first or entry.name in states) else entry
        for entry in graph.inputs
    )


def is_time_first(graph: Graph) -> bool:
    """Whether a recurrent layer of a file reads sequences (T, N, D)."""
    return bool(_recurrent_operators(graph))


def _recurrent_operators(graph: Graph) -> list[Operator]:
    """The recurrent layers with the default layout, whose batch is the second axis."""
    return [item for item in graph.operators if item.type in _GATES and not item.attributes.get("layout")]


@operator("LSTM", "GRU", "RNN")
def _recurrent(call: Call) -> list[Value | None]:
    builder, tensor, size = call.builder, call.tensor(), call.required_array(2).shape[-1]
    directions, is_reverse, layout = _checked(call, tensor)
    # The axes (N, T, D) in the file, which has (T, N, D) by default
    order = (0, 1, 2) if layout else (1, 0, 2)
    sequence = builder.to_batch_first(replace(tensor, axes=tuple(tensor.axes[axis] for axis in order)))
    if is_reverse:
        sequence = builder.add_layer("Flip", sequence, call.name, axes=[1])
    params: dict[str, Any] = {"hidden_size": size} | _activations(call, directions)
    params |= {"bidirectional": True} if directions > 1 else {}
    params |= {} if call.constant_array(3) is not None else {"bias": False}
    inputs = {"in": sequence} | _initial(call, sequence, directions, size, layout)
    params |= {"initial_state": True} if len(inputs) > 1 else {}
    params |= {"final_states": True} if any(call.used_outputs[2:]) else {}
    key = builder.add_node(call.type, inputs, call.name, weights=_weights(call, directions, size), **params)
    states: list[Value | None] = [
        _in_layout(by_layer(builder, builder.output(key, port), directions, size), layout) if is_used else None
        for port, is_used in zip(("state", "memories"), (*call.used_outputs[1:], False, False), strict=False)
    ]
    if not call.used_outputs[0]:
        return [None, *states]
    out = builder.output(key)
    if is_reverse:
        out = builder.add_layer("Flip", out, call.name, axes=[1])
    # (N, T, directions · H) -> (T, directions, N, H), or (N, T, directions, H)
    separated = builder.reshape(out, [sequence.length(1), directions, size]) if directions > 1 else out
    groups = ((0,), (1,), (2,), (3,)) if directions > 1 else ((0,), (1,), (), (2,))
    positions = (0, 1, 2, 3) if layout else (1, 2, 0, 3)
    return [replace(separated, axes=tuple(groups[position] for position in positions)), *states]


def _checked(call: Call, tensor: Tensor) -> tuple[int, bool, int]:
    """The number of directions, whether the only one is backward, and the layout.

    Raises:
        UnsupportedOperatorError: The layer computes something that PyTorch's does not.
    """
    direction, layout = call.attribute("direction", "forward"), int(call.attribute("layout", 0))
    batch = 0 if layout else 1
    if direction not in _DIRECTIONS:
        raise UnsupportedOperatorError("its direction must be forward, reverse or bidirectional")
    if tensor.rank != 3 or tensor.axes[batch] != (0,):
        raise BatchAxisError(f"the batch must be axis {batch + 1} of its sequence")
    if call.attribute("clip", None) is not None or call.attribute("input_forget", 0):
        raise UnsupportedOperatorError("its gates are clipped or coupled")
    peepholes = call.constant(_PEEPHOLES)
    if peepholes is not None and peepholes.has_nonzero:
        raise UnsupportedOperatorError("its gates read the memory cell (peepholes), which PyTorch's do not")
    lengths = call.inputs[_LENGTHS] if len(call.inputs) > _LENGTHS else None
    steps = tensor.length(1 - batch)
    if isinstance(lengths, Tensor) or (lengths is not None and not (lengths.array == steps).all()):
        raise UnsupportedOperatorError("its sequences differ in length, which the layer does not support")
    return _DIRECTIONS[direction], direction == "reverse", layout


def _activations(call: Call, directions: int) -> dict[str, Any]:
    """The settings of activations, and of the reset of a GRU, that are not the defaults.

    Raises:
        UnsupportedOperatorError: The layer has no such activation, or others in its second direction.
    """
    defaults = _DEFAULTS[call.type]
    functions = call.attribute("activations", None) or defaults * directions
    alphas, betas = (_parameters(call, name, functions) for name in ("activation_alpha", "activation_beta"))
    names = [_activation(*activation) for activation in zip(functions, alphas, betas, strict=True)]
    by_direction = [names[start : start + len(defaults)] for start in range(0, len(names), len(defaults))]
    if len(by_direction) != directions or any(part != by_direction[0] for part in by_direction):
        raise UnsupportedOperatorError("its directions have different activations")
    *gates, state = by_direction[0]
    if call.type == "RNN":
        return {} if state == "tanh" else {"nonlinearity": state}
    if call.type == "LSTM" and gates.pop() != state:
        raise UnsupportedOperatorError("its memory and its state have different activations")
    params: dict[str, Any] = {} if state == "tanh" else {"activation": state}
    params |= {} if gates == ["sigmoid"] else {"gate_activation": gates[0]}
    if call.type == "GRU" and not call.attribute("linear_before_reset", 0):
        params["reset_after"] = False
    return params


def _parameters(call: Call, name: str, functions: list[str]) -> list[float | None]:
    """The parameters of activations; a file lists them for the first functions, or only for those that have one."""
    values = call.attribute(name, None)
    if not values or len(values) == len(functions):
        return list(values) if values else [None] * len(functions)
    if len({name.lower() for name in functions if name.lower() in _PARAMETRIC}) != 1 or len(set(values)) != 1:
        raise UnsupportedOperatorError(f"its attribute {name} does not have a value for each activation")
    return [values[0] if function.lower() in _PARAMETRIC else None for function in functions]


def _activation(function: str, alpha: float | None, beta: float | None) -> str:
    """The activation by the name that a layer has for it."""

    def is_one_of(value: float | None, known: tuple[float | None, ...], is_read: bool) -> bool:
        if not is_read or value is None:
            return not is_read or None in known
        return any(known_value is not None and abs(value - known_value) < 1e-6 for known_value in known)

    is_read = function.lower() in _PARAMETRIC
    for name, alphas, betas in _ACTIVATIONS.get(function.lower(), ()):
        if is_one_of(alpha, alphas, is_read) and is_one_of(beta, betas, is_read and function.lower() != "elu"):
            return name
    raise UnsupportedOperatorError(f"its activation {function} is not one that recurrent layers have")


def _initial(call: Call, sequence: Tensor, directions: int, size: int, layout: int) -> dict[str, Tensor]:
    """The initial states by port; empty if they are zeros that are not learned."""
    count = 2 if call.type == "LSTM" else 1
    states = [*call.inputs[_STATES], None, None][:count]
    # In the order (directions, N, H); a file does not say whether zeros are learned
    values = [
        None if value is None or (isinstance(value, Constant) and not value.has_nonzero) else _in_layout(value, layout)
        for value in states
    ]
    return initial_features(call.builder, values, replace(sequence, axes=((1,), (0,), (2,))), directions, size)


def _in_layout(state: Value, layout: int) -> Any:
    """A state (directions, N, H) as (N, directions, H) and the reverse, if the layout has the batch first."""
    if not layout:
        return state
    if isinstance(state, Constant):
        return replace(state, array=state.array.swapaxes(0, 1), learned=None)
    return replace(state, axes=(state.axes[1], state.axes[0], state.axes[2]))


def _weights(call: Call, directions: int, size: int) -> dict[str, Array]:
    w, r, b = call.required_array(1), call.required_array(2), call.constant_array(3)
    order, weights = _GATES[call.type], {}
    if w.ndim != 3 or r.shape != (directions, len(order) * size, size) or len(w) != directions:
        raise UnsupportedOperatorError(f"its weights do not have {directions} × {len(order)} × {size} rows")

    def sorted_gates(gates: Array) -> Array:
        parts = np.split(gates, len(order), axis=0)
        return np.ascontiguousarray(np.concatenate([parts[gate] for gate in order]))

    for number, suffix in enumerate(("", "_reverse")[:directions]):
        weights[f"weight_ih_l0{suffix}"] = sorted_gates(w[number])
        weights[f"weight_hh_l0{suffix}"] = sorted_gates(r[number])
        if b is not None:
            weights[f"bias_ih_l0{suffix}"], weights[f"bias_hh_l0{suffix}"] = map(sorted_gates, np.split(b[number], 2))
    return weights
