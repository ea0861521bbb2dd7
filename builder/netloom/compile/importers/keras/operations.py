"""Operations of keras.ops on the axes of a tensor: reductions, reordering, indexing, products; and simple functions."""

from __future__ import annotations

from typing import Any

from netloom.compile.importers.keras.graph_builder import KerasTensor, LayerCall, is_tensor
from netloom.compile.importers.keras.operator_table import LAYERS, operation, outputs

_REDUCTIONS = {"Mean": "Mean", "Max": "Max", "Sum": "Sum", "Min": "Min", "Prod": "Prod", "Var": "Var", "Std": "Std"}
_FUNCTIONS = {
    "Square": "square",
    "Sqrt": "sqrt",
    "Absolute": "abs",
    "Abs": "abs",
    "Log": "log",
    "Sin": "sin",
    "Cos": "cos",
}
_POWERS = {2: "square", 0.5: "sqrt", -1: "reciprocal"}
# Operations whose settings are those of a layer
_LIKE_LAYERS = ("Concatenate", "Softmax")


@operation(*_LIKE_LAYERS)
def _like_layer(use: LayerCall) -> list[KerasTensor]:
    return outputs(LAYERS[use.layer.kind](use))


@operation(*_REDUCTIONS, "Norm")
def _reduce(use: LayerCall) -> KerasTensor:
    config, value, keep = use.layer.config, use.value, use.layer.flag("keepdims", False)
    if use.layer.kind == "Norm" and config.get("ord") not in (None, 2, "fro"):
        raise use.refuse("is a norm other than the Euclidean one")
    if config.get("initial") is not None:
        raise use.refuse("starts from an initial value, which no layer has")
    axes = _axes(use, value, config.get("axis"))
    if use.layer.kind == "Norm" and config.get("ord") == 2 and len(axes) > 1:
        raise use.refuse("is the spectral norm of a matrix, which no layer computes")
    is_spatial = axes == list(range(1, value.rank - 1))
    # The axes of one image stay where they are, so that no Permute is needed.
    if not (value.is_channels_first and is_spatial and not keep):
        value = use.builder.channels_last(value)
    at = [value.axis(axis) for axis in axes]
    if len(at) == value.rank - 1:
        if not keep:
            raise use.refuse("leaves one number for each example; use keepdims=True")
        rank, flat = value.rank, use.add("Flatten", {}, value) if value.rank > 2 else value
        value, at = use.add("Unsqueeze", {"axis": 1}, flat), [2]
        result = _reduced(use, value, at)
        missing = list(range(2, rank))
    else:
        result, missing = _reduced(use, value, at), at if keep else []
    for axis in sorted(missing):
        result = use.add("Unsqueeze", {"axis": axis}, result)
    return result


def _reduced(use: LayerCall, value: KerasTensor, axes: list[int]) -> KerasTensor:
    """A tensor without these axes of its port."""
    if use.layer.kind not in ("Mean", "Max"):
        params: dict[str, Any] = {"axes": sorted(axes)} | ({"order": "L2"} if use.layer.kind == "Norm" else {})
        return use.add(_REDUCTIONS.get(use.layer.kind, "Norm"), params, value)
    for axis in sorted(axes, reverse=True):  # each reduction moves the axes after it
        value = use.add(use.layer.kind, {"axis": axis}, value)
    return value


def _axes(use: LayerCall, value: KerasTensor, axes: Any) -> list[int]:
    """Axes of Keras, counted from 1 after the batch."""
    numbers = [axes] if type(axes) is int else axes
    if not isinstance(numbers, list) or not all(type(axis) is int for axis in numbers):
        raise use.refuse("mixes the examples of a batch; give it axes")
    placed = sorted(axis + value.rank if axis < 0 else axis for axis in numbers)
    if not all(1 <= axis < value.rank for axis in placed):
        raise use.refuse("mixes the examples of a batch, or uses axes that its tensor does not have")
    return placed


@operation("Transpose")
def _transpose(use: LayerCall) -> KerasTensor:
    value, order = use.builder.channels_last(use.value), use.layer.config.get("axes")
    if not isinstance(order, list) or sorted(order) != list(range(value.rank)) or order[0] != 0:
        raise use.refuse("moves the batch axis")
    return use.add("Permute", {"order": order[1:]}, value, main=True)


@operation("Reshape")
def _reshape(use: LayerCall) -> KerasTensor:
    value, shape = use.builder.channels_last(use.value), use.layer.config.get("newshape")
    if (
        not isinstance(shape, list)
        or not all(type(length) is int for length in shape[1:])
        or shape[0] not in (-1, None)
    ):
        raise use.refuse("merges the batch with another axis")
    return use.add("Reshape", {"shape": shape[1:]}, value, main=True)


@operation("ExpandDims", "Squeeze")
def _one_axis(use: LayerCall) -> KerasTensor:
    value, axis = use.builder.channels_last(use.value), use.layer.config.get("axis")
    is_new = use.layer.kind == "ExpandDims"
    if type(axis) is not int:
        raise use.refuse("needs one axis")
    axis = axis + value.rank + is_new if axis < 0 else axis
    if axis < 1:
        raise use.refuse("changes the batch axis")
    return use.add("Unsqueeze" if is_new else "Squeeze", {"axis": axis}, value, main=True)


@operation("Stack")
def _stack(use: LayerCall) -> KerasTensor:
    values = [use.builder.channels_last(value) for value in use.values]
    axis = use.layer.integer("axis", 0)
    axis = axis + values[0].rank + 1 if axis < 0 else axis
    if axis < 1 or not 2 <= len(values) <= 16:
        raise use.refuse("stacks along the batch axis, or not 2 to 16 tensors")
    parts = [use.add("Unsqueeze", {"axis": axis}, value) for value in values]
    return use.add("Concat", {"count": len(parts), "axis": axis}, *parts, main=True)


@operation("Matmul")
def _product(use: LayerCall) -> KerasTensor:
    values = [use.builder.channels_last(value) for value in use.values]
    if len(values) != 2 or any(value.rank < 3 for value in values):
        raise use.refuse("needs two tensors with matrices for each example")
    return use.add("MatMul", {}, *values, main=True)


@operation("GetItem")
def _item(use: LayerCall) -> KerasTensor:
    value, index = use.builder.channels_last(use.value), use.args[1] if len(use.args) > 1 else None
    parts = index if isinstance(index, list) else [index]
    if not parts or _slice(parts[0]) != (None, None, None) or len(parts) > value.rank:
        raise use.refuse("selects examples of a batch")
    axis = 1
    for part in parts[1:]:
        bounds = _slice(part)
        if type(part) is int:
            value = use.add("Select", {"axis": axis, "index": part}, value)
            continue
        if bounds is None:
            raise use.refuse("has an index that is neither a number nor a slice")
        start, end, step = bounds
        if bounds != (None, None, None):
            value = use.add("Slice", {"axis": axis, "start": start or 0, "end": end, "step": step or 1}, value)
        axis += 1
    return value


def _slice(part: Any) -> tuple[Any, Any, Any] | None:
    """The start, the end and the step of a slice; None for another index."""
    config = part.get("config") if isinstance(part, dict) and part.get("class_name") == "__slice__" else None
    return (config.get("start"), config.get("stop"), config.get("step")) if isinstance(config, dict) else None


@operation(*_FUNCTIONS)
def _function(use: LayerCall) -> KerasTensor:
    return use.add_like("Function", {"function": _FUNCTIONS[use.layer.kind]}, use.value)


@operation("Negative")
def _negative(use: LayerCall) -> KerasTensor:
    return use.add_like("ScaleShift", {"scale": -1.0, "shift": 0.0}, use.value)


@operation("Clip")
def _clip(use: LayerCall) -> KerasTensor:
    limits = {"low": use.layer.number("x_min"), "high": use.layer.number("x_max")}
    return use.add_like("Clamp", limits, use.value)


@operation("Power")
def _power(use: LayerCall) -> KerasTensor:
    exponent = use.args[1] if len(use.args) > 1 else None
    if not is_tensor(use.args[0]) or type(exponent) not in (int, float) or exponent not in _POWERS:
        raise use.refuse("is a power other than 2, 0.5 and -1")
    return use.add_like("Function", {"function": _POWERS[exponent]}, use.value)


@operation("NotEqual")
def _mask(use: LayerCall) -> KerasTensor:
    raise use.refuse(
        "computes the mask of an Embedding or a Masking layer, which the import does not support; save the model "
        "without mask_zero and Masking"
    )
