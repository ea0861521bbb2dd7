"""Operators that compare two tensors: similarity, distance and bilinear forms."""

from __future__ import annotations

from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.torch_export.operator_table import AtenCall, aten


def _pair(op: AtenCall, first: str, second: str) -> tuple[Tensor, Tensor]:
    """Both inputs with the batch first, of which one may be a constant."""
    a, b = op.value(first), op.value(second)
    like = a if isinstance(a, Tensor) else b
    if not isinstance(like, Tensor):
        raise UnsupportedOperatorError("none of its inputs depends on the inputs of the network")
    tensors = [_as_tensor(op.builder, value, like) for value in (a, b)]
    return op.builder.to_batch_first(tensors[0]), op.builder.to_batch_first(tensors[1])


def _as_tensor(builder: GraphBuilder, value: Value, like: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else builder.add_constant(value, like, value.weight)


@aten("cosine_similarity")
def _cosine(op: AtenCall) -> list[Value]:
    a, b = _pair(op, "x1", "x2")
    if a.shape != b.shape or op.number("eps", 1e-8) != 1e-8:
        raise UnsupportedOperatorError("only tensors of equal shapes and the default eps are supported")
    axis = op.axis(default=1, tensor=a)
    if axis == 0:
        raise UnsupportedOperatorError("it would mix the examples of a batch")
    result = op.builder.add_layer("CosineSimilarity", {"a": a, "b": b}, op.name, axis=axis)
    return [Tensor(result.ref, result.spec, tuple((place,) for place in range(a.rank - 1)))]


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
    if op.number("p", 2.0) != 2:
        raise UnsupportedOperatorError("only Euclidean distances are supported")
    a, b = _pair(op, "x1", "x2")
    return [op.builder.add_layer("DistanceMatrix", {"a": a, "b": b}, op.name)]


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
