"""Operators that compare two tensors: similarity, distance and bilinear forms."""

from __future__ import annotations

from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.torch_export.operators.table import AtenCall, aten


def _pair(op: AtenCall, first: str, second: str) -> tuple[Tensor, Tensor]:
    """Both inputs with the batch first; one may be a constant."""
    a, b = op.value(first), op.value(second)
    like = a if isinstance(a, Tensor) else b
    if not isinstance(like, Tensor):
        raise UnsupportedOperatorError("none of its inputs depends on the inputs of the network")
    tensors = [_as_tensor(op.builder, value, like) for value in (a, b)]
    return op.builder.to_batch_first(tensors[0]), op.builder.to_batch_first(tensors[1])


def _as_tensor(builder: GraphBuilder, value: Value, like: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else builder.add_constant(value, like, value.weight)


@aten("cosine_similarity")
def _cosine(op: AtenCall) -> Any:
    a, b = op.value("x1"), op.value("x2")
    if a.shape != b.shape or op.number("eps", 1e-8) != 1e-8:
        return _broadcast_cosine(op, a, b)
    a, b = _pair(op, "x1", "x2")
    axis = op.axis(default=1, tensor=a)
    if axis == 0:
        raise UnsupportedOperatorError("it would mix the examples of a batch")
    result = op.builder.add_layer("CosineSimilarity", {"a": a, "b": b}, op.name, axis=axis)
    return [Tensor(result.ref, result.spec, tuple((number,) for number in range(a.rank - 1)))]


def _broadcast_cosine(op: AtenCall, a: Value, b: Value) -> Any:
    """The products of vectors of length 1, which broadcast; the layer needs tensors of equal shapes."""
    axis = op.integer("dim", 1)
    rank = max(len(a.shape), len(b.shape))
    axis = axis if axis < 0 else axis - rank  # counted from the end, where both have it
    smallest = Constant(np.asarray(op.number("eps", 1e-8), np.float32))
    units: list[Any] = []
    for value in (a, b):
        if isinstance(value, Constant):
            length = np.linalg.norm(value.array, axis=axis, keepdims=True)
            units.append(Constant(value.array / np.maximum(length, smallest.array)))
        else:
            length = op.apply("ReduceL2", value, axes=[axis], keepdims=1)[0]
            units += op.apply("Div", value, op.apply("Clip", length, smallest, None)[0])
    return op.apply("ReduceSum", op.apply("Mul", *units)[0], axes=[axis], keepdims=0)


@aten("pairwise_distance")
def _pairwise(op: AtenCall) -> list[Value]:
    a, b = _pair(op, "x1", "x2")
    order, epsilon = op.number("p", 2.0), op.number("eps", 1e-6)
    result = op.builder.add_layer("PairwiseDistance", {"a": a, "b": b}, op.name, p=order, epsilon=epsilon)
    if op.flag("keepdim"):
        return [result]
    return [op.builder.reshape(result, [a.size(axis) for axis in range(1, a.rank - 1)])]


@aten("cdist")
def _distances(op: AtenCall) -> list[Value]:
    order = op.number("p", 2.0)
    if not 1 <= order <= 100:
        raise UnsupportedOperatorError(f"p is {order:g}; distances of the orders 1 to 100 are supported")
    a, b = _pair(op, "x1", "x2")
    params = {} if order == 2 else {"p": order}
    return [op.builder.add_layer("DistanceMatrix", {"a": a, "b": b}, op.name, **params)]


@aten("bilinear")
def _bilinear(op: AtenCall) -> list[Value]:
    weight, bias = op.args.get("weight"), op.args.get("bias")
    if not isinstance(weight, Constant) or not isinstance(bias, Constant | None):
        raise UnsupportedOperatorError("its weights must be constants in the file")
    a, b = _pair(op, "input1", "input2")
    weights = {"weight": weight.array} | ({} if bias is None else {"bias": bias.array})
    params = {"units": weight.shape[0], "bias": bias is not None}
    return [
        op.builder.add_layer("Bilinear", {"a": a, "b": b}, op.name, weights=weights, weight=weight.weight, **params)
    ]
