"""Tensor operations against NumPy, loops and torch."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from netloom.document import Node
from netloom.layers import TensorSpec, parse, registry

Arrays = Callable[..., Any]
BATCH = 3
V, S, M = (12,), (8, 16), (3, 4, 5)  # a vector, a sequence and an image, each without its batch axis


def tensor_spec(tensor: torch.Tensor) -> TensorSpec:
    return TensorSpec((None, *tensor.shape[1:]), "float" if tensor.is_floating_point() else "int")


def build_module(name: str, params: dict[str, Any], inputs: list[torch.Tensor]) -> nn.Module:
    """The module that the layer builds for these inputs, in float64."""
    layer = parse(Node(id="layer_1", type=name, params=params))
    ports = [port.name for port in layer.inputs()]
    return layer.build(dict(zip(ports, map(tensor_spec, inputs), strict=True))).build().double()


def floats(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(BATCH, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + sum(shape)))


def integers(high: int, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, high, (BATCH, *shape), generator=torch.Generator().manual_seed(seed))


def loop_gather(x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    return np.stack([np.stack([x[n, t] for t in indices[n]]) for n in range(len(x))])


def loop_matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.zeros((len(a), a.shape[1], b.shape[2]))
    for n in range(len(a)):
        for i in range(a.shape[1]):
            for j in range(b.shape[2]):
                out[n, i, j] = sum(a[n, i, k] * b[n, k, j] for k in range(a.shape[2]))
    return out


def loop_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array(
        [[[math.dist(left, right) for right in second] for left in first] for first, second in zip(a, b, strict=True)]
    )


def loop_one_hot(x: np.ndarray, classes: int) -> np.ndarray:
    return np.array([[[float(value == class_index) for class_index in range(classes)] for value in row] for row in x])


def loop_masked_mean(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    means = []
    for rows, keep_flags in zip(x, mask, strict=True):
        chosen = [row for row, keep in zip(rows, keep_flags, strict=True) if keep]
        means.append(np.mean(chosen, axis=0) if chosen else np.zeros(x.shape[2:]))
    return np.stack(means)


def loop_masked_max(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    maxima = np.zeros((len(x), *x.shape[2:]))
    for n, (rows, keep_flags) in enumerate(zip(x, mask, strict=True)):
        if keep_flags.any():
            maxima[n] = rows[keep_flags != 0].max(0)
    return maxima


def ranks(x: np.ndarray, axis: int) -> np.ndarray:
    return np.argsort(x, axis=axis, kind="stable")


# Name, parameters, inputs, and the expected outputs by NumPy or a loop.
TRUTH: list[tuple[str, dict[str, Any], list[torch.Tensor], Arrays]] = [
    ("Add", {}, [floats(*V), floats(*V, seed=1)], lambda a, b: a + b),
    ("Subtract", {}, [floats(*S), floats(*S, seed=1)], lambda a, b: a - b),
    ("Subtract", {}, [floats(*S), floats(8, 1, seed=1)], lambda a, b: a - b),
    ("Divide", {}, [floats(*S), floats(*S, seed=1)], lambda a, b: a / b),
    ("Divide", {"epsilon": 0.25}, [floats(*S), floats(*S, seed=1)], lambda a, b: a / (b + 0.25)),
    ("Maximum", {"count": 3}, [floats(*V, seed=i) for i in range(3)], lambda *x: np.max(x, axis=0)),
    ("Minimum", {"count": 3}, [floats(*V, seed=i) for i in range(3)], lambda *x: np.min(x, axis=0)),
    ("Average", {"count": 3}, [floats(*V, seed=i) for i in range(3)], lambda *x: np.mean(x, axis=0)),
    ("Blend", {}, [floats(*S, seed=i) for i in range(3)], lambda a, b, g: b + g * (a - b)),
    ("Stack", {"count": 3}, [floats(*V, seed=i) for i in range(3)], lambda *x: np.stack(x, axis=1)),
    ("Stack", {"axis": -1}, [floats(*S), floats(*S, seed=1)], lambda *x: np.stack(x, axis=3)),
    ("Power", {"exponent": 3.0}, [floats(*V)], lambda x: x * x * x),
    ("Power", {"exponent": 0.5, "absolute": True}, [floats(*V)], lambda x: np.sqrt(np.abs(x))),
    ("Power", {"exponent": None}, [floats(*V).abs(), floats(*V, seed=1)], lambda a, b: np.exp(b * np.log(a))),
    ("ScaleShift", {"scale": -2.0, "shift": 1.5}, [floats(*M)], lambda x: 1.5 - 2 * x),
    ("Clamp", {"low": -0.5, "high": 0.25}, [floats(*M)], lambda x: np.clip(x, -0.5, 0.25)),
    ("Clamp", {"low": 0.0, "high": None}, [floats(*M)], lambda x: np.where(x > 0, x, 0)),
    ("MatMul", {}, [floats(4, 6), floats(6, 5)], loop_matmul),
    ("MatMul", {"transpose_a": True}, [floats(6, 4), floats(6, 5)], lambda a, b: loop_matmul(a.transpose(0, 2, 1), b)),
    ("MatMul", {"transpose_b": True}, [floats(4, 6), floats(5, 6)], lambda a, b: loop_matmul(a, b.transpose(0, 2, 1))),
    ("MatMul", {"scaled": True}, [floats(4, 9), floats(9, 5)], lambda a, b: loop_matmul(a, b) / 3),
    ("MatMul", {}, [floats(2, 4, 6), floats(2, 6, 5)], lambda a, b: np.einsum("nhij,nhjk->nhik", a, b)),
    ("MatMul", {}, [floats(2, 4, 6), floats(1, 6, 5)], lambda a, b: np.einsum("nhij,njk->nhik", a, b[:, 0])),
    ("MatMul", {}, [floats(4, 6), floats(6)], lambda a, b: (a * b[:, None]).sum(2)),
    ("MatMul", {}, [floats(6), floats(6, 5)], lambda a, b: (a[:, :, None] * b).sum(1)),
    ("MatMul", {"transpose_b": True}, [floats(6), floats(5, 6)], lambda a, b: (a[:, None] * b).sum(2)),
    ("Einsum", {"equation": "nij,njk->nik"}, [floats(4, 6), floats(6, 5)], loop_matmul),
    ("Einsum", {"equation": "n i j -> n j i"}, [floats(4, 6)], lambda a: a.transpose(0, 2, 1)),
    ("Einsum", {"equation": "nii->ni"}, [floats(4, 4)], lambda a: np.stack([np.diag(x) for x in a])),
    ("Einsum", {"equation": "nii->n"}, [floats(4, 4)], lambda a: np.array([np.trace(x) for x in a])),
    (
        "Einsum",
        {"equation": "Bi,Bj,Bij->B"},
        [floats(4), floats(5), floats(4, 5)],
        lambda a, b, c: np.array([x @ z @ y for x, y, z in zip(a, b, c, strict=True)]),
    ),
    (
        "Einsum",
        {"equation": "ni,nj,nk,nl->nijkl"},
        [floats(2), floats(3), floats(4), floats(5)],
        lambda a, b, c, d: (
            a[:, :, None, None, None] * b[:, None, :, None, None] * c[:, None, None, :, None] * d[:, None, None, None]
        ),
    ),
    (
        "OuterProduct",
        {},
        [floats(4), floats(5)],
        lambda a, b: np.stack([np.outer(x, y) for x, y in zip(a, b, strict=True)]),
    ),
    ("OuterProduct", {}, [floats(2, 4), floats(2, 5)], lambda a, b: a[..., None] * b[..., None, :]),
    ("Dot", {}, [floats(*V), floats(*V, seed=1)], lambda a, b: np.array([x @ y for x, y in zip(a, b, strict=True)])),
    ("Dot", {"axis": 1, "keep": True}, [floats(*S), floats(*S, seed=1)], lambda a, b: np.sum(a * b, 1, keepdims=True)),
    (
        "CosineSimilarity",
        {"axis": 1, "keep": True},
        [floats(*S), floats(*S, seed=1)],
        lambda a, b: (
            np.sum(a * b, 1, keepdims=True)
            / np.linalg.norm(a, axis=1, keepdims=True)
            / np.linalg.norm(b, axis=1, keepdims=True)
        ),
    ),
    ("DistanceMatrix", {}, [floats(4, 6), floats(3, 6)], loop_distances),
    ("DistanceMatrix", {"squared": True}, [floats(4, 6), floats(3, 6)], lambda a, b: loop_distances(a, b) ** 2),
    ("Normalize", {}, [floats(*S)], lambda x: x / np.linalg.norm(x, axis=2, keepdims=True)),
    ("Normalize", {"axis": 1, "epsilon": 1.0}, [floats(2) / 100], lambda x: x),
    ("CumSum", {}, [floats(*S)], lambda x: np.cumsum(x, 1)),
    ("CumProd", {"axis": -1}, [floats(*S)], lambda x: np.cumprod(x, 2)),
    ("CumMax", {}, [floats(*S)], lambda x: np.maximum.accumulate(x, 1)),
    ("Difference", {}, [floats(*S)], lambda x: x[:, 1:] - x[:, :-1]),
    ("Difference", {"axis": -1, "keep_length": True}, [floats(*S)], lambda x: np.diff(x, axis=2, prepend=x[:, :, :1])),
    ("Sum", {}, [floats(*V)], lambda x: x.sum(1)),
    ("Sum", {"axes": [-1, 1], "keep": True}, [floats(*M)], lambda x: x.sum((1, 3), keepdims=True)),
    ("Sum", {"axes": [1]}, [integers(9, *S)], lambda x: x.sum(1)),
    ("Mean", {"axis": 1, "keep": True}, [floats(*S)], lambda x: x.mean(1, keepdims=True)),
    ("Max", {"axis": 2, "keep": True}, [floats(*S)], lambda x: x.max(2, keepdims=True)),
    ("Min", {"axes": [2, 1]}, [floats(*M)], lambda x: x.min((1, 2))),
    ("Prod", {"axes": [1, 3]}, [floats(*M)], lambda x: x.prod((1, 3))),
    ("Prod", {"axes": [3, 1], "keep": True}, [floats(*M)], lambda x: x.prod((1, 3), keepdims=True)),
    ("LogSumExp", {"axes": [1, 2]}, [floats(*M)], lambda x: np.logaddexp.reduce(x.reshape(BATCH, 12, 5), 1)),
    ("LogSumExp", {}, [floats(*V) + 1000], lambda x: 1000 + np.log(np.exp(x - 1000).sum(1))),
    ("Var", {"axes": [2, 3]}, [floats(*M)], lambda x: x.var((2, 3))),
    ("Var", {"unbiased": True}, [floats(*S)], lambda x: x.var(2, ddof=1)),
    ("Std", {"axes": [1], "keep": True}, [floats(*S)], lambda x: x.std(1, keepdims=True)),
    ("Std", {"axes": [1], "unbiased": True}, [floats(*S)], lambda x: x.std(1, ddof=1)),
    ("Norm", {}, [floats(*S)], lambda x: np.sqrt((x * x).sum(2))),
    ("Norm", {"order": "L1", "axes": [1, 2]}, [floats(*M)], lambda x: np.abs(x).sum((1, 2))),
    ("Norm", {"order": "max", "keep": True}, [floats(*M)], lambda x: np.abs(x).max(3, keepdims=True)),
    ("MaskedMean", {}, [floats(*S), integers(2, 8)], loop_masked_mean),
    ("MaskedMean", {}, [floats(8, 2, 3), integers(2, 8) * 0], loop_masked_mean),
    ("MaskedMax", {}, [floats(*S) - 5, integers(2, 8)], loop_masked_max),
    ("MaskedMax", {}, [floats(8, 2, 3), integers(2, 8) * 0], loop_masked_max),
    ("ArgMax", {}, [floats(*V)], lambda x: np.argmax(x, 1)),
    ("ArgMin", {"axis": 1, "keep": True}, [floats(*S)], lambda x: np.argmin(x, 1)[:, None]),
    ("TopK", {"k": 3}, [floats(*V)], lambda x: (np.sort(x, 1)[:, :-4:-1], ranks(-x, 1)[:, :3])),
    (
        "TopK",
        {"k": 2, "axis": 1, "largest": False},
        [floats(*S)],
        lambda x: (np.sort(x, 1)[:, :2], ranks(x, 1)[:, :2]),
    ),
    ("Sort", {"axis": 1}, [floats(*S)], lambda x: (np.sort(x, 1), ranks(x, 1))),
    ("Sort", {"descending": True}, [integers(3, 4000)], lambda x: (-np.sort(-x, 1), ranks(-x, 1))),
    ("Transpose", {}, [floats(*M)], lambda x: x.transpose(0, 1, 3, 2)),
    ("Transpose", {"axis": 1, "other": -1}, [floats(*M)], lambda x: x.transpose(0, 3, 2, 1)),
    ("Flatten", {}, [floats(*M)], lambda x: x.reshape(BATCH, 60)),
    ("Flatten", {}, [floats()], lambda x: x.reshape(BATCH, 1)),
    ("FlattenAxes", {}, [floats(*M)], lambda x: x.reshape(BATCH, 3, 20)),
    ("FlattenAxes", {"first": 1, "last": 2}, [floats(*M)], lambda x: x.reshape(BATCH, 12, 5)),
    (
        "SlidingWindow",
        {"size": 3, "step": 2},
        [floats(*S)],
        lambda x: np.stack([x[:, start : start + 3] for start in (0, 2, 4)], 1),
    ),
    (
        "SlidingWindow",
        {"size": 2, "axis": 2},
        [floats(*M)],
        lambda x: np.stack([x[:, :, start : start + 2] for start in (0, 1, 2)], 2),
    ),
    ("Squeeze", {"axis": 1}, [floats(1, 4, 1)], lambda x: x[:, 0]),
    ("Unsqueeze", {"axis": -1}, [floats(*S)], lambda x: x[:, :, :, None]),
    ("Unsqueeze", {"axis": -2}, [floats(*S)], lambda x: x[:, :, None]),
    ("Unsqueeze", {"axis": 1}, [floats()], lambda x: x[:, None]),
    ("Expand", {"length": 4}, [floats(1, 3)], lambda x: np.repeat(x, 4, 1)),
    ("Repeat", {"times": 3}, [floats(*S)], lambda x: np.tile(x, (1, 3, 1))),
    ("Repeat", {"times": 3, "axis": -1, "each": True}, [floats(*S)], lambda x: np.repeat(x, 3, 2)),
    ("Flip", {}, [floats(*S)], lambda x: x[:, ::-1]),
    ("Flip", {"axes": [-1, 1]}, [floats(*M)], lambda x: x[:, ::-1, :, ::-1]),
    ("Roll", {"shift": 3}, [floats(*S)], lambda x: np.roll(x, 3, 1)),
    ("Roll", {"shift": -11, "axis": 2}, [floats(*S)], lambda x: np.roll(x, -11, 2)),
    (
        "Pad",
        {"axis": 2, "before": 2, "after": 1, "value": -1.5},
        [floats(*M)],
        lambda x: np.pad(x, ((0, 0), (0, 0), (2, 1), (0, 0)), constant_values=-1.5),
    ),
    ("Pad", {"before": 1, "after": 0, "value": 7.0}, [integers(5, 4)], lambda x: np.insert(x, 0, 7, 1)),
    ("Cast", {"to": "int"}, [floats(*S) * 4], lambda x: np.trunc(x).astype(int)),
    ("Cast", {"to": "float"}, [integers(9, 5)], lambda x: x.astype(np.float32)),
    ("Split", {"sizes": [2, -1, 3], "axis": 1}, [floats(*S)], lambda x: tuple(np.split(x, [2, 5], 1))),
    ("Chunk", {"count": 4}, [floats(*S)], lambda x: tuple(np.split(x, 4, 2))),
    ("Slice", {"start": 2}, [floats(*S)], lambda x: x[:, 2:]),
    ("Slice", {"start": -6, "end": -1, "step": 2}, [floats(*S)], lambda x: x[:, -6:-1:2]),
    ("Slice", {"end": 99, "axis": -1}, [floats(*S)], lambda x: x),
    ("Select", {"index": -1}, [floats(*S)], lambda x: x[:, -1]),
    ("Select", {"index": 2, "axis": -1, "keep": True}, [floats(*M)], lambda x: x[:, :, :, 2:3]),
    ("IndexSelect", {"indices": [3, 0, -1, 3]}, [floats(*S)], lambda x: x[:, :, [3, 0, -1, 3]]),
    ("Gather", {}, [floats(*S), integers(8, 5)], loop_gather),
    ("Gather", {"axis": 1}, [integers(50, 12), integers(12, 2, 3)], loop_gather),
    (
        "Gather",
        {"axis": 2},
        [floats(*M), integers(4, 2, 3)],
        lambda x, i: np.stack([np.take(one, indices, 1) for one, indices in zip(x, i, strict=True)]),
    ),
    ("Gather", {}, [floats(*S), integers(8)], lambda x, i: np.stack([x[n, i[n]] for n in range(BATCH)])),
    ("GatherElements", {}, [floats(*S), integers(16, 8, 3)], lambda x, i: np.take_along_axis(x, i, 2)),
    ("GatherElements", {"axis": 1}, [floats(*S), integers(8, 2, 16)], lambda x, i: np.take_along_axis(x, i, 1)),
    ("Where", {}, [integers(2, *S), floats(*S), floats(*S, seed=1)], lambda c, a, b: np.where(c, a, b)),
    ("Where", {}, [floats(*S), floats(8, 1), floats(1, 16)], lambda c, a, b: np.where(c != 0, a, b)),
    ("Compare", {"relation": "<"}, [floats(*V), floats(*V, seed=1)], lambda a, b: (a < b) * 1.0),
    ("Compare", {"relation": "<="}, [integers(3, *V), integers(3, *V, seed=1)], lambda a, b: np.float32(a <= b)),
    ("Compare", {"relation": "=="}, [integers(3, *V), integers(3, *V, seed=1)], lambda a, b: np.float32(a == b)),
    ("Compare", {"relation": "!=", "value": 2.0}, [integers(3, *V)], lambda a: np.float32(a != 2)),
    ("Compare", {"relation": ">=", "value": 0.5}, [integers(3, *V)], lambda a: np.float32(a >= 0.5)),
    ("Compare", {"relation": ">", "value": 0.5}, [floats(*V)], lambda a: (a > 0.5) * 1.0),
    ("MaskFill", {"value": 3.5}, [floats(*S), integers(2, 8)], lambda x, m: np.where(m[:, :, None] != 0, x, 3.5)),
    (
        "MaskFill",
        {"value": -1.0, "where": "mask is not 0"},
        [floats(*S), integers(2, 1, 16)],
        lambda x, m: np.where(m != 0, -1.0, x),
    ),
    (
        "CausalMask",
        {},
        [integers(9, 5)],
        lambda x: np.array([[[s <= t for s in range(5)] for t in range(5)]] * BATCH, np.float32),
    ),
    (
        "CausalMask",
        {"window": 2},
        [integers(9, 5)],
        lambda x: np.array([[[t - 2 < s <= t for s in range(5)] for t in range(5)]] * BATCH, np.float32),
    ),
    ("PaddingMask", {}, [integers(3, 8)], lambda x: np.float32(x != 0)),
    ("PaddingMask", {"padding": 2}, [integers(3, 8)], lambda x: np.float32(x != 2)),
    ("OneHot", {"classes": 3}, [integers(5, 4)], lambda x: np.float32(loop_one_hot(x, 3))),
    (
        "Constant",
        {"values": "1, -2.5,3e-1 , +4", "shape": [2, 2]},
        [floats(*V)],
        lambda x: np.array([[[1, -2.5], [0.3, 4]]] * BATCH).astype(np.float32).astype(float),
    ),
    ("Constant", {"values": "2", "shape": [3, 1, 2]}, [floats(*V)], lambda x: np.full((BATCH, 3, 1, 2), 2.0)),
]
IDS = [f"{name}-{number}" for number, (name, *_) in enumerate(TRUTH)]


@pytest.mark.parametrize(("name", "params", "inputs", "truth"), TRUTH, ids=IDS)
def test_operations_match_numpy_and_loops(
    name: str, params: dict[str, Any], inputs: list[torch.Tensor], truth: Arrays
) -> None:
    outputs = build_module(name, params, inputs)(*inputs)
    references = truth(*(value.numpy() for value in inputs))
    pairs = zip(outputs, references, strict=True) if isinstance(references, tuple) else [(outputs, references)]
    for actual, expected in pairs:
        torch.testing.assert_close(actual, torch.from_numpy(np.ascontiguousarray(expected)), rtol=1e-10, atol=1e-10)
    differentiable = name not in ("ArgMax", "ArgMin", "Compare", "Constant") and params.get("to") != "int"
    if differentiable and any(value.is_floating_point() for value in inputs):
        check_gradients(name, params, inputs)


def check_gradients(name: str, params: dict[str, Any], inputs: list[torch.Tensor]) -> None:
    built = build_module(name, params, inputs)
    leaf_inputs = [value.clone().requires_grad_(value.is_floating_point()) for value in inputs]
    if name == "Where":
        leaf_inputs[0].requires_grad_(False)

    def smooth(*values: torch.Tensor) -> Any:
        result = built(*values)
        return result[0] if name in ("TopK", "Sort") else result

    assert torch.autograd.gradcheck(smooth, leaf_inputs, fast_mode=True)


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "neg": lambda x: -x,
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "log2": math.log2,
    "log10": math.log10,
    "sqrt": math.sqrt,
    "rsqrt": lambda x: 1 / math.sqrt(x),
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "asinh": math.asinh,
    "erf": math.erf,
    "sign": lambda x: math.copysign(1, x),
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
}


def test_functions_match_the_math_module() -> None:
    choices = registry()["Function"].model_json_schema()["properties"]["function"]["enum"]
    assert set(choices) == set(FUNCTIONS)
    x = torch.rand(BATCH, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.98 + 0.01
    for name, function in FUNCTIONS.items():
        output = build_module("Function", {"function": name}, [x])(x)
        expected = torch.tensor([[float(function(value)) for value in row] for row in x.tolist()], dtype=torch.float64)
        torch.testing.assert_close(output, expected, rtol=1e-10, atol=1e-10)


def test_function_clamps_inputs_to_least() -> None:
    x = torch.tensor([[-3.0, 0.0, 0.5]], dtype=torch.float64, requires_grad=True)
    output = build_module("Function", {"function": "log", "least": 0.25}, [x])(x)
    torch.testing.assert_close(output, torch.tensor([[0.25, 0.25, 0.5]], dtype=torch.float64).log())
    output.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 0.0, 2.0]]


@pytest.mark.parametrize("name", ["Function", "Compare"])
def test_modules_with_a_function_can_be_copied_and_pickled(name: str) -> None:
    x = floats(*V)
    params = {"value": 0.0} if name == "Compare" else {"function": "erf"}
    built = build_module(name, params, [x])
    for copied in (copy.deepcopy(built), pickle.loads(pickle.dumps(built))):
        assert torch.equal(built(x), copied(x))


def test_nan_values_are_replaced_and_get_no_gradient() -> None:
    x = torch.tensor([[1.0, math.nan, math.inf]], requires_grad=True)
    output = build_module("ReplaceMissing", {"value": -2.0}, [x])(x)
    assert output.tolist() == [[1.0, -2.0, math.inf]]
    output.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[1.0, 0.0, 1.0]]


def attention_and_reference(causal: bool, tokens: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention from single operations, and torch's scaled_dot_product_attention."""
    q, k, v = (floats(5, 6, seed=seed) for seed in range(3))
    scores = build_module("MatMul", {"transpose_b": True, "scaled": True}, [q, k])(q, k)
    allowed = torch.ones(BATCH, 5, 5, dtype=torch.bool)
    if causal:
        mask = build_module("CausalMask", {}, [q])(q)
        scores = build_module("MaskFill", {}, [scores, mask])(scores, mask)
        allowed &= torch.ones(5, 5, dtype=torch.bool).tril()
    if tokens is not None:
        mask = build_module("PaddingMask", {}, [tokens])(tokens)
        mask = build_module("Unsqueeze", {"axis": 1}, [mask])(mask)
        scores = build_module("MaskFill", {}, [scores, mask])(scores, mask)
        allowed &= (tokens != 0)[:, None]
    weights = scores.softmax(-1)
    return build_module("MatMul", {}, [weights, v])(weights, v), F.scaled_dot_product_attention(
        q, k, v, attn_mask=allowed
    )


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_from_operations_matches_torch(causal: bool, padded: bool) -> None:
    tokens = torch.tensor([[4, 2, 7, 0, 0], [1, 1, 1, 1, 1], [5, 0, 0, 0, 0]]) if padded else None
    output, expected = attention_and_reference(causal, tokens)
    torch.testing.assert_close(output, expected, rtol=1e-10, atol=1e-10)


def test_split_and_concat_are_inverse() -> None:
    x = floats(*S)
    parts = build_module("Split", {"sizes": [3, 5], "axis": 1}, [x])(x)
    assert torch.equal(build_module("Concat", {}, list(parts))(*parts), x)


def test_gathering_by_sort_indices_gives_sorted_values() -> None:
    x = floats(*S)
    values, indices = build_module("Sort", {"axis": 1}, [x])(x)
    assert torch.equal(build_module("GatherElements", {"axis": 1}, [x, indices])(x, indices), values)


@pytest.mark.parametrize(
    ("params", "low", "high", "deviation"),
    [
        ({}, -0.12, 0.12, 0.02),
        ({"spread": 2.0}, -12, 12, 2.0),
        ({"start": "uniform", "spread": 3.0}, -3, 3, 3 / math.sqrt(3)),
        ({"start": "zeros"}, 0, 0, 0),
        ({"start": "ones", "spread": 5.0}, 1, 1, 0),
    ],
)
def test_learned_values_have_the_configured_initialization(
    params: dict[str, Any], low: float, high: float, deviation: float
) -> None:
    torch.manual_seed(0)
    x = floats(*V)
    built = build_module("Learned", {"shape": [100, 200], **params}, [x])
    out = built(x)
    assert out.shape == (BATCH, 100, 200)
    assert low <= out.min() <= out.max() <= high
    assert out[0].std().item() == pytest.approx(deviation, rel=0.03)
    (out * torch.arange(1, BATCH + 1).reshape(BATCH, 1, 1)).sum().backward()
    (weight,) = built.parameters()
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.full_like(weight, 1 + 2 + 3))


@pytest.mark.parametrize("position", ["front", "back"])
def test_class_tokens_are_shared_and_keep_the_sequence(position: str) -> None:
    x = floats(*S)
    built = build_module("ConcatenateToken", {"count": 2, "position": position}, [x])
    out = built(x)
    tokens, remaining_tokens = (out[:, :2], out[:, 2:]) if position == "front" else (out[:, 8:], out[:, :8])
    assert torch.equal(remaining_tokens, x)
    (weight,) = built.parameters()
    assert weight.shape == (2, 16)
    assert all(torch.equal(token, weight) for token in tokens)


def test_filled_constant_stores_one_value() -> None:
    x = floats(*V)
    built = build_module("Constant", {"values": "0.5", "shape": [1_000_000, 1_000_000]}, [x])
    assert sum(buffer.numel() for buffer in built.buffers()) == 1
    assert built(x).shape == (BATCH, 1_000_000, 1_000_000)
    assert not built.state_dict()


def test_scatter_inverts_sorting_and_fills_zeros() -> None:
    x = torch.rand(3, 12)
    values, indices = x.sort(dim=1)
    assert torch.equal(build_module("Scatter", {"length": 12}, [values, indices])(values, indices), x)
    best, best_indices = x.topk(4, dim=1)
    output = build_module("Scatter", {"length": 12}, [best, best_indices])(best, best_indices)
    assert torch.equal(output, torch.where(x >= best[:, -1:], x, 0.0))
