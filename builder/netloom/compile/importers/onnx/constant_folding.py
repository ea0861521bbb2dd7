"""Constant folding: operators with constant inputs are computed during the import, mostly arithmetic on shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.array_views import contiguous_rows
from netloom.compile.importers.layer_graph.values import BATCH, Array, UnsupportedOperatorError
from netloom.compile.importers.onnx.parser import Operator

MAX_SIZE = 2**27
_ERF = np.vectorize(math.erf, otypes=[np.float64])

_UNARY: dict[str, Callable[[Any], Any]] = {
    "Abs": np.abs, "Neg": np.negative, "Exp": np.exp, "Log": np.log, "Sqrt": np.sqrt, "Floor": np.floor,
    "Ceil": np.ceil, "Sin": np.sin, "Cos": np.cos, "Tanh": np.tanh, "Not": np.logical_not, "Sign": np.sign,
    "Reciprocal": lambda x: 1 / x, "Erf": _ERF, "Sigmoid": lambda x: 1 / (1 + np.exp(-x)), "Identity": lambda x: x,
    "Relu": lambda x: np.maximum(x, 0), "Round": np.round, "Softplus": lambda x: np.logaddexp(x, 0),
}  # fmt: skip
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Pow": np.power, "Equal": np.equal, "Less": np.less,
    "Greater": np.greater, "LessOrEqual": np.less_equal, "GreaterOrEqual": np.greater_equal, "And": np.logical_and,
    "Or": np.logical_or, "Max": np.maximum, "Min": np.minimum, "MatMul": np.matmul, "Mod": np.mod,
    "Xor": np.logical_xor,
    "Div": lambda a, b: _truncated_quotient(a, b) if a.dtype.kind == "i" and b.dtype.kind == "i" else a / b,
}  # fmt: skip


def _truncated_quotient(a: Array, b: Array) -> Array:
    """The quotient of integers, rounded toward zero as in C; `//` rounds toward minus infinity."""
    quotient: Array = a // b
    rounded: Array = quotient + ((quotient < 0) & (quotient * b != a))
    return rounded


def fold_constant(operator: Operator, arrays: list[Array | None]) -> list[Array] | None:
    """The outputs of an operator on constant inputs; None if this module does not compute the operator.

    Raises:
        UnsupportedOperatorError: The result would be too large, or differs between the examples of the batch.
    """
    kind, get = operator.type, operator.attributes.get
    if kind == "Constant":
        return [_constant(operator)]
    x = arrays[0] if arrays else None
    if kind == "ConstantOfShape" and x is not None:
        value = get("value")
        fill = np.zeros(1, np.float32) if value is None else value
        # A view of one value, because a shape with the batch has BATCH times as many values
        return [np.broadcast_to(fill.reshape(-1)[:1].reshape(()), tuple(map(int, x.reshape(-1))))]
    if kind == "Expand" and x is not None and arrays[1] is not None:
        target = tuple(map(int, arrays[1].reshape(-1)))
        return [np.broadcast_to(x, np.broadcast_shapes(x.shape, target))]
    if x is None:
        return None
    if any(math.prod(item.shape) > MAX_SIZE for item in arrays if item is not None):
        return _fold_batched(ConstantCall(operator, arrays, x))
    # Division by zero and overflow give inf and NaN, as at run time.
    with np.errstate(all="ignore"):
        result_ = _evaluate(ConstantCall(operator, arrays, x))
    if result_ is None:
        return None
    result = [result_] if isinstance(result_, np.ndarray | np.generic) else list(result_)
    return [_checked(np.asarray(item), x) for item in result]


def _checked(result: Array, x: Array) -> Array:
    if math.prod(result.shape) > MAX_SIZE:
        raise UnsupportedOperatorError("its result is too large")
    if result.dtype.kind == "f":
        return result.astype(np.float32, copy=False)  # copy=False keeps views, by which weight tying recognizes weights
    return result if result.dtype == bool else result.astype(np.int64, copy=False)


def _fold_batched(call: ConstantCall) -> list[Array] | None:
    """The outputs on a constant that repeats its values for BATCH examples; only operators that return views."""
    if call.operator.type in ("Identity", "Cast"):
        return [call.x]
    if call.operator.type in ("Transpose", "Slice", "Squeeze", "Unsqueeze", "Shape"):
        return [np.asarray(_evaluate(call))]
    raise UnsupportedOperatorError("it uses different constants for each example of the batch")


def _constant(operator: Operator) -> Array:
    for name, kind in (
        *(("value_float", np.float32), ("value_floats", np.float32)),
        *(("value_int", np.int64), ("value_ints", np.int64)),
    ):
        if operator.attributes.get(name) is not None:
            return np.asarray(operator.attributes[name], kind)
    value = operator.attributes.get("value")
    if value is None:
        raise UnsupportedOperatorError("it does not hold numbers")
    return np.asarray(value)


@dataclass(frozen=True)
class ConstantCall:
    """An operator with its constant inputs; `x` is the first of them."""

    operator: Operator
    arrays: list[Array | None]
    x: Array

    def get(self, name: str) -> Any:
        return self.operator.attributes.get(name)

    def array(self, index: int) -> Array:
        """A required input.

        Raises:
            UnsupportedOperatorError: The input is missing.
        """
        array = self.arrays[index] if index < len(self.arrays) else None
        if array is None:
            raise UnsupportedOperatorError(f"input {index + 1} is missing")
        return np.asarray(array)

    def number(self, index: int) -> float:
        """The first number of an input."""
        return float(self.array(index).reshape(-1)[0])

    def integers(self, index: int, name: str) -> list[int] | None:
        """Integers that are an attribute in older opsets and an input in newer ones, as `axes` of Squeeze."""
        value = self.get(name)
        if value is None and index < len(self.arrays) and self.arrays[index] is not None:
            value = [int(number) for number in self.array(index).reshape(-1)]
        return [value] if isinstance(value, int) else value

    def axis(self) -> int:
        return int(self.get("axis") or 0)


def _evaluate(call: ConstantCall) -> Any:
    """The result, an array or several; None for operators that this module does not compute."""
    kind, x, arrays = call.operator.type, call.x, call.arrays
    if kind in _UNARY:
        return _UNARY[kind](x)
    # Small constants can have a large result, which is refused before it takes memory.
    if _size(call) > MAX_SIZE:
        raise UnsupportedOperatorError("its result is too large")
    if kind in _BINARY and len(arrays) == 2 and arrays[1] is not None:
        # With `fmod`, the remainder has the sign of the dividend instead of that of the divisor.
        return np.fmod(x, arrays[1]) if kind == "Mod" and call.get("fmod") else _BINARY[kind](x, arrays[1])
    return _FUNCTIONS[kind](call) if kind in _FUNCTIONS else None


def _size(call: ConstantCall) -> int:
    """The number of values of the result, for operators that broadcast, multiply matrices or repeat values."""
    shapes = [array.shape for array in call.arrays if array is not None]
    if call.operator.type == "MatMul" and len(shapes) == 2:
        left, right = shapes
        rows, columns = left[-2:-1], right[1:][-1:]
        return math.prod(np.broadcast_shapes(left[:-2], right[:-2]) + rows + columns)
    if call.operator.type == "Gather" and len(shapes) == 2:
        data, indices = shapes
        count: int = math.prod(data) // max(data[call.axis()], 1) * math.prod(indices)
        return count
    is_broadcast = call.operator.type in _BINARY or call.operator.type in ("Where", "Clip")
    return math.prod(np.broadcast_shapes(*shapes)) if is_broadcast else 0


def _cast(call: ConstantCall) -> Array:
    to = call.get("to")
    # TensorProto.DataType: 1 is float32, 9 bool, 10 float16, 11 float64, 16 bfloat16; all others are integers.
    return call.x.astype(bool if to == 9 else np.float32 if to in (1, 10, 11, 16) else np.int64)


def _reshape(call: ConstantCall) -> Array:
    target = call.integers(1, "shape") or []
    return call.x.reshape([call.x.shape[position] if size == 0 else size for position, size in enumerate(target)])


def _squeeze(call: ConstantCall) -> Array:
    axes = call.integers(1, "axes")
    return np.squeeze(call.x, None if axes is None else tuple(axes))


def _slice(call: ConstantCall) -> Array:
    starts, ends = call.integers(1, "starts") or [], call.integers(2, "ends") or []
    axes = call.integers(3, "axes") or list(range(len(starts)))
    steps = call.integers(4, "steps") or [1] * len(starts)
    slices: list[slice] = [slice(None)] * call.x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # An end such as −2**63 with a negative step means that the first element is included.
        slices[axis] = slice(start, None if end < -(2**40) else end, step)
    part: Array = call.x[tuple(slices)]
    return part


def _gather(call: ConstantCall) -> Array:
    axis = call.axis()
    # A view keeps the address in memory, by which weights are recognized and tied.
    view = contiguous_rows(call.x, call.array(1), axis) if axis >= 0 else None
    return np.take(call.x, call.array(1), axis=axis) if view is None else view


def _range(call: ConstantCall) -> Array:
    start, stop, step = (call.number(index) for index in range(3))
    if not step or (stop - start) / step > MAX_SIZE:
        raise UnsupportedOperatorError("its range is infinite")
    return np.arange(start, stop, step).astype(call.x.dtype)


def _tile(call: ConstantCall) -> Array:
    repeats = call.integers(1, "repeats") or []
    if math.prod(repeats) * call.x.size > MAX_SIZE:
        raise UnsupportedOperatorError("its result is too large")
    return np.tile(call.x, repeats)


def _triangle(call: ConstantCall) -> Array:
    k = int(call.number(1)) if len(call.arrays) > 1 and call.arrays[1] is not None else 0
    return np.triu(call.x, k) if call.get("upper") in (None, 1) else np.tril(call.x, k)


def _reduce(call: ConstantCall) -> Any:
    axes = call.integers(1, "axes")
    function = _REDUCTIONS[call.operator.type]
    return function(call.x, axis=None if axes is None else tuple(axes), keepdims=call.get("keepdims") != 0)


def _split(call: ConstantCall) -> list[Array]:
    sizes = call.integers(1, "split")
    parts: Any = len(call.operator.outputs) if sizes is None else [int(end) for end in np.cumsum(sizes)[:-1]]
    return np.split(call.x, parts, axis=call.axis())


def _clip(call: ConstantCall) -> Any:
    low, high = (call.arrays[index] if index < len(call.arrays) else None for index in (1, 2))
    return np.clip(call.x, low, high)


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceProd": np.prod, "ReduceSum": np.sum, "ReduceMax": np.max, "ReduceMin": np.min, "ReduceMean": np.mean,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[ConstantCall], Any]] = {
    "Cast": _cast,
    "Shape": lambda call: np.asarray(call.x.shape[call.get("start") : call.get("end")], np.int64),
    "Size": lambda call: np.asarray(call.x.size, np.int64),
    "Gather": _gather,
    "Concat": lambda call: np.concatenate([np.asarray(item) for item in call.arrays], axis=call.axis()),
    "Reshape": _reshape,
    "Transpose": lambda call: np.transpose(call.x, call.get("perm")),
    "Squeeze": _squeeze,
    "Unsqueeze": lambda call: np.expand_dims(call.x, tuple(call.integers(1, "axes") or ())),
    "Slice": _slice,
    "Range": _range,
    "Where": lambda call: np.where(call.x.astype(bool), call.array(1), call.array(2)),
    "Tile": _tile,
    "Trilu": _triangle,
    **dict.fromkeys(_REDUCTIONS, _reduce),
    "CumSum": lambda call: np.cumsum(call.x, axis=int(call.number(1))),
    "Split": _split,
    "Clip": _clip,
    "Dropout": lambda call: call.x,
}


__all__ = ["BATCH", "fold_constant"]
