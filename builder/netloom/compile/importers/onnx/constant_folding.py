"""Operators whose inputs are all known, computed while the file is read: mostly arithmetic on shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.array_views import rows
from netloom.compile.importers.layer_graph.values import BATCH, Array, Refusal
from netloom.compile.importers.onnx.parser import Operator

MOST = 2**27
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
    "Div": lambda a, b: a // b if a.dtype.kind == "i" and b.dtype.kind == "i" else a / b,
}  # fmt: skip


def computed(operator: Operator, arrays: list[Array | None]) -> list[Array] | None:
    """What an operator makes of known numbers; None where it is not one of those that are computed here."""
    kind, get = operator.type, operator.attributes.get
    if kind == "Constant":
        return [_constant(operator)]
    x = arrays[0] if arrays else None
    if kind == "ConstantOfShape" and x is not None:
        value = get("value")
        fill = np.zeros(1, np.float32) if value is None else value
        return [np.broadcast_to(fill.reshape(-1)[:1].reshape(()), tuple(map(int, x.reshape(-1))))]
    if kind == "Expand" and x is not None and arrays[1] is not None:
        target = tuple(map(int, arrays[1].reshape(-1)))
        return [np.broadcast_to(x, np.broadcast_shapes(x.shape, target))]
    if x is None:
        return None
    if any(math.prod(item.shape) > MOST for item in arrays if item is not None):
        return _virtual(Known(operator, arrays, x))
    with np.errstate(all="ignore"):
        found = _of_numbers(Known(operator, arrays, x))
    if found is None:
        return None
    result = [found] if isinstance(found, np.ndarray | np.generic) else list(found)
    return [_kept(np.asarray(item), x) for item in result]


def _kept(result: Array, x: Array) -> Array:
    if math.prod(result.shape) > MOST:
        raise Refusal("its result is too large")
    if result.dtype.kind == "f":
        return result.astype(np.float32, copy=False)  # a view stays one: see tying.py
    return result if result.dtype == bool else result.astype(np.int64, copy=False)


def _virtual(known: Known) -> list[Array] | None:
    """What can be done with numbers that are the same for each example of any batch."""
    if known.operator.type in ("Identity", "Cast"):
        return [known.x]
    if known.operator.type in ("Transpose", "Slice", "Squeeze", "Unsqueeze", "Shape"):  # these copy no numbers
        return [np.asarray(_of_numbers(known))]
    raise Refusal("it uses different constants for each example of the batch")


def _constant(operator: Operator) -> Array:
    for name, kind in (
        *(("value_float", np.float32), ("value_floats", np.float32)),
        *(("value_int", np.int64), ("value_ints", np.int64)),
    ):
        if operator.attributes.get(name) is not None:
            return np.asarray(operator.attributes[name], kind)
    value = operator.attributes.get("value")
    if value is None:
        raise Refusal("it does not hold numbers")
    return np.asarray(value)


@dataclass(frozen=True)
class Known:
    """An operator with the numbers that go in; `x` is the first of them."""

    operator: Operator
    given: list[Array | None]
    x: Array

    def get(self, name: str) -> Any:
        return self.operator.attributes.get(name)

    def array(self, index: int) -> Array:
        """An input that has to be there."""
        array = self.given[index] if index < len(self.given) else None
        if array is None:
            raise Refusal(f"input {index + 1} is missing")
        return np.asarray(array)

    def number(self, index: int) -> float:
        """The first number of an input."""
        return float(self.array(index).reshape(-1)[0])

    def whole(self, index: int, name: str) -> list[int] | None:
        """Whole numbers that are an attribute in older files and an input in newer ones."""
        value = self.get(name)
        if value is None and index < len(self.given) and self.given[index] is not None:
            value = [int(number) for number in self.array(index).reshape(-1)]
        return [value] if isinstance(value, int) else value

    def axis(self) -> int:
        return int(self.get("axis") or 0)


def _of_numbers(known: Known) -> Any:
    """What comes out, as one array or several; None for operators that are not computed here."""
    kind, x, arrays = known.operator.type, known.x, known.given
    if kind in _UNARY:
        return _UNARY[kind](x)
    if kind in _BINARY and len(arrays) == 2 and arrays[1] is not None:
        if math.prod(np.broadcast_shapes(x.shape, arrays[1].shape)) > MOST and kind != "MatMul":
            raise Refusal("its result is too large")
        return _BINARY[kind](x, arrays[1])
    return _OTHERS[kind](known) if kind in _OTHERS else None


def _cast(known: Known) -> Array:
    to = known.get("to")
    return known.x.astype(bool if to == 9 else np.float32 if to in (1, 10, 11, 16) else np.int64)


def _reshape(known: Known) -> Array:
    target = known.whole(1, "shape") or []
    return known.x.reshape([known.x.shape[place] if size == 0 else size for place, size in enumerate(target)])


def _squeeze(known: Known) -> Array:
    axes = known.whole(1, "axes")
    return np.squeeze(known.x, None if axes is None else tuple(axes))


def _slice(known: Known) -> Array:
    starts, ends = known.whole(1, "starts") or [], known.whole(2, "ends") or []
    axes = known.whole(3, "axes") or list(range(len(starts)))
    steps = known.whole(4, "steps") or [1] * len(starts)
    slices: list[slice] = [slice(None)] * known.x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        slices[axis] = slice(start, None if end < -(2**40) else end, step)
    part: Array = known.x[tuple(slices)]
    return part


def _gather(known: Known) -> Array:
    axis = known.axis()
    view = rows(known.x, known.array(1), axis) if axis >= 0 else None
    return np.take(known.x, known.array(1), axis=axis) if view is None else view


def _range(known: Known) -> Array:
    start, stop, step = (known.number(place) for place in range(3))
    if not step or (stop - start) / step > MOST:
        raise Refusal("its range is infinite")
    return np.arange(start, stop, step).astype(known.x.dtype)


def _tile(known: Known) -> Array:
    repeats = known.whole(1, "repeats") or []
    if math.prod(repeats) * known.x.size > MOST:
        raise Refusal("its result is too large")
    return np.tile(known.x, repeats)


def _triangle(known: Known) -> Array:
    k = int(known.number(1)) if len(known.given) > 1 and known.given[1] is not None else 0
    return np.triu(known.x, k) if known.get("upper") in (None, 1) else np.tril(known.x, k)


def _reduce(known: Known) -> Any:
    axes = known.whole(1, "axes")
    function = _REDUCTIONS[known.operator.type]
    return function(known.x, axis=None if axes is None else tuple(axes), keepdims=known.get("keepdims") != 0)


def _split(known: Known) -> list[Array]:
    sizes = known.whole(1, "split")
    parts: Any = len(known.operator.outputs) if sizes is None else [int(end) for end in np.cumsum(sizes)[:-1]]
    return np.split(known.x, parts, axis=known.axis())


def _clip(known: Known) -> Any:
    low, high = (known.given[place] if place < len(known.given) else None for place in (1, 2))
    return np.clip(known.x, low, high)


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceProd": np.prod, "ReduceSum": np.sum, "ReduceMax": np.max, "ReduceMin": np.min, "ReduceMean": np.mean,
}  # fmt: skip
_OTHERS: dict[str, Callable[[Known], Any]] = {
    "Cast": _cast,
    "Shape": lambda known: np.asarray(known.x.shape[known.get("start") : known.get("end")], np.int64),
    "Size": lambda known: np.asarray(known.x.size, np.int64),
    "Gather": _gather,
    "Concat": lambda known: np.concatenate([np.asarray(item) for item in known.given], axis=known.axis()),
    "Reshape": _reshape,
    "Transpose": lambda known: np.transpose(known.x, known.get("perm")),
    "Squeeze": _squeeze,
    "Unsqueeze": lambda known: np.expand_dims(known.x, tuple(known.whole(1, "axes") or ())),
    "Slice": _slice,
    "Range": _range,
    "Where": lambda known: np.where(known.x.astype(bool), known.array(1), known.array(2)),
    "Tile": _tile,
    "Trilu": _triangle,
    **dict.fromkeys(_REDUCTIONS, _reduce),
    "CumSum": lambda known: np.cumsum(known.x, axis=int(known.number(1))),
    "Split": _split,
    "Clip": _clip,
    "Dropout": lambda known: known.x,
}


__all__ = ["BATCH", "computed"]
