"""Operators that order values along one axis: sorting, the median, and cumulative products and maxima."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.torch_export.operators.table import AtenCall, aten


def _sorted(op: AtenCall, tensor: Tensor, axis: int, *, descending: bool) -> list[Tensor]:
    """The sorted values and their indices."""
    port_axis = op.builder.single_axis(tensor, axis)
    params: dict[str, Any] = {"axis": port_axis} | ({"descending": True} if descending else {})
    key = op.builder.add_node("Sort", tensor, op.name, **params)
    return [op.builder.with_axes_of(op.builder.output(key, port), tensor) for port in op.builder.ports(key)]


@aten("argsort")
def _order(op: AtenCall) -> Sequence[Any]:
    return _sort(op)[1:]


@aten("sort")
def _sort(op: AtenCall) -> list[Tensor]:
    return _sorted(op, op.tensor(), op.axis(), descending=op.flag("descending"))


@aten("median", "kthvalue")
def _median(op: AtenCall) -> Any:
    """The lower of the two middle values, as in PyTorch, or the k-th smallest value."""
    if op.type == "median" and "dim" not in op.args:
        raise UnsupportedOperatorError("it would mix the examples of a batch")
    tensor, axis = op.tensor(), op.axis()
    middle = op.integer("k") - 1 if op.type == "kthvalue" else (tensor.length(axis) - 1) // 2
    if any(op.used_outputs[1:]):
        raise UnsupportedOperatorError("it returns the indices of its values")
    values = _sorted(op, tensor, axis, descending=False)[0]
    index_value = [middle] if op.flag("keepdim") else middle
    return [op.apply("Gather", values, Constant(np.asarray(index_value, np.int64)), axis=axis)[0], None]


@aten("cummax", "cummin", "cumprod")
def _cumulative(op: AtenCall) -> list[Value | None]:
    if any(op.used_outputs[1:]):
        raise UnsupportedOperatorError("it returns the indices of its extremes")
    tensor = op.tensor()
    kind = "CumProd" if op.type == "cumprod" else "CumMax"
    params = {"axis": op.builder.single_axis(tensor, op.axis())}
    if op.type != "cummin":
        return [*op.elementwise(kind, tensor, **params), None]
    # The minimum is the negated maximum of the negated values.
    (negated,) = op.elementwise("Function", tensor, function="neg")
    (largest,) = op.elementwise(kind, negated, **params)  # type: ignore[arg-type]
    return [*op.elementwise("Function", largest, function="neg"), None]  # type: ignore[arg-type]
