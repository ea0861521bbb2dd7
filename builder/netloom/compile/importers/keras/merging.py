"""Layers and functions that join branches."""

from __future__ import annotations

from netloom.compile.importers.keras.graph_builder import Use, Value, is_value
from netloom.compile.importers.keras.operator_table import handles, operation

MERGES = ("Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract")


@handles(*MERGES)
def _merge(use: Use) -> Value:
    return merge(use, use.layer.kind, use.values)


def merge(use: Use, kind: str, values: list[Value]) -> Value:
    """Branches joined number by number."""
    values = _alike(use, values)
    if kind == "Subtract":
        if len(values) != 2:
            raise use.refuse(f"received {len(values)} tensors, but needs two")
        return use.add("Subtract", {}, *values, main=True, first=values[0].first)
    if not 2 <= len(values) <= 16:
        raise use.refuse(f"merges {len(values)} inputs; 2 to 16 are supported")
    return use.add(kind, {"count": len(values)}, *values, main=True, first=values[0].first)


def _alike(use: Use, values: list[Value]) -> list[Value]:
    """Branches with their axes in the same order."""
    if len({value.rank for value in values}) > 1:
        raise use.refuse("concatenates tensors with different numbers of axes")
    if any(value.first for value in values) and not all(value.first for value in values):
        values = [use.sheet.natural(value) for value in values]
    return values


@handles("Concatenate")
def _concatenate(use: Use) -> Value:
    values = _alike(use, use.values)
    axis = use.layer.whole("axis", -1)
    place = values[0].axis(axis) if values else 0
    if not place:
        raise use.refuse("concatenates along the batch axis or an axis that its tensors do not have")
    if not 2 <= len(values) <= 16:
        raise use.refuse(f"merges {len(values)} inputs; 2 to 16 are supported")
    params = {"count": len(values), "axis": place}
    return use.add("Concat", params, *values, main=True, first=values[0].first)


@handles("Dot")
def _dot(use: Use) -> Value:
    values = [use.sheet.last(value) for value in use.values]
    axes = use.layer.config.get("axes")
    pair = [axes, axes] if type(axes) is int else axes
    if len(values) != 2 or not isinstance(pair, list) or len(pair) != 2 or not all(type(one) is int for one in pair):
        raise use.refuse("needs two tensors and the axes of the product")
    places = [value.axis(axis) for value, axis in zip(values, pair, strict=True)]
    if not all(places) or any(value.rank > 3 for value in values):
        raise use.refuse("multiplies along axes that no layer of Netloom supports")
    if use.layer.flag("normalize", False):
        values = [use.add("Normalize", {"axis": at}, value) for value, at in zip(values, places, strict=True)]
    one, other = values
    if one.rank == other.rank == 2:
        return use.add("Dot", {"axis": -1, "keep": True}, one, other, main=True)
    if one.rank != 3 or other.rank != 3:
        raise use.refuse("multiplies a vector with a sequence, which no layer of Netloom supports")
    params = {"transpose_a": places[0] == 1, "transpose_b": places[1] == 2}
    return use.add("MatMul", params, one, other, main=True)


_OPERATIONS = {
    "Add": "Add",
    "Subtract": "Subtract",
    "Multiply": "Multiply",
    "Maximum": "Maximum",
    "Minimum": "Minimum",
    "Divide": "Divide",
    "TrueDivide": "Divide",
}


@operation(*_OPERATIONS)
def _arithmetic(use: Use) -> Value:
    kind, args = _OPERATIONS[use.layer.kind], [*use.args, *use.kwargs.values()]
    if len(args) != 2:
        raise use.refuse("is a function that the import does not support")
    left, right = args
    if is_value(left) and is_value(right):
        if kind == "Divide":
            pair = _alike(use, [left, right])
            return use.add("Divide", {}, *pair, main=True, first=pair[0].first)
        return merge(use, kind, [left, right])
    value, number = (left, right) if is_value(left) else (right, left)
    constant = use.layer.real(number, "its number")
    scaled = {"Add": (1.0, constant), "Multiply": (constant, 0.0)}
    if kind == "Subtract":
        scaled["Subtract"] = (1.0, -constant) if value is left else (-1.0, constant)
    if kind == "Divide" and value is left and constant:
        scaled["Divide"] = (1 / constant, 0.0)
    if kind not in scaled:
        raise use.refuse("is a function of a number and a tensor that the import does not support")
    scale, shift = scaled[kind]
    return use.like("ScaleShift", {"scale": scale, "shift": shift}, value)
