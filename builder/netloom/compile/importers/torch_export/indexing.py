"""Indexing by constant positions and masks, as in x[:, mask], and assignments to what they select."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import Array, Constant, Tensor, UnsupportedOperatorError
from netloom.compile.importers.torch_export.operator_table import AtenCall, aten
from netloom.compile.importers.torch_export.shape_operators import reshaped


def _positions(op: AtenCall) -> tuple[int, list[Array]]:
    """The first indexed axis, and the constant positions along it and the axes that follow it.

    A mask over several axes selects positions along each of them.

    Raises:
        UnsupportedOperatorError: The indices are computed, or other axes are between the indexed ones.
    """
    positions: dict[int, Array] = {}
    axis = 0
    for value in op.argument("indices", []):
        if value is None:
            axis += 1
            continue
        if not isinstance(value, Constant):
            raise UnsupportedOperatorError("only constant indices and masks are supported")
        found = value.array.nonzero() if value.array.dtype == bool else (value.array,)
        positions |= {axis + place: part for place, part in enumerate(found)}
        axis += len(found)
    axes = sorted(positions)
    if not axes or axes != list(range(axes[0], axes[0] + len(axes))):
        raise UnsupportedOperatorError("it selects along axes that are not beside each other")
    return axes[0], [positions[axis] for axis in axes]


@aten("index")
def _index(op: AtenCall) -> Any:
    """x[:, indices] and x[:, mask], and x[:, rows, columns] by positions of both axes as one axis."""
    tensor = op.tensor()
    first, positions = _positions(op)
    sizes = tensor.shape[first : first + len(positions)]
    flat: Array = np.zeros((), np.int64)
    for size, part in zip(sizes, positions, strict=True):
        flat = flat * size + np.where(part < 0, part + size, part)
    if len(positions) > 1:
        merged = [*tensor.shape[:first], math.prod(sizes), *tensor.shape[first + len(sizes) :]]
        tensor = reshaped(op, tensor, merged)[0]  # type: ignore[assignment]
    return op.apply("Gather", tensor, Constant(flat), axis=first)


@aten("index_put")
def _assign(op: AtenCall) -> Any:
    """x[mask] = number, where the mask is constant or computed."""
    tensor, value = op.tensor(), op.value("values")
    if not isinstance(value, Constant) or value.scalar is None or op.flag("accumulate"):
        raise UnsupportedOperatorError("only a constant number can be assigned to the values that a mask selects")
    number = Constant(np.asarray(value.scalar, np.int64 if tensor.spec.dtype == "int" else np.float32))
    indices = op.argument("indices", [])
    if len(indices) == 1 and isinstance(indices[0], Tensor) and indices[0].boolean:
        return op.apply("Where", _with_rank(indices[0], tensor.rank), number, tensor)
    first, positions = _positions(op)
    if first == 0:
        raise UnsupportedOperatorError("it would mix the examples of a batch")
    mask = np.zeros((1, *tensor.shape[1:]), bool)
    mask[(slice(None),) * first + tuple(positions)] = True
    return op.apply("Where", Constant(mask), number, tensor)


def _with_rank(mask: Tensor, rank: int) -> Tensor:
    """A mask of the leading axes, with axes of length 1 behind them."""
    return mask if mask.rank == rank else Tensor(mask.ref, mask.spec, mask.axes + ((),) * (rank - mask.rank), True)
