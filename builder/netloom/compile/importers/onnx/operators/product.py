"""Products: Gemm and MatMul."""

from __future__ import annotations

import math

import numpy as np

from netloom.compile.importers.layer_graph.attention import match_attention
from netloom.compile.importers.layer_graph.values import (
    Array,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
    pad_rank,
)
from netloom.compile.importers.onnx.operators.operator import Call, operator


def linear(call: Call, tensor: Tensor, weight: Array, bias: Array | None, name: str, origin: str = "") -> Tensor:
    """A Linear layer along the last axis; `weight` is (units, features), as in nn.Linear.

    Raises:
        UnsupportedOperatorError: The layer does not accept a tensor of this shape.
    """
    tensor = call.builder.move_last(tensor)
    sizes = [tensor.size(axis) for axis in range(1, len(tensor.spec.shape))]
    # A layer accepts up to three axes; it treats the rows of more axes alike, as one axis.
    rows = call.builder.reshape(tensor, [math.prod(sizes[:-1]), sizes[-1]]) if len(sizes) > 3 else tensor
    if rows.spec.kind not in ("vector", "sequence", "image"):
        raise UnsupportedOperatorError(f"a linear layer does not accept {tensor.spec}")
    weights = {"weight": weight} | ({} if bias is None else {"bias": bias.reshape(-1)})
    result = call.builder.add_layer(
        *("Linear", rows, name), units=weight.shape[0], bias=bias is not None, weights=weights, weight=origin
    )
    if rows is not tensor:
        result = call.builder.reshape(result, [*sizes[:-1], weight.shape[0]])
    return call.builder.with_axes_of(result, tensor)


@operator("Gemm")
def _gemm(call: Call) -> list[Value]:
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    weight = call.required_array(1)
    if call.attribute("transA", 0) or weight.ndim != 2 or call.tensor().rank != 2:
        raise UnsupportedOperatorError("only products of rows with constant weights are supported")
    is_transposed = bool(call.attribute("transB", 0))
    weight = weight if is_transposed else weight.T
    bias = call.constant_array(2)
    if bias is not None and bias.size not in (1, weight.shape[0]):
        raise UnsupportedOperatorError("its bias must have one value per unit")
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1) * np.float32(beta), (weight.shape[0],)).copy()
    constant = call.constant(1)
    # Only an unchanged weight keeps its name, by which nodes share weights.
    origin = constant.weight if constant and is_transposed and alpha == 1 else ""
    weight = weight if alpha == 1 else weight * np.float32(alpha)
    return [linear(call, call.tensor(), weight, bias, call.module_name(1), origin)]


@operator("MatMul")
def _matmul(call: Call) -> list[Value]:
    a, b = call.inputs[0], call.inputs[1]
    if a is not None and b is not None and 1 in (len(a.shape), len(b.shape)):
        return _vector_product(call, a, b)
    if isinstance(a, Tensor) and isinstance(b, Constant) and b.array.ndim == 2:
        return [linear(call, a, b.array.T, None, call.module_name(1))]
    if isinstance(a, Tensor) and isinstance(b, Constant) and _is_per_matrix(a, b):
        return [_multiply_each(call, a, b)]
    if not isinstance(a, Tensor):
        a = call.builder.add_constant(_required_constant(a), call.tensor(1))
    if not isinstance(b, Tensor):
        b = call.builder.add_constant(_required_constant(b), a)
    return [match_attention(call.builder, a, b, call.name) or product(call, a, b)]


def _vector_product(call: Call, a: Value, b: Value) -> list[Value]:
    """A product with a vector, whose axis MatMul removes, such as the scores of a learned query."""
    if len(b.shape) == 1:
        rows = "abcdefgh"[: len(a.shape) - 1]
        equation = f"{rows}k,k->{rows}"
    else:
        rows = "abcdefgh"[: len(b.shape) - 2]
        equation = f"k,{rows}kj->{rows}j"
    return list(call.apply("Einsum", a, b, equation=equation))  # type: ignore[arg-type]


def _is_per_matrix(a: Tensor, b: Constant) -> bool:
    """Whether several constant matrices multiply the rows of the whole batch: (E or 1, N·T, D) @ (E, D, F)."""
    return a.rank == 3 == len(b.shape) and 0 in a.axes[1] and len(a.axes[0]) < 2 and len(a.axes[2]) == 1


def _multiply_each(call: Call, a: Tensor, b: Constant) -> Tensor:
    """(E or 1, N · T, D) @ (E, D, F) as (N, E or 1, T, D) @ (E, D, F), as layers need the batch as the first axis."""
    leading, row, column = a.axes
    other_parts = [part for part in row if part != 0]
    if len(other_parts) > 1 or b.array.dtype != np.float32:
        raise UnsupportedOperatorError("its rows combine more than two axes")
    order = [leading[0] if leading else None, other_parts[0] if other_parts else None, column[0]]
    inputs = {"a": call.builder.reorder(a, order), "b": call.builder.add_constant(b, _batch_view(a))}
    result = call.builder.add_layer("MatMul", inputs, call.name)
    rows = tuple(0 if part == 0 else 2 for part in row) if other_parts else (0,)
    return Tensor(result.ref, result.spec, ((1,), rows, (3,)) if other_parts else ((1,), (0,), (3,)))


def _batch_view(tensor: Tensor) -> Tensor:
    """The tensor with the batch as its first axis, followed by three axes of the file."""
    return Tensor(tensor.ref, tensor.spec, ((0,), (), (), ()))


def _required_constant(value: Value | None) -> Constant:
    if not isinstance(value, Constant):
        raise UnsupportedOperatorError("an input is missing")
    return value


def product(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """The MatMul of two tensors, with transpose flags instead of Transpose layers where possible.

    Raises:
        UnsupportedOperatorError: The batch or the axes of the matrices have no equivalent in the layer.
    """
    rank = max(a.rank, b.rank)
    if min(a.rank, b.rank) < 2:
        raise UnsupportedOperatorError("a product with a single row is not supported")
    a, b = pad_rank(a, rank), pad_rank(b, rank)
    if a.batch != b.batch or a.batch >= rank - 2:
        raise UnsupportedOperatorError("the batch axis must be the same leading axis of both matrices")
    ends = [(tensor.axes[-2], tensor.axes[-1]) for tensor in (a, b)]
    if any(len(group) > 1 for pair in ends for group in pair):
        raise UnsupportedOperatorError("its matrices combine more than two axes")
    # The port axes of all leading axes, as (axis of the file, position in its group)
    parts: list[tuple[int, int]] = []
    for axis in range(rank - 2):
        width = max(sum(inner != 0 for inner in tensor.axes[axis]) for tensor in (a, b))
        parts += [(axis, part_axis) for part_axis in range(width)]

    def inner(tensor: Tensor, part: tuple[int, int]) -> int | None:
        group = [axis for axis in tensor.axes[part[0]] if axis != 0]
        return group[part[1]] if part[1] < len(group) else None

    reference = next((operand for operand in (a, b) if all(inner(operand, part) is not None for part in parts)), None)
    if reference is not None:
        # In the order of a tensor that has all of them, which then needs no Permute
        parts.sort(key=lambda part: inner(reference, part) or 0)
    inputs, params = {}, {}
    for port, tensor, (row, column) in zip("ab", (a, b), ends, strict=True):
        last_axes = [row[0] if row else None, column[0] if column else None]
        front = [inner(tensor, part) for part in parts]
        # A matrix that only lacks a swap of its last two axes needs a flag instead of a Transpose layer.
        is_transposed = None not in last_axes and [*front, *last_axes[::-1]] == list(range(1, len(tensor.spec.shape)))
        if is_transposed:
            params[f"transpose_{port}"] = True
        inputs[port] = call.builder.reorder(tensor, [*front, *(last_axes[::-1] if is_transposed else last_axes)])
    result = call.builder.add_layer("MatMul", inputs, call.name, **params)
    # Attention is recognized later by the product of its queries and keys.
    call.builder.products[result.ref] = (a, b)
    numbers = {part: number for number, part in enumerate(parts, 1)}
    axes: list[tuple[int, ...]] = []
    for axis in range(rank - 2):
        group = [numbers[part] for part in sorted(parts) if part[0] == axis]
        if axis == a.batch:
            longest = max((a, b), key=lambda tensor: len(tensor.axes[axis]))
            group.insert(longest.axes[axis].index(0), 0)
        axes.append(tuple(group))
    return Tensor(result.ref, result.spec, (*axes, (len(parts) + 1,), (len(parts) + 2,)))


@operator("BiasedMatMul")
def _biased(call: Call) -> list[Value]:
    """A MatMul with a bias. ONNX has no such operator; the importer fuses MatMul and Add into it."""
    name = call.module_name(1) if call.module_name(1) != call.name else call.module_name(2)
    return [linear(call, call.tensor(), call.required_array(1).T, call.required_array(2), name)]
