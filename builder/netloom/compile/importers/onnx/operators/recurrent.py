"""Recurrent layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import Array, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.onnx.operators.operator import Call, operator

# The order of PyTorch's gates in ONNX's: LSTM has i, o, f, c (PyTorch i, f, g, o), GRU has z, r, h (PyTorch r, z, n).
# https://onnx.ai/onnx/operators/onnx__LSTM.html, https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}


@operator("LSTM", "GRU", "RNN")
def _recurrent(call: Call) -> list[Value | None]:
    tensor, size = call.tensor(), int(call.attribute("hidden_size", 0))
    w, r, b = call.required_array(1), call.required_array(2), call.constant_array(3)
    bidirectional = call.attribute("direction", "forward") == "bidirectional"
    if call.attribute("direction", "forward") == "reverse" or call.attribute("layout", 0) or tensor.rank != 3:
        raise UnsupportedOperatorError("only forward and bidirectional sequences are supported")
    if call.type == "GRU" and not call.attribute("linear_before_reset", 0):
        raise UnsupportedOperatorError(
            "its reset gate is applied before the product, but PyTorch applies it after the product"
        )
    if any(isinstance(value, Tensor) or (value is not None and value.has_nonzero) for value in call.inputs[5:7]):
        raise UnsupportedOperatorError("its initial state is not zero")
    defaults = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}.get(call.type, ["Tanh"])
    functions = call.attribute("activations", None)
    params: dict[str, Any] = {"hidden_size": size}
    if call.type == "RNN" and functions and set(functions) == {"Relu"}:
        params["nonlinearity"] = "relu"
    elif functions and functions != defaults * (1 + bidirectional):
        raise UnsupportedOperatorError("its gates have other activations than PyTorch's")
    if call.attribute("clip", None) is not None or call.attribute("input_forget", 0):
        raise UnsupportedOperatorError("its gates are clipped or coupled")
    if call.used_outputs[2:] and any(call.used_outputs[2:]):
        raise UnsupportedOperatorError("it returns its last memory cell, which the layer does not expose")
    order, weights = _GATES[call.type], {}

    def sorted_gates(gates: Array) -> Array:
        parts = np.split(gates, len(order), axis=0)
        return np.ascontiguousarray(np.concatenate([parts[gate] for gate in order]))

    for number, suffix in enumerate(("", "_reverse")[: 1 + bidirectional]):
        weights[f"weight_ih_l0{suffix}"] = sorted_gates(w[number])
        weights[f"weight_hh_l0{suffix}"] = sorted_gates(r[number])
        bias = np.zeros(2 * len(order) * size, np.float32) if b is None else b[number]
        weights[f"bias_ih_l0{suffix}"], weights[f"bias_hh_l0{suffix}"] = map(sorted_gates, np.split(bias, 2))
    # (T, N, D) -> (N, T, D)
    batch_first = Tensor(tensor.ref, tensor.spec, (tensor.axes[1], tensor.axes[0], tensor.axes[2]), tensor.boolean)
    inputs = call.builder.to_batch_first(batch_first)
    lengths = call.inputs[4] if len(call.inputs) > 4 else None
    if isinstance(lengths, Tensor) or (lengths and lengths.scalar not in (None, float(inputs.length(1)))):
        raise UnsupportedOperatorError("its sequences differ in length, which the layer does not support")
    if bidirectional:
        params["bidirectional"] = True
    key = call.builder.add_node(call.type, inputs, call.name, weights=weights, **params)
    sequence, state = call.builder.output(key), call.builder.output(key, "state")
    if not bidirectional:
        return [
            replace(sequence, axes=((1,), (), (0,), (2,))) if call.used_outputs[0] else None,
            replace(state, axes=((), (0,), (1,))),
            None,
        ]
    outputs: list[Value | None] = [None, None, None]
    if call.used_outputs[0]:
        # (N, T, 2 · H) -> (T, 2, N, H)
        separated = call.builder.reshape(sequence, [inputs.length(1), 2, size])
        outputs[0] = replace(separated, axes=((1,), (2,), (0,), (3,)))
    if call.used_outputs[1:2] == (True,):
        outputs[1] = replace(call.builder.reshape(state, [2, size]), axes=((1,), (0,), (2,)))
    return outputs
