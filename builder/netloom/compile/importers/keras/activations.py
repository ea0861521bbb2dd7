"""Activations, as layers and as settings of other layers, and dense layers."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

from netloom.compile.importers.imported_model import quoted
from netloom.compile.importers.keras.config import LayerConfig
from netloom.compile.importers.keras.graph_builder import KerasTensor, LayerCall
from netloom.compile.importers.keras.operator_table import handles, operation, outputs

# The layer type and its parameters for each activation of Keras
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("ReLU", {}),
    "relu6": ("ReLU6", {}),
    # The activation function has the slope 0.2 by default, the layer LeakyReLU 0.3.
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
NORMALIZED = ("Softmax", "LogSoftmax")


def activate(use: LayerCall, value: KerasTensor, main: bool = False) -> KerasTensor:
    """Add the activation in the settings of a layer; with `main`, its node gets the name of the layer.

    Raises:
        UnreadableModelError: The activation is not supported.
    """
    activation = use.layer.config.get("activation")
    if isinstance(activation, dict):
        if activation.get("class_name") in ("ReLU", "LeakyReLU", "ELU", "Softmax"):
            inner = activation.get("config")
            layer = replace(use.layer, kind=activation["class_name"], config=inner if isinstance(inner, dict) else {})
            return outputs(_ACTIVATION_LAYERS[layer.kind](replace(use, layer=layer, args=[value])))[0]
        raise use.refuse(
            f"uses {quoted(activation.get('registered_name') or activation.get('config'))}, custom code, "
            "which is not run"
        )
    if activation is None or activation == "linear":
        return use.add_like("Identity", {}, value) if main else value
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise use.refuse(
            f"uses the activation {quoted(activation)}, which is not supported; custom functions are not run"
        )
    # Keras 2 has clip(0.2 x + 0.5, 0, 1), Keras 3 relu6(x + 3) / 6.
    if activation == "hard_sigmoid" and use.layer.is_keras_2:
        scaled = use.add("ScaleShift", {"scale": 0.2, "shift": 0.5}, value, is_channels_first=value.is_channels_first)
        return replace(
            use.add("Clamp", {"low": 0.0, "high": 1.0}, scaled, is_channels_first=value.is_channels_first),
            order=value.order,
        )
    kind, params = ACTIVATIONS[activation]
    if kind in NORMALIZED:
        return _softmax(use, value, kind, -1)
    if main:
        return use.add_like(kind, params, value)
    layer_output = use.add(kind, params, value, is_channels_first=value.is_channels_first)
    return replace(layer_output, order=value.order)


def _softmax(use: LayerCall, value: KerasTensor, kind: str, keras: int) -> KerasTensor:
    axis = value.axis(keras)
    if not axis:
        raise use.refuse("uses an axis that its tensor does not have")
    return use.add(
        kind, {} if axis == value.rank - 1 else {"axis": axis}, value, is_channels_first=value.is_channels_first
    )


@handles("Activation")
def _activation(use: LayerCall) -> KerasTensor:
    return activate(use, use.value, main=True)


@handles("Dense")
def _dense(use: LayerCall) -> KerasTensor:
    value = use.builder.channels_last(use.value)
    if use.layer.config.get("quantization_config") or use.layer.config.get("lora_rank"):
        raise use.refuse("is quantized or has LoRA weights, which cannot be imported; save it without them")
    bias = use.layer.flag("use_bias", True)
    dense = use.add("Linear", {"units": use.layer.integer("units"), "bias": bias}, value, main=True)
    arrays = use.arrays(count=1 + bias)
    if arrays:
        kernel = arrays[0]
        if value.order is not None and len(kernel) == len(value.order):
            kernel = kernel[value.order]  # its rows follow the order of the flattened image
        use.set_weights(dense, weight=kernel.T, **({"bias": arrays[1]} if bias else {}))
    return activate(use, dense)


@handles("EinsumDense")
def _einsum_dense(use: LayerCall) -> KerasTensor:
    """A dense layer on the last axis, which is the most frequent equation, such as abc,cd->abd."""
    equation = use.layer.config.get("equation")
    match = re.fullmatch(
        r"(\.\.\.|[a-z]*)([a-z]),([a-z])([a-z])->(\.\.\.|[a-z]*)([a-z])", str(equation).replace(" ", "")
    )
    lead, inner, rows, columns, kept_axis, last = match.groups() if match else ("",) * 6
    bias = use.layer.config.get("bias_axes")
    is_dense = (lead, inner, columns) == (kept_axis, rows, last) and inner != last and bias in (None, last)
    shape = use.layer.config.get("output_shape")
    units = shape[-1] if isinstance(shape, list) else shape
    if not is_dense or type(units) is not int:
        raise use.refuse(f"has the equation {quoted(equation)}; only products with the last axis are supported")
    config = {**use.layer.config, "units": units, "use_bias": bias is not None}
    return outputs(_dense(replace(use, layer=replace(use.layer, config=config))))[0]


@handles("ReLU")
def _relu(use: LayerCall) -> KerasTensor:
    config = use.layer.config
    slope = use.layer.number("negative_slope", 0.0) if config.get("negative_slope") is not None else 0.0
    threshold = use.layer.number("threshold", 0.0) if config.get("threshold") is not None else 0.0
    high = config.get("max_value")
    value = use.value
    if threshold and not slope and high is None:
        return use.add_like("Threshold", {"threshold": threshold, "value": 0.0}, value)
    if threshold or (slope and high is not None):
        raise use.refuse("combines a threshold, a slope and a maximum in a way that no layer of Netloom supports")
    if slope:
        return use.add_like("LeakyReLU", {"slope": slope}, value)
    if high is not None:
        maximum = use.layer.number("max_value")
        return (
            use.add_like("ReLU6", {}, value)
            if maximum == 6
            else use.add_like("Hardtanh", {"low": 0.0, "high": maximum}, value)
        )
    return use.add_like("ReLU", {}, value)


@handles("LeakyReLU")
def _leaky(use: LayerCall) -> KerasTensor:
    name = "alpha" if "alpha" in use.layer.config else "negative_slope"
    return use.add_like("LeakyReLU", {"slope": use.layer.number(name, 0.3)}, use.value)


@handles("ThresholdedReLU")
def _thresholded(use: LayerCall) -> KerasTensor:
    return use.add_like("Threshold", {"threshold": use.layer.number("theta", 1.0), "value": 0.0}, use.value)


@handles("ELU")
def _elu(use: LayerCall) -> KerasTensor:
    return use.add_like("ELU", {"alpha": use.layer.number("alpha", 1.0)}, use.value)


@handles("Softmax")
def _softmax_layer(use: LayerCall) -> KerasTensor:
    axis = use.layer.config.get("axis", -1)
    if type(axis) is not int:
        raise use.refuse("uses several axes, but Netloom's softmax uses one")
    return _softmax(use, use.value, "Softmax", axis)


_ACTIVATION_LAYERS = {"ReLU": _relu, "LeakyReLU": _leaky, "ELU": _elu, "Softmax": _softmax_layer}


@handles("PReLU")
def _prelu(use: LayerCall) -> KerasTensor:
    value = use.value
    shared = use.layer.config.get("shared_axes") or []
    if not isinstance(shared, list) or not all(type(axis) is int and 1 <= axis < value.rank for axis in shared):
        raise use.refuse("shares its slopes along axes that its tensor does not have")
    lengths = [1 if axis in shared else length for axis, length in enumerate(value.keras_shape, 1)]
    arrays = use.arrays(count=1)
    if math.prod(lengths) == 1 or lengths[:-1] == [1] * (len(lengths) - 1):
        is_single = math.prod(lengths) == 1
        channels_first = value if is_single else use.builder.channels_first(value)
        prelu = use.add_like("PReLU", {} if is_single else {"per_channel": True}, channels_first)
        if arrays:
            use.set_weights(prelu, weight=arrays[0].reshape(-1))
        return prelu
    # PReLU has one slope, or one per channel; a slope per position is max(x, 0) − a · max(−x, 0).
    value = use.builder.channels_last(value)
    slopes = use.add("Learned", {"shape": lengths, "start": "zeros"}, value)
    if arrays:
        use.set_weights(slopes, weight=arrays[0])
    positive = use.add("ReLU", {}, value)
    negative = use.add("ReLU", {}, use.add("ScaleShift", {"scale": -1.0}, value))
    return use.add("Subtract", {}, positive, use.add("Multiply", {}, slopes, negative), main=True)


@operation("Relu", "Sigmoid", "Tanh", "Softplus", "Silu", "Elu", "Selu", "Exp", "Relu6", "Mish")
def _function(use: LayerCall) -> KerasTensor:
    config = {"activation": use.layer.kind.lower()}
    layer: LayerConfig = replace(use.layer, config=config)
    return activate(replace(use, layer=layer), use.value, main=True)
