"""Initial and final states of recurrent layers, which files order by layer and layers by example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import BATCH, Constant, Tensor, UnsupportedOperatorError, Value

_PORTS = ("initial_state", "initial_memory")


def initial_features(
    builder: GraphBuilder, values: Sequence[Value | None], like: Tensor, count: int, size: int
) -> dict[str, Tensor]:
    """Initial states (S, N, H) as vectors (N, S · H) by port; empty if all of them are zeros that are not learned.

    `like` is a tensor whose second axis is the batch.

    Raises:
        UnsupportedOperatorError: A state has another shape, or differs between the examples of a batch.
    """
    if not any(map(_is_given, values)):
        return {}
    zeros = Constant(np.zeros((count, 1, size), np.float32))
    states = [value if value is not None and _is_given(value) else zeros for value in values]
    return {port: _features(builder, state, like, count, size) for port, state in zip(_PORTS, states, strict=False)}


def _is_given(value: Value | None) -> bool:
    if isinstance(value, Constant):
        return value.has_nonzero or bool(value.weight) or value.learned_values is not None
    return value is not None


def _features(builder: GraphBuilder, state: Value, like: Tensor, count: int, size: int) -> Tensor:
    if isinstance(state, Constant):
        rows = state.array
        # A file that was exported with several examples may repeat the state for each of them.
        if rows.ndim == 3 and rows.shape[1] < BATCH and (rows == rows[:, :1]).all() and state.learned_values is None:
            state = replace(state, array=rows[:, :1])
        tensor = builder.add_constant(state, like, state.weight)
    else:
        tensor = state
    if tensor.shape != (count, BATCH, size):
        raise UnsupportedOperatorError(
            f"its initial state must have {count} × N × {size} values, in which the batch N is the second axis"
        )
    layers, batch, features = tensor.axes
    by_example = builder.to_batch_first(replace(tensor, axes=(batch, layers, features)))
    return builder.reshape(by_example, [count * size])


def by_layer(builder: GraphBuilder, state: Tensor, count: int, size: int) -> Tensor:
    """Final states (N, S · H) of a layer as the states (S, N, H) of a file."""
    if count == 1:
        return replace(state, axes=((), (0,), (1,)))
    return replace(builder.reshape(state, [count, size]), axes=((1,), (0,), (2,)))
