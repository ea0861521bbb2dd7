"""Normalization and rescaling."""

from __future__ import annotations

import numpy as np

from netloom.compile.importers.imported_model import quoted
from netloom.compile.importers.keras.graph_builder import KerasTensor, LayerCall
from netloom.compile.importers.keras.operator_table import handles


@handles("BatchNormalization")
def _batch_norm(use: LayerCall) -> KerasTensor:
    layer, value = use.layer, use.value
    axis = layer.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if type(axis) is not int or not value.axis(axis):
        raise use.refuse(f"needs one axis of its tensor, received {quoted(axis)}")
    keras = axis % value.rank
    if keras == value.rank - 1:
        value = use.builder.channels_first(value)
    elif keras == 1 and value.rank < 5:
        value = use.builder.channels_last(value)
    else:
        raise use.refuse("normalizes along an axis in the middle, which no layer of Netloom supports")
    center, scale = layer.flag("center", True), layer.flag("scale", True)
    # Keras weights the old statistics by momentum, PyTorch the new ones; 0 is not a valid momentum of the layer.
    momentum = min(1.0, max(1e-6, 1 - layer.number("momentum", 0.99)))
    params = {
        "momentum": round(momentum, 9),
        "epsilon": layer.number("epsilon", 1e-3),
        **_affine_params(center, scale),
    }
    dimensions = max(1, value.rank - 2)
    batch_norm = use.add_like(f"BatchNorm{dimensions}d", params, value)
    arrays = use.arrays(count=2 + center + scale)
    if arrays:
        # Keras stores gamma and beta, as far as they exist, before the moving mean and variance.
        mean, variance = arrays[-2:]
        weight = arrays[0] if scale else np.ones_like(mean)
        affine = ({"weight": weight} if center or scale else {}) | ({"bias": arrays[scale]} if center else {})
        arrays_by_name = {"running_mean": mean, "running_var": variance, **affine}
        if value.order is not None and len(mean) == len(value.order):
            arrays_by_name = {name: array[value.order] for name, array in arrays_by_name.items()}
        use.set_weights(batch_norm, **arrays_by_name)
    _remark_scale(use, center, scale)
    return batch_norm


def _affine_params(center: bool, scale: bool) -> dict[str, bool]:
    """The parameters of a normalization with or without a shift (center) and a scale."""
    return {"affine": center or scale} | ({} if center or not scale else {"bias": False})


def _remark_scale(use: LayerCall, center: bool, scale: bool) -> None:
    if center and not scale:
        use.remark("has no scale in Keras; after the import, it has one that starts at 1.")


@handles("LayerNormalization", "RMSNormalization")
def _layer_norm(use: LayerCall) -> KerasTensor:
    layer, value = use.layer, use.builder.channels_last(use.value)
    raw = layer.config.get("axis", -1)
    axes = sorted(value.axis(axis) for axis in (raw if isinstance(raw, list) else [raw]) if type(axis) is int)
    if not axes or axes != list(range(value.rank - len(axes), value.rank)):
        raise use.refuse(f"normalizes over {quoted(raw)}, but only trailing axes are supported")
    if layer.config.get("rms_scaling"):
        raise use.refuse("scales by the mean square in a way that no layer of Netloom supports")
    root = layer.kind == "RMSNormalization"
    center, scale = not root and layer.flag("center", True), root or layer.flag("scale", True)
    affine = {"affine": center or scale} if root else _affine_params(center, scale)
    params = {"epsilon": layer.number("epsilon", 1e-6 if root else 1e-3), "axes": len(axes), **affine}
    layer_norm = use.add("RMSNorm" if root else "LayerNorm", params, value, main=True)
    arrays = use.arrays(count=center + scale)
    if arrays:
        lengths = tuple(value.spec.size(axis) for axis in axes)
        weight = arrays[0] if scale else np.ones(lengths)
        use.set_weights(layer_norm, weight=weight, **({"bias": arrays[scale]} if center else {}))
    _remark_scale(use, center, scale)
    return layer_norm


@handles("GroupNormalization")
def _group_norm(use: LayerCall) -> KerasTensor:
    layer, value = use.layer, use.value
    axis = layer.config.get("axis", -1)
    if type(axis) is not int or value.axis(axis) != value.axis(-1):
        raise use.refuse("groups along an axis other than the last")
    value = use.builder.channels_first(value)
    groups = layer.integer("groups", 32)
    center, scale = layer.flag("center", True), layer.flag("scale", True)
    params = {
        "groups": value.shape[0] if groups == -1 else groups,
        "epsilon": layer.number("epsilon", 1e-3),
        **_affine_params(center, scale),
    }
    group_norm = use.add_like("GroupNorm", params, value)
    arrays = use.arrays(count=center + scale)
    if arrays:
        channels = value.shape[0]
        weight = arrays[0] if scale else np.ones(channels)
        use.set_weights(group_norm, weight=weight, **({"bias": arrays[scale]} if center else {}))
    _remark_scale(use, center, scale)
    return group_norm


@handles("UnitNormalization")
def _unit(use: LayerCall) -> KerasTensor:
    raw = use.layer.config.get("axis", -1)
    axes = raw if isinstance(raw, list) else [raw]
    if len(axes) != 1 or type(axes[0]) is not int or not use.value.axis(axes[0]):
        raise use.refuse("normalizes over several axes, but only one is supported")
    return use.add_like("Normalize", {"axis": use.value.axis(axes[0])}, use.value)


@handles("Rescaling")
def _rescaling(use: LayerCall) -> KerasTensor:
    scale, offset = (_numbers(use, name, default) for name, default in (("scale", 1.0), ("offset", 0.0)))
    return _affine(use, use.value, scale, offset)


@handles("Normalization")
def _normalization(use: LayerCall) -> KerasTensor:
    layer, value = use.layer, use.value
    axis = layer.config.get("axis", -1)
    axes = [] if axis is None else axis if isinstance(axis, list) else [axis]
    if len(axes) > 1 or (axes and value.axis(axes[0]) != value.axis(-1)):
        raise use.refuse("has statistics along an axis other than the last")
    if layer.config.get("mean") is not None:
        mean, variance = _numbers(use, "mean", 0.0), _numbers(use, "variance", 1.0)
    else:
        arrays = use.arrays(count=(3, 2))
        if not arrays:
            raise use.refuse(
                "has statistics from its data, which the JSON file does not contain; import the .keras file"
            )
        mean, variance = arrays[0].reshape(-1).astype(np.float64), arrays[1].reshape(-1).astype(np.float64)
    # Keras divides by max(√variance, epsilon) with keras.backend.epsilon() = 1e-7.
    spread = np.maximum(np.sqrt(np.maximum(variance, 0)), 1e-7)
    if layer.flag("invert", False):
        return _affine(use, value, spread, mean)
    return _affine(use, value, 1 / spread, -mean / spread)


def _numbers(use: LayerCall, name: str, default: float) -> np.ndarray:
    numbers = use.layer.config.get(name, default)
    if isinstance(numbers, dict):
        inner = numbers.get("config")
        numbers = inner.get("value") if isinstance(inner, dict) else None
    while isinstance(numbers, list) and len(numbers) == 1:
        numbers = numbers[0]
    return np.array([use.layer.real(part, name) for part in (numbers if isinstance(numbers, list) else [numbers])])


def _affine(use: LayerCall, value: KerasTensor, scale: np.ndarray, offset: np.ndarray) -> KerasTensor:
    """Add x · scale + offset, with one number for all channels or one for each."""
    if scale.size > 1 and np.all(scale == scale[0]):
        scale = scale[:1]
    if offset.size > 1 and np.all(offset == offset[0]):
        offset = offset[:1]
    if scale.size == offset.size == 1:
        return use.add_like("ScaleShift", {"scale": float(scale[0]), "shift": float(offset[0])}, value)
    if value.order is not None:
        raise use.refuse("follows a Flatten in a way that the import does not support")
    layer_output = value
    for kind, numbers, neutral in (("Multiply", scale, 1), ("Add", offset, 0)):
        if numbers.size == 1 and numbers[0] == neutral:
            continue
        count = value.keras_shape[-1]
        if numbers.size not in (1, count):
            raise use.refuse(f"has {numbers.size} numbers for {count} channels")
        if numbers.size > 1_000:
            raise use.refuse("has numbers for more than 1,000 channels, the limit of a layer")
        shape = [1] * (value.rank - 1)
        shape[0 if value.is_channels_first else -1] = numbers.size
        text = ", ".join(repr(float(number)) for number in numbers)
        constant = use.add("Constant", {"values": text, "shape": shape}, value)
        layer_output = use.add(
            kind, {}, layer_output, constant, main=kind == "Add", is_channels_first=value.is_channels_first
        )
    return layer_output
