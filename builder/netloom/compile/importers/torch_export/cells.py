"""Single steps of recurrent networks, and bags of embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import BATCH, Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.torch_export.operator_table import AtenCall, aten

_CELLS = {"gru_cell": "GRUCell", "lstm_cell": "LSTMCell", "rnn_tanh_cell": "RNNCell", "rnn_relu_cell": "RNNCell"}
_WEIGHTS = {"w_ih": "weight_ih", "w_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}


@aten(*_CELLS)
def _cell(op: AtenCall) -> list[Value]:
    weights: dict[str, Any] = {}
    for argument, name in _WEIGHTS.items():
        value = op.args.get(argument)
        if not isinstance(value, Constant):
            raise UnsupportedOperatorError("it has no biases, or computes its weights")
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


@aten("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def _bag(op: AtenCall) -> list[Value | None]:
    """One bag for each example: the tokens of all examples in a row, and the place where each example begins."""
    table, indices, offsets = op.args.get("weight"), op.tensor("indices"), op.constant_array("offsets")
    if not isinstance(table, Constant) or offsets is None or op.argument("per_sample_weights") is not None:
        raise UnsupportedOperatorError("only unweighted bags of a table in the file are supported")
    group = indices.axes[0]
    length = indices.length(0) // BATCH
    starts = np.arange(len(offsets)) * length
    if indices.rank != 1 or group[:1] != (0,) or len(group) < 2 or not np.array_equal(offsets, starts):
        raise UnsupportedOperatorError("its bags differ in length")
    if op.flag("include_last_offset") or any(op.used_outputs[1:]):
        raise UnsupportedOperatorError("it returns more than the pooled vectors")
    tokens = op.builder.to_batch_first(Tensor(indices.ref, indices.spec, ((0,), group[1:])))
    params: dict[str, Any] = {"vocabulary": table.shape[0], "dim": table.shape[1]}
    params["mode"] = ("sum", "mean", "max")[op.integer("mode")]
    padding = op.argument("padding_idx")
    params |= {"padding_token": padding} if padding is not None and padding >= 0 else {}
    weights = {"weight": table.array}
    result = op.builder.add_layer("EmbeddingBag", tokens, op.name, weights=weights, weight=table.weight, **params)
    return [result, None, None, None]
