"""Operators whose inputs are all known, computed while the file is read: mostly arithmetic on shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from builder.compile.importers.onnx.drawing import BATCH, Array, Refusal
from builder.compile.importers.onnx.reading import Operator

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


def computed(operator: Operator, given: list[Array | None], opset: int) -> list[Array] | None:
    """What an operator makes of known numbers; None where it is not one of those that are computed here."""
    kind, get = operator.type, operator.attributes.get
    if kind == "Constant":
        return [_constant(operator)]
    x = given[0] if given else None
    if kind == "ConstantOfShape" and x is not None:
        value = get("value")
        fill = np.zeros(1, np.float32) if value is None else value
        return [np.broadcast_to(fill.reshape(-1)[:1].reshape(()), tuple(map(int, x.reshape(-1))))]
    if kind == "Expand" and x is not None and given[1] is not None:
        asked = tuple(map(int, given[1].reshape(-1)))
        return [np.broadcast_to(x, np.broadcast_shapes(x.shape, asked))]
    if x is None:
        return None
    if any(math.prod(item.shape) > MOST for item in given if item is not None):
        return _virtual(operator, given, x, opset)
    with np.errstate(all="ignore"):
        found = _of_numbers(operator, given, x, opset)
    if found is None:
        return None
    result = [found] if isinstance(found, np.ndarray | np.generic) else list(found)
    return [_kept(np.asarray(item), x) for item in result]


def _kept(found: Array, x: Array) -> Array:
    if math.prod(found.shape) > MOST:
        raise Refusal("it makes more numbers than can be kept")
    if found.dtype.kind == "f":
        return found.astype(np.float32)
    return found if found.dtype == bool else found.astype(np.int64)


def _virtual(operator: Operator, given: list[Array | None], x: Array, opset: int) -> list[Array] | None:
    """What can be done with numbers that are the same for each example of any batch."""
    if operator.type in ("Identity", "Cast"):
        return [x]
    if operator.type in ("Transpose", "Slice", "Squeeze", "Unsqueeze", "Shape"):  # these copy no numbers
        return [np.asarray(_of_numbers(operator, given, x, opset))]
    raise Refusal("it computes with fixed numbers for each example of the batch")


def _constant(operator: Operator) -> Array:
    for name, kind in (
        *(("value_float", np.float32), ("value_floats", np.float32)),
        *(("value_int", np.int64), ("value_ints", np.int64)),
    ):
        if operator.attributes.get(name) is not None:
            return np.asarray(operator.attributes[name], kind)
    value = operator.attributes.get("value")
    if value is None:
        raise Refusal("it holds no numbers")
    return np.asarray(value)


def _of_numbers(operator: Operator, given: list[Array | None], x: Array, opset: int) -> Any:
    kind, get = operator.type, operator.attributes.get

    def whole(place: int, name: str) -> list[int] | None:
        value = get(name)
        if value is None and place < len(given) and given[place] is not None:
            value = [int(number) for number in np.asarray(given[place]).reshape(-1)]
        return [value] if isinstance(value, int) else value

    if kind in _UNARY:
        return _UNARY[kind](x)
    if kind in _BINARY and len(given) == 2 and given[1] is not None:
        if math.prod(np.broadcast_shapes(x.shape, given[1].shape)) > MOST and kind != "MatMul":
            raise Refusal("it makes more numbers than can be kept")
        return _BINARY[kind](x, given[1])
    if kind == "Cast":
        to = get("to")
        return x.astype(bool if to == 9 else np.float32 if to in (1, 10, 11, 16) else np.int64)
    if kind == "Shape":
        return np.asarray(x.shape[get("start") : get("end")], np.int64)
    if kind == "Size":
        return np.asarray(x.size, np.int64)
    if kind == "Gather":
        return np.take(x, np.asarray(given[1]), axis=get("axis") or 0)
    if kind == "Concat":
        return np.concatenate([np.asarray(item) for item in given], axis=get("axis") or 0)
    if kind == "Reshape":
        shape = [x.shape[place] if size == 0 else size for place, size in enumerate(whole(1, "shape") or [])]
        return x.reshape(shape)
    if kind == "Transpose":
        return np.transpose(x, get("perm"))
    if kind == "Squeeze":
        axes = whole(1, "axes")
        return np.squeeze(x, None if axes is None else tuple(axes))
    if kind == "Unsqueeze":
        return np.expand_dims(x, tuple(whole(1, "axes") or ()))
    if kind == "Slice":
        starts, ends = whole(1, "starts") or [], whole(2, "ends") or []
        axes = whole(3, "axes") or list(range(len(starts)))
        steps = whole(4, "steps") or [1] * len(starts)
        places: list[slice] = [slice(None)] * x.ndim
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
            places[axis] = slice(start, None if end < -(2**40) else end, step)
        return x[tuple(places)]
    if kind == "Range":
        first, last, by = (float(np.asarray(item).reshape(-1)[0]) for item in given)
        if not by or (last - first) / by > MOST:
            raise Refusal("it counts without an end")
        return np.arange(first, last, by).astype(x.dtype)
    if kind == "Where":
        return np.where(x.astype(bool), np.asarray(given[1]), np.asarray(given[2]))
    if kind == "Tile":
        repeats = whole(1, "repeats") or []
        if math.prod(repeats) * x.size > MOST:
            raise Refusal("it makes more numbers than can be kept")
        return np.tile(x, repeats)
    if kind == "Trilu":
        k = int(np.asarray(given[1]).reshape(-1)[0]) if len(given) > 1 and given[1] is not None else 0
        return np.triu(x, k) if get("upper") in (None, 1) else np.tril(x, k)
    if kind in ("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean"):
        axes = whole(1, "axes")
        function: Any = {"Prod": np.prod, "Sum": np.sum, "Max": np.max, "Min": np.min, "Mean": np.mean}[kind[6:]]
        return function(x, axis=None if axes is None else tuple(axes), keepdims=get("keepdims") != 0)
    if kind == "CumSum":
        return np.cumsum(x, axis=int(np.asarray(given[1]).reshape(-1)[0]))
    if kind == "Split":
        sizes = whole(1, "split")
        axis = get("axis") or 0
        parts: Any = len(operator.outputs) if sizes is None else [int(v) for v in np.cumsum(sizes)[:-1]]
        return np.split(x, parts, axis=axis)
    if kind == "Clip":
        low, high = (None if place >= len(given) or given[place] is None else given[place] for place in (1, 2))
        return np.clip(x, low, high)
    if kind == "Dropout":
        return x
    return None


__all__ = ["BATCH", "computed"]
