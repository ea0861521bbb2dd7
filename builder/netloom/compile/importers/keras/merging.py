"""Layers and operations that merge branches."""

from __future__ import annotations

from netloom.compile.importers.keras.graph_builder import KerasTensor, LayerCall, is_tensor
from netloom.compile.importers.keras.operator_table import handles, operation

MERGES = ("Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract")


@handles(*MERGES)
def _merge(use: LayerCall) -> KerasTensor:
    return merge(use, use.layer.kind, use.values)


def merge(use: LayerCall, kind: str, values: list[KerasTensor]) -> KerasTensor:
    """Add a layer that merges branches elementwise.

    Raises:
        UnreadableModelError: The number of branches is not supported.
    """
    values = _same_layout(use, values)
    if kind == "Subtract":
        if len(values) != 2:
            raise use.refuse(f"received {len(values)} tensors, but needs two")
        return use.add("Subtract", {}, *values, main=True, is_channels_first=values[0].is_channels_first)
    if not 2 <= len(values) <= 16:
        raise use.refuse(f"merges {len(values)} inputs; 2 to 16 are supported")
    return use.add(kind, {"count": len(values)}, *values, main=True, is_channels_first=values[0].is_channels_first)


def _same_layout(use: LayerCall, values: list[KerasTensor]) -> list[KerasTensor]:
    """The branches with their axes in the same order."""
    if len({value.rank for value in values}) > 1:
        raise use.refuse("concatenates tensors with different numbers of axes")
    if any(value.is_channels_first for value in values) and not all(value.is_channels_first for value in values):
        values = [use.builder.native_layout(value) for value in values]
    return values


@handles("Concatenate")
def _concatenate(use: LayerCall) -> KerasTensor:
    values = _same_layout(use, use.values)
    axis = use.layer.integer("axis", -1)
    port_axis = values[0].axis(axis) if values else 0
    if not port_axis:
        raise use.refuse("concatenates along the batch axis or an axis that its tensors do not have")
    if not 2 <= len(values) <= 16:
        raise use.refuse(f"merges {len(values)} inputs; 2 to 16 are supported")
    params = {"count": len(values), "axis": port_axis}
    return use.add("Concat", params, *values, main=True, is_channels_first=values[0].is_channels_first)


@handles("Dot")
def _dot(use: LayerCall) -> KerasTensor:
    values = [use.builder.channels_last(value) for value in use.values]
    axes = use.layer.config.get("axes")
    pair = [axes, axes] if type(axes) is int else axes
    if len(values) != 2 or not isinstance(pair, list) or len(pair) != 2 or not all(type(axis) is int for axis in pair):
        raise use.refuse("needs two tensors and the axes of the product")
    port_axes = [value.axis(axis) for value, axis in zip(values, pair, strict=True)]
    if not all(port_axes) or any(value.rank > 3 for value in values):
        raise use.refuse("multiplies along axes that no layer of Netloom supports")
    if use.layer.flag("normalize", False):
        values = [use.add("Normalize", {"axis": at}, value) for value, at in zip(values, port_axes, strict=True)]
    left, right = values
    if left.rank == right.rank == 2:
        return use.add("Dot", {"axis": -1, "keep": True}, left, right, main=True)
    if left.rank != 3 or right.rank != 3:
        raise use.refuse("multiplies a vector with a sequence, which no layer of Netloom supports")
    # The summed axis must be the last of a and the second to last of b.
    params = {"transpose_a": port_axes[0] == 1, "transpose_b": port_axes[1] == 2}
    return use.add("MatMul", params, left, right, main=True)


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
def _arithmetic(use: LayerCall) -> KerasTensor:
    kind, args = _OPERATIONS[use.layer.kind], [*use.args, *use.kwargs.values()]
    if len(args) != 2:
        raise use.refuse("is a function that the import does not support")
    first, second = args
    if is_tensor(first) and is_tensor(second):
        if kind == "Divide":
            pair = _same_layout(use, [first, second])
            return use.add("Divide", {}, *pair, main=True, is_channels_first=pair[0].is_channels_first)
        return merge(use, kind, [first, second])
    value, number = (first, second) if is_tensor(first) else (second, first)
    constant = use.layer.real(number, "its number")
    scaled = {"Add": (1.0, constant), "Multiply": (constant, 0.0)}
    if kind == "Subtract":
        scaled["Subtract"] = (1.0, -constant) if value is first else (-1.0, constant)
    if kind == "Divide" and value is first and constant:
        scaled["Divide"] = (1 / constant, 0.0)
    if kind not in scaled:
        raise use.refuse("is a function of a number and a tensor that the import does not support")
    scale, shift = scaled[kind]
    return use.add_like("ScaleShift", {"scale": scale, "shift": shift}, value)
