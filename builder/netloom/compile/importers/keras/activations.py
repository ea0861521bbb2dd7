"""Activations, as layers and as settings of others, and dense layers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from netloom.compile.importers.keras.config import LayerConfig
from netloom.compile.importers.keras.container import named
from netloom.compile.importers.keras.graph_builder import Use, Value
from netloom.compile.importers.keras.operator_table import handles, operation

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
        raise use.refuse(
            f"uses {named(given.get('registered_name') or given.get('config'))}, custom code, which is not run"
        )
    if given is None or given == "linear":
        return use.like("Identity", {}, value) if main else value
    if not isinstance(given, str) or given not in ACTIVATIONS:
        raise use.refuse(f"uses the activation {named(given)}, which is not supported; custom functions are not run")
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
        raise use.refuse("uses an axis that its tensor does not have")
    return use.add(kind, {} if axis == value.rank - 1 else {"axis": axis}, value, first=value.first)


@handles("Activation")
def _activation(use: Use) -> Value:
    return activate(use, use.value, main=True)


@handles("Dense")
def _dense(use: Use) -> Value:
    value = use.sheet.last(use.value)
    if use.layer.config.get("quantization_config") or use.layer.config.get("lora_rank"):
        raise use.refuse("is quantized or has LoRA weights, which cannot be imported; save it without them")
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
        raise use.refuse("combines a threshold, a slope and a maximum in a way that no layer of Netloom supports")
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
        raise use.refuse("uses several axes, but Netloom's softmax uses one")
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


@operation("Relu", "Sigmoid", "Tanh", "Softplus", "Silu", "Elu", "Selu", "Exp", "Relu6", "Mish")
def _function(use: Use) -> Value:
    config = {"activation": use.layer.kind.lower()}
    layer: LayerConfig = replace(use.layer, config=config)
    return activate(replace(use, layer=layer), use.value, main=True)
