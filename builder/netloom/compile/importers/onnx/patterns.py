"""Recognition of activations that exporters decompose, such as GELU into Erf, Mul and Add, by their values.

The operators between one tensor and a result, with scalar constants as other inputs, are a function of one number.
Where it agrees with an activation of the catalogue at many points, that layer replaces all of them. Comparing values
instead of graph patterns covers all orders in which exporters write the same formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import Array
from netloom.compile.importers.onnx.constant_folding import fold_constant
from netloom.compile.importers.onnx.parser import Operator

_SCALAR = frozenset(
    "Add Sub Mul Div Pow Erf Tanh Sigmoid Exp Log Sqrt Neg Clip Softplus Relu Max Min Abs Reciprocal Identity".split()
)
_ENDS = frozenset({"Mul", "Div", "Log", "Add", "Sub"})
# A dense grid, the kinks of the hard activations at ±3, and two points off the grid
_POINTS = np.concatenate([np.linspace(-9, 9, 181), np.array([-3.0, 3.0, 0.013, -0.37])]).astype(np.float32)
_DEPTH = 16

# Untyped, because mypy takes several seconds to check these formulas on arrays.
Curve = Callable[[Any], Any]
_erf = np.vectorize(math.erf, otypes=[np.float64])
_tanh_gelu: Curve = lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))  # noqa: E731
ACTIVATIONS: list[tuple[str, dict[str, Any], Curve]] = [
    ("GELU", {}, lambda x: x * (1 + _erf(x / math.sqrt(2))) / 2),
    ("GELU", {"approximate": "tanh"}, _tanh_gelu),
    ("SiLU", {}, lambda x: x / (1 + np.exp(-x))),
    ("Mish", {}, lambda x: x * np.tanh(np.logaddexp(x, 0))),
    ("Hardswish", {}, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    ("Hardsigmoid", {}, lambda x: np.clip(x + 3, 0, 6) / 6),
    ("Softsign", {}, lambda x: x / (1 + np.abs(x))),
    ("LogSigmoid", {}, lambda x: -np.logaddexp(-x, 0)),
    ("Tanhshrink", {}, lambda x: x - np.tanh(x)),
]


def find_activations(
    operators: tuple[Operator, ...], numbers: Mapping[str, Array], opset: int, outputs: tuple[str, ...]
) -> dict[str, tuple[str, dict[str, Any], str]]:
    """By the name of a result: the layer that replaces its operators, its parameters, and the name of its input."""
    producers = {name: item for item in operators for name in item.outputs if name}
    order = {name: position for position, name in enumerate(producers)}
    readers: dict[str, int] = dict.fromkeys(outputs, 1)
    for item in operators:
        for name in item.inputs:
            readers[name] = readers.get(name, 0) + 1
    fixed = {name for name, value in numbers.items() if value.size == 1 and value.dtype == np.float32}
    constants = {item.outputs[0] for item in operators if item.type == "Constant" and item.outputs}
    matches: dict[str, tuple[str, dict[str, Any], str]] = {}
    for item in operators:
        if item.type not in _ENDS or not item.outputs:
            continue
        match = _scalar_cone(item, producers, order, fixed | constants)
        if match is None:
            continue
        cone_operators, source = match
        names = {operator.outputs[0] for operator in cone_operators} - {item.outputs[0]}
        reads = [name for operator in cone_operators for name in operator.inputs]
        if any(readers.get(name, 0) != reads.count(name) for name in names):
            continue  # another operator reads an intermediate result
        values = _evaluate(cone_operators[::-1], source, numbers, operators, opset)
        if values is None:
            continue
        for layer, params, curve in ACTIVATIONS:
            # Wide enough for different orders of float32 operations, but not for GELU and its tanh approximation
            if np.allclose(values, curve(_POINTS.astype(np.float64)), rtol=1e-5, atol=2e-6):
                matches[item.outputs[0]] = (layer, params, source)
                break
    return matches


def _scalar_cone(
    end: Operator, producers: Mapping[str, Operator], order: Mapping[str, int], fixed: set[str]
) -> tuple[list[Operator], str] | None:
    """The operators of a function of one number that ends here, from the last to the first, and the name of its input.

    Grows backwards from `end` until all other inputs are constants; the smallest such set of operators is returned.
    """
    # The smallest set first: a larger one could include a preceding operator that is not part of the activation.
    for depth in range(2, _DEPTH):
        operators, sources = [end], {name for name in end.inputs if name and name not in fixed}
        while len(operators) < depth and len(sources) > 0:
            # In reverse execution order, so that an operator is added after all its readers in the set
            latest = max(sources, key=lambda name: order.get(name, -1))
            producer = producers.get(latest)
            if producer is None or producer.type not in _SCALAR or len(producer.outputs) != 1:
                break
            operators.append(producer)
            sources = (sources - {latest}) | {name for name in producer.inputs if name and name not in fixed}
        if len(sources) == 1 and len(operators) == depth and (end.type != "Mul" or len(operators) > 1):
            source = next(iter(sources))
            # Candidates read their input more than once, as x · σ(x), or end with Div or Log.
            if sum(source in item.inputs for item in operators) > 1 or end.type == "Div" or end.type == "Log":
                return operators, source
    return None


def _evaluate(
    inside: list[Operator], source: str, numbers: Mapping[str, Array], operators: tuple[Operator, ...], opset: int
) -> Array | None:
    values: dict[str, Array] = {source: _POINTS}
    for item in operators:
        if item.type == "Constant" and item.outputs and item.attributes.get("value") is not None:
            value = np.asarray(item.attributes["value"])
            if value.size == 1:
                values[item.outputs[0]] = value.reshape(())
    for item in inside:
        arrays = [None if not name else values.get(name, numbers.get(name)) for name in item.inputs]
        if any(value is None and name for value, name in zip(arrays, item.inputs, strict=True)):
            return None
        arrays = [None if value is None else value.reshape(()) if value.size == 1 else value for value in arrays]
        # The limits are attributes before opset 11.
        if item.type == "Clip" and opset < 11:
            arrays = [arrays[0], *(np.asarray(item.attributes.get(side)) for side in ("min", "max"))]
        results = fold_constant(item, arrays)
        if not results:
            return None
        values[item.outputs[0]] = results[0]
    return values[inside[-1].outputs[0]]
