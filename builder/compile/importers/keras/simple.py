"""Layers without places: dense, activations, normalisation, shapes and merges."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from builder.compile.importers.keras.config import LayerConfig
from builder.compile.importers.keras.container import named
from builder.compile.importers.keras.sheet import Use, Value, is_value
from builder.compile.importers.keras.table import handles, operation

# Activations by Keras's name: the type, and its parameters.
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("ReLU", {}),
    "relu6": ("ReLU6", {}),
    "leaky_relu": ("LeakyReLU", {"slope": 0.2}),
    "elu": ("ELU", {}),
    "selu": ("SELU", {}),
    "celu": ("CELU", {}),
    "gelu": ("GELU", {}),
    "sigmoid": ("Sigmoid", {}),
    "hard_sigmoid": ("Hardsigmoid", {}),
    "tanh": ("Tanh", {}),
    "hard_tanh": ("Hardtanh", {}),
    "tanh_shrink": ("Tanhshrink", {}),
    "hard_shrink": ("Hardshrink", {}),
    "soft_shrink": ("Softshrink", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "silu": ("SiLU", {}),
    "swish": ("SiLU", {}),
    "hard_silu": ("Hardswish", {}),
    "hard_swish": ("Hardswish", {}),
    "mish": ("Mish", {}),
    "log_sigmoid": ("LogSigmoid", {}),
    "exponential": ("Function", {"function": "exp"}),
    "exp": ("Function", {"function": "exp"}),
    "softmax": ("Softmax", {}),
    "log_softmax": ("LogSoftmax", {}),
}
SHARES = ("Softmax", "LogSoftmax")


def activate(use: Use, value: Value, main: bool = False) -> Value:
    """The activation that a layer's settings name, as a layer of its own."""
    given = use.layer.config.get("activation")
    if isinstance(given, dict):
        if (
            given.get("class_name") in ("ReLU", "LeakyReLU", "ELU", "Softmax", "PReLU")
            and given["class_name"] != "PReLU"
        ):
            inner = given.get("config")
            layer = replace(use.layer, kind=given["class_name"], config=inner if isinstance(inner, dict) else {})
            return _ACTIVATION_LAYERS[layer.kind](replace(use, layer=layer, args=[value]))
        raise use.refuse(f"uses {named(given.get('registered_name') or given.get('config'))}, own code that is not run")
    if given is None or given == "linear":
        return use.like("Identity", {}, value) if main else value
    if not isinstance(given, str) or given not in ACTIVATIONS:
        raise use.refuse(f"uses the activation {named(given)}, which is not known; own functions are not run")
    if given == "hard_sigmoid" and use.layer.old:  # Keras 2 had another line
        scaled = use.add("ScaleShift", {"scale": 0.2, "shift": 0.5}, value, first=value.first)
        return replace(use.add("Clamp", {"low": 0.0, "high": 1.0}, scaled, first=value.first), order=value.order)
    kind, params = ACTIVATIONS[given]
    if kind in SHARES:
        return _softmax(use, value, kind, -1)
    if main:
        return use.like(kind, params, value)
    made = use.add(kind, params, value, first=value.first)
    return replace(made, order=value.order)


def _softmax(use: Use, value: Value, kind: str, keras: int) -> Value:
    axis = value.axis(keras)
    if not axis:
        raise use.refuse("works along an axis that its tensor does not have")
    return use.add(kind, {} if axis == value.rank - 1 else {"axis": axis}, value, first=value.first)


@handles("Activation")
def _activation(use: Use) -> Value:
    return activate(use, use.value, main=True)


@handles("Dense")
def _dense(use: Use) -> Value:
    value = use.sheet.last(use.value)
    if use.layer.config.get("quantization_config") or use.layer.config.get("lora_rank"):
        raise use.refuse("is quantised or has LoRA weights, which cannot be taken; save it without")
    bias = use.layer.flag("use_bias", True)
    made = use.add("Linear", {"units": use.layer.whole("units"), "bias": bias}, value, main=True)
    arrays = use.arrays(count=1 + bias)
    if arrays:
        kernel = arrays[0]
        if value.order is not None and len(kernel) == len(value.order):
            kernel = kernel[value.order]
        use.keep(made, weight=kernel.T, **({"bias": arrays[1]} if bias else {}))
    return activate(use, made)


@handles("ReLU")
def _relu(use: Use) -> Value:
    config = use.layer.config
    slope = use.layer.number("negative_slope", 0.0) if config.get("negative_slope") is not None else 0.0
    threshold = use.layer.number("threshold", 0.0) if config.get("threshold") is not None else 0.0
    high = config.get("max_value")
    value = use.value
    if threshold and not slope and high is None:
        return use.like("Threshold", {"threshold": threshold, "value": 0.0}, value)
    if threshold or (slope and high is not None):
        raise use.refuse("joins a threshold, a slope or a greatest value in a way that has no layer here")
    if slope:
        return use.like("LeakyReLU", {"slope": slope}, value)
    if high is not None:
        top = use.layer.number("max_value")
        return use.like("ReLU6", {}, value) if top == 6 else use.like("Hardtanh", {"low": 0.0, "high": top}, value)
    return use.like("ReLU", {}, value)


@handles("LeakyReLU")
def _leaky(use: Use) -> Value:
    name = "alpha" if "alpha" in use.layer.config else "negative_slope"
    return use.like("LeakyReLU", {"slope": use.layer.number(name, 0.3)}, use.value)


@handles("ThresholdedReLU")
def _thresholded(use: Use) -> Value:
    return use.like("Threshold", {"threshold": use.layer.number("theta", 1.0), "value": 0.0}, use.value)


@handles("ELU")
def _elu(use: Use) -> Value:
    return use.like("ELU", {"alpha": use.layer.number("alpha", 1.0)}, use.value)


@handles("Softmax")
def _softmax_layer(use: Use) -> Value:
    axis = use.layer.config.get("axis", -1)
    if type(axis) is not int:
        raise use.refuse("works along several axes, but a softmax here takes one")
    return _softmax(use, use.value, "Softmax", axis)


_ACTIVATION_LAYERS = {"ReLU": _relu, "LeakyReLU": _leaky, "ELU": _elu, "Softmax": _softmax_layer}


@handles("PReLU")
def _prelu(use: Use) -> Value:
    value = use.value
    shared = use.layer.config.get("shared_axes") or []
    if not isinstance(shared, list) or not all(type(axis) is int and 1 <= axis < value.rank for axis in shared):
        raise use.refuse("shares its slopes along axes that its tensor does not have")
    lengths = [1 if axis in shared else length for axis, length in enumerate(value.keras, 1)]
    arrays = use.arrays(count=1)
    if math.prod(lengths) == 1 or lengths[:-1] == [1] * (len(lengths) - 1):
        single = math.prod(lengths) == 1
        moved = value if single else use.sheet.first(value)
        made = use.like("PReLU", {} if single else {"per_channel": True}, moved)
        if arrays:
            use.keep(made, weight=arrays[0].reshape(-1))
        return made
    # A slope for each place: max(x, 0) − a·max(−x, 0).
    value = use.sheet.last(value)
    slopes = use.add("Learned", {"shape": lengths, "start": "zeros"}, value)
    if arrays:
        use.keep(slopes, weight=arrays[0])
    above = use.add("ReLU", {}, value)
    below = use.add("ReLU", {}, use.add("ScaleShift", {"scale": -1.0}, value))
    return use.add("Subtract", {}, above, use.add("Multiply", {}, slopes, below), main=True)


@handles("Dropout", "GaussianDropout", "AlphaDropout")
def _dropout(use: Use) -> Value:
    kind = "AlphaDropout" if use.layer.kind == "AlphaDropout" else "Dropout"
    if use.layer.kind == "GaussianDropout":
        use.remark("Gaussian dropout becomes plain dropout of the same rate; the trained answers are the same.")
    if use.layer.config.get("noise_shape"):
        use.remark("the shape of its noise is not taken; each number is dropped on its own.")
    return use.like(kind, {"rate": use.layer.number("rate")}, use.value)


@handles("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
def _channel_dropout(use: Use) -> Value:
    value = use.sheet.first(use.value)
    return use.like(f"Dropout{value.rank - 2}d", {"rate": use.layer.number("rate")}, value)


@handles("GaussianNoise")
def _noise(use: Use) -> Value:
    return use.like("GaussianNoise", {"std": use.layer.number("stddev")}, use.value)


@handles("ActivityRegularization", "Identity")
def _identity(use: Use) -> Value:
    return use.like("Identity", {}, use.value)


@handles("Masking")
def _masking(use: Use) -> Value:
    use.remark("masks are not taken; steps that Keras would skip count like the others.")
    return use.like("Identity", {}, use.value)


@handles(
    *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness"),
    *("RandomHue", "RandomSaturation", "RandomSharpness", "RandomColorJitter", "RandomShear", "RandomErasing"),
)
def _augmentation(use: Use) -> Value:
    use.remark("changes of the images while training are not taken; the trained answers are the same.")
    return use.like("Identity", {}, use.value)


@handles("Flatten")
def _flatten(use: Use) -> Value:
    value = use.value
    if value.first and min(value.shape[0], math.prod(value.shape[1:])) > 1:
        if not use.flat:
            return use.add("Flatten", {}, use.sheet.last(value), main=True)
        lengths = value.keras
        order = np.moveaxis(np.arange(math.prod(lengths)).reshape(lengths), -1, 0).reshape(-1)
        return replace(use.add("Flatten", {}, value, main=True), order=order)
    return use.add("Flatten", {}, value, main=True)


@handles("Reshape")
def _reshape(use: Use) -> Value:
    shape = use.layer.config.get("target_shape")
    if not isinstance(shape, list) or not all(type(length) is int for length in shape):
        raise use.refuse(f"needs a shape, not {named(shape)}")
    value = use.sheet.last(use.value)
    return use.add("Reshape", {"shape": list(shape)}, value, main=True)


@handles("Permute")
def _permute(use: Use) -> Value:
    order = use.layer.config.get("dims")
    if not isinstance(order, list) or not all(type(axis) is int for axis in order):
        raise use.refuse(f"needs an order of axes, not {named(order)}")
    return use.add("Permute", {"order": list(order)}, use.sheet.last(use.value), main=True)


@handles("RepeatVector")
def _repeat(use: Use) -> Value:
    spread = use.add("Unsqueeze", {"axis": 1}, use.value)
    return use.add("Expand", {"axis": 1, "length": use.layer.whole("n")}, spread, main=True)


@handles("BatchNormalization")
def _batch_norm(use: Use) -> Value:
    layer, value = use.layer, use.value
    axis = layer.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if type(axis) is not int or not value.axis(axis):
        raise use.refuse(f"needs one axis of its tensor, not {named(axis)}")
    keras = axis % value.rank
    if keras == value.rank - 1:
        value = use.sheet.first(value)
    elif keras == 1 and value.rank < 5:
        value = use.sheet.last(value)
    else:
        raise use.refuse("normalises along an axis in the middle, which has no layer here")
    center, scale = layer.flag("center", True), layer.flag("scale", True)
    momentum = min(1.0, max(1e-6, 1 - layer.number("momentum", 0.99)))
    params = {
        "momentum": round(momentum, 9),
        "epsilon": layer.number("epsilon", 1e-3),
        "affine": center or scale,
    }
    dimensions = max(1, value.rank - 2)
    made = use.like(f"BatchNorm{dimensions}d", params, value)
    arrays = use.arrays(count=2 + center + scale)
    if arrays:
        mean, variance = arrays[-2:]
        weight = arrays[0] if scale else np.ones_like(mean)
        bias = arrays[scale] if center else np.zeros_like(mean)
        if value.order is not None and len(mean) == len(value.order):
            mean, variance, weight, bias = (array[value.order] for array in (mean, variance, weight, bias))
        affine = {"weight": weight, "bias": bias} if center or scale else {}
        use.keep(made, running_mean=mean, running_var=variance, **affine)
    if center != scale:
        use.remark(f"has no {'factor' if center else 'constant'} in Keras; here it starts at {int(center)}.")
    return made


@handles("LayerNormalization", "RMSNormalization")
def _layer_norm(use: Use) -> Value:
    layer, value = use.layer, use.sheet.last(use.value)
    raw = layer.config.get("axis", -1)
    axes = sorted(value.axis(axis) for axis in (raw if isinstance(raw, list) else [raw]) if type(axis) is int)
    if not axes or axes != list(range(value.rank - len(axes), value.rank)):
        raise use.refuse(f"normalises over {named(raw)}, but only the last axes can be taken here")
    if layer.config.get("rms_scaling"):
        raise use.refuse("scales by the mean square in a way that has no layer here")
    root = layer.kind == "RMSNormalization"
    center, scale = not root and layer.flag("center", True), root or layer.flag("scale", True)
    params = {
        "epsilon": layer.number("epsilon", 1e-6 if root else 1e-3),
        "axes": len(axes),
        "affine": center or scale,
    }
    made = use.add("RMSNorm" if root else "LayerNorm", params, value, main=True)
    arrays = use.arrays(count=center + scale)
    if arrays:
        lengths = tuple(value.spec.size(axis) for axis in axes)
        weight = arrays[0] if scale else np.ones(lengths)
        bias = arrays[scale] if center else np.zeros(lengths)
        use.keep(made, weight=weight, **({} if root else {"bias": bias}))
    return made


@handles("GroupNormalization")
def _group_norm(use: Use) -> Value:
    layer, value = use.layer, use.value
    axis = layer.config.get("axis", -1)
    if type(axis) is not int or value.axis(axis) != value.axis(-1):
        raise use.refuse("groups along an axis other than the last")
    value = use.sheet.first(value)
    groups = layer.whole("groups", 32)
    center, scale = layer.flag("center", True), layer.flag("scale", True)
    params = {
        "groups": value.shape[0] if groups == -1 else groups,
        "epsilon": layer.number("epsilon", 1e-3),
        "affine": center or scale,
    }
    made = use.like("GroupNorm", params, value)
    arrays = use.arrays(count=center + scale)
    if arrays:
        channels = value.shape[0]
        weight = arrays[0] if scale else np.ones(channels)
        use.keep(made, weight=weight, bias=arrays[scale] if center else np.zeros(channels))
    return made


@handles("UnitNormalization")
def _unit(use: Use) -> Value:
    raw = use.layer.config.get("axis", -1)
    axes = raw if isinstance(raw, list) else [raw]
    if len(axes) != 1 or type(axes[0]) is not int or not use.value.axis(axes[0]):
        raise use.refuse("normalises over several axes, but here it can be one")
    return use.like("Normalize", {"axis": use.value.axis(axes[0])}, use.value)


@handles("Rescaling")
def _rescaling(use: Use) -> Value:
    scale, offset = (_numbers(use, name, default) for name, default in (("scale", 1.0), ("offset", 0.0)))
    return _affine(use, use.value, scale, offset)


@handles("Normalization")
def _normalization(use: Use) -> Value:
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
            raise use.refuse("has learned its statistics, which JSON alone does not hold; take the .keras file")
        mean, variance = arrays[0].reshape(-1).astype(np.float64), arrays[1].reshape(-1).astype(np.float64)
    spread = np.maximum(np.sqrt(np.maximum(variance, 0)), 1e-7)
    if layer.flag("invert", False):
        return _affine(use, value, spread, mean)
    return _affine(use, value, 1 / spread, -mean / spread)


def _numbers(use: Use, name: str, default: float) -> np.ndarray:
    found = use.layer.config.get(name, default)
    if isinstance(found, dict):
        inner = found.get("config")
        found = inner.get("value") if isinstance(inner, dict) else None
    while isinstance(found, list) and len(found) == 1:
        found = found[0]
    return np.array([use.layer.real(part, name) for part in (found if isinstance(found, list) else [found])])


def _affine(use: Use, value: Value, scale: np.ndarray, offset: np.ndarray) -> Value:
    """x·scale + offset, one number for all or one for each channel."""
    if scale.size > 1 and np.all(scale == scale[0]):
        scale = scale[:1]
    if offset.size > 1 and np.all(offset == offset[0]):
        offset = offset[:1]
    if scale.size == offset.size == 1:
        return use.like("ScaleShift", {"scale": float(scale[0]), "shift": float(offset[0])}, value)
    if value.order is not None:
        raise use.refuse("follows a Flatten in a way that is not known here")
    made = value
    for kind, numbers, neutral in (("Multiply", scale, 1), ("Add", offset, 0)):
        if numbers.size == 1 and numbers[0] == neutral:
            continue
        count = value.keras[-1]
        if numbers.size not in (1, count):
            raise use.refuse(f"has {numbers.size} numbers for {count} channels")
        if numbers.size > 1_000:
            raise use.refuse("has numbers for more than 1,000 channels, too many to be typed into a layer")
        shape = [1] * (value.rank - 1)
        shape[0 if value.first else -1] = numbers.size
        text = ", ".join(repr(float(number)) for number in numbers)
        constant = use.add("Constant", {"values": text, "shape": shape}, value)
        made = use.add(kind, {}, made, constant, main=kind == "Add", first=value.first)
    return made


MERGES = ("Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract")


@handles(*MERGES)
def _merge(use: Use) -> Value:
    return merge(use, use.layer.kind, use.values)


def merge(use: Use, kind: str, values: list[Value]) -> Value:
    """Branches joined number by number."""
    values = _alike(use, values)
    if kind == "Subtract":
        if len(values) != 2:
            raise use.refuse(f"is given {len(values)} tensors, but subtracts one from another")
        return use.add("Subtract", {}, *values, main=True, first=values[0].first)
    if not 2 <= len(values) <= 16:
        raise use.refuse(f"joins {len(values)} branches; here it can be 2 to 16")
    return use.add(kind, {"count": len(values)}, *values, main=True, first=values[0].first)


def _alike(use: Use, values: list[Value]) -> list[Value]:
    """Branches with their axes in the same order."""
    if len({value.rank for value in values}) > 1:
        raise use.refuse("joins tensors with different numbers of axes")
    if any(value.first for value in values) and not all(value.first for value in values):
        values = [use.sheet.natural(value) for value in values]
    return values


@handles("Concatenate")
def _concatenate(use: Use) -> Value:
    values = _alike(use, use.values)
    axis = use.layer.whole("axis", -1)
    place = values[0].axis(axis) if values else 0
    if not place:
        raise use.refuse("joins along the batch axis or one that its tensors do not have")
    if not 2 <= len(values) <= 16:
        raise use.refuse(f"joins {len(values)} branches; here it can be 2 to 16")
    params = {"count": len(values), "axis": place}
    return use.add("Concat", params, *values, main=True, first=values[0].first)


@handles("Dot")
def _dot(use: Use) -> Value:
    values = [use.sheet.last(value) for value in use.values]
    axes = use.layer.config.get("axes")
    pair = [axes, axes] if type(axes) is int else axes
    if len(values) != 2 or not isinstance(pair, list) or len(pair) != 2 or not all(type(one) is int for one in pair):
        raise use.refuse("needs two tensors and the axes along which they are multiplied")
    places = [value.axis(axis) for value, axis in zip(values, pair, strict=True)]
    if not all(places) or any(value.rank > 3 for value in values):
        raise use.refuse("multiplies along axes that have no layer here")
    if use.layer.flag("normalize", False):
        values = [use.add("Normalize", {"axis": at}, value) for value, at in zip(values, places, strict=True)]
    one, other = values
    if one.rank == other.rank == 2:
        return use.add("Dot", {"axis": -1, "keep": True}, one, other, main=True)
    if one.rank != 3 or other.rank != 3:
        raise use.refuse("multiplies a vector with a sequence, which has no layer here")
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
        raise use.refuse("is a function that is not known here")
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
        raise use.refuse("is a function of a number and a tensor that is not known here")
    scale, shift = scaled[kind]
    return use.like("ScaleShift", {"scale": scale, "shift": shift}, value)


@operation("Relu", "Sigmoid", "Tanh", "Softplus", "Silu", "Elu", "Selu", "Exp", "Relu6", "Mish")
def _function(use: Use) -> Value:
    config = {"activation": use.layer.kind.lower()}
    layer: LayerConfig = replace(use.layer, config=config)
    return activate(replace(use, layer=layer), use.value, main=True)
