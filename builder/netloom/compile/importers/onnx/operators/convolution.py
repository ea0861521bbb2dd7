"""Convolution and pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from netloom.compile.importers.layer_graph.values import Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.onnx.operators.operator import KINDS, Call, operator
from netloom.compile.importers.padding import pad_sides, same_padding


def _uniform(values: Sequence[int], label: str) -> int:
    if len(set(values)) != 1:
        raise UnsupportedOperatorError(
            f"its {label} is {', '.join(map(str, values))}, but the layer has one value for all axes"
        )
    return int(values[0])


def _window(
    call: Call, kernel: Sequence[int], tensor: Tensor, fill: float = 0.0
) -> tuple[Tensor, list[int], list[int]]:
    """The tensor with unequal padding applied, the padding that remains for the layer, and the strides."""
    axes = len(kernel)
    strides = list(call.attribute("strides", [1] * axes))
    dilations = list(call.attribute("dilations", [1] * axes))
    pads = list(call.attribute("pads", [0] * 2 * axes))
    mode = call.attribute("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        smaller, larger = zip(*same_padding(tensor.shape[2:], kernel, strides, dilations), strict=True)
        pads = [*smaller, *larger] if mode == "SAME_UPPER" else [*larger, *smaller]
    elif mode == "VALID":
        pads = [0] * 2 * axes
    if len(pads) != 2 * axes or len(strides) != axes:
        raise UnsupportedOperatorError("its values do not match its axes")
    if pads[:axes] != pads[axes:]:
        sides = pad_sides(list(zip(pads[:axes], pads[axes:], strict=True)))
        # Zeros could exceed the maximum of negative values.
        if fill == -math.inf:
            raise UnsupportedOperatorError(
                "its padding differs between the borders, which max pooling does not support"
            )
        tensor = call.builder.add_layer(f"ZeroPad{axes}d", tensor, "pad", sides=sides)
        return tensor, [0] * axes, strides
    return tensor, pads[:axes], strides


@operator("Conv")
def _convolution(call: Call) -> list[Value]:
    tensor, weight, bias = call.builder.to_batch_first(call.tensor()), call.required_array(1), call.constant_array(2)
    if tensor.rank not in KINDS or weight.ndim != tensor.rank:
        raise UnsupportedOperatorError(f"a convolution over {tensor.rank - 2} axes is not supported")
    kernel = list(weight.shape[2:])
    tensor, pads, strides = _window(call, kernel, tensor)
    dilation = _uniform(call.attribute("dilations", [1] * len(kernel)), "dilation")
    params: dict[str, Any] = {"padding": pads[0]}
    if len(set(pads)) > 1:
        if all(2 * pad == dilation * (length - 1) for pad, length in zip(pads, kernel, strict=True)):
            params = {"same": True}
        else:
            sides = pad_sides([(pad, pad) for pad in pads])
            tensor = call.builder.add_layer(f"ZeroPad{len(kernel)}d", tensor, "pad", sides=sides)
            params = {"padding": 0}
    params |= {"kernel_size": kernel[0]} if len(set(kernel)) == 1 else {"kernel_shape": tuple(kernel)}
    # The layer has one stride; unequal strides are a stride of 1, followed by Slices.
    stride = strides[0] if len(set(strides)) == 1 else 1
    result = call.builder.add_layer(
        *(f"Conv{KINDS[tensor.rank]}", tensor, call.module_name(1)),
        filters=weight.shape[0],
        stride=stride,
        dilation=dilation,
        groups=int(call.attribute("group", 1)),
        bias=bias is not None,
        weights={"weight": weight} | ({} if bias is None else {"bias": bias.reshape(-1)}),
        weight=_weight_name(call),
        **params,
    )
    if len(set(strides)) > 1:
        for axis, step in enumerate(strides, 2):
            if step > 1:
                result = call.builder.add_layer("Slice", result, "stride", axis=axis, step=step)
    return [result]


def _weight_name(call: Call) -> str:
    constant = call.constant(1)
    return constant.weight if constant else ""


@operator("ConvTranspose")
def _conv_transpose(call: Call) -> list[Value]:
    tensor, weight, bias = call.builder.to_batch_first(call.tensor()), call.required_array(1), call.constant_array(2)
    kernel = list(weight.shape[2:])
    if (
        tensor.rank not in KINDS
        or call.attribute("auto_pad", "NOTSET") != "NOTSET"
        or call.attribute("output_shape", [])
    ):
        raise UnsupportedOperatorError("only explicit padding of one to three axes is supported")
    axes, groups = len(kernel), int(call.attribute("group", 1))
    pads = call.attribute("pads", [0] * 2 * axes)
    result = call.builder.add_layer(
        *(f"ConvTranspose{KINDS[tensor.rank]}", tensor, call.module_name(1)),
        filters=weight.shape[1] * groups,  # the weight is (in, out / groups, …)
        kernel_shape=tuple(kernel) if len(set(kernel)) > 1 else (),
        kernel_size=kernel[0],
        stride=_uniform(call.attribute("strides", [1] * axes), "stride"),
        padding=_uniform(pads, "padding"),
        output_padding=_uniform(call.attribute("output_padding", [0] * axes), "output padding"),
        dilation=_uniform(call.attribute("dilations", [1] * axes), "dilation"),
        groups=groups,
        bias=bias is not None,
        weights={"weight": weight} | ({} if bias is None else {"bias": bias.reshape(-1)}),
    )
    return [result]


@operator("MaxPool", "AveragePool")
def _pool(call: Call) -> list[Value | None]:
    tensor = call.builder.to_batch_first(call.tensor())
    kernel = list(call.attribute("kernel_shape", []))
    if call.used_outputs[1:] and any(call.used_outputs[1:]):
        raise UnsupportedOperatorError("it returns the indices of its maxima")
    if tensor.rank not in KINDS or len(kernel) != tensor.rank - 2 or set(call.attribute("dilations", [1])) != {1}:
        raise UnsupportedOperatorError("only windows without dilation over one to three axes are supported")
    is_max = call.type == "MaxPool"
    tensor, pads, strides = _window(call, kernel, tensor, -math.inf if is_max else 0.0)
    # ONNX excludes padding from the mean by default, PyTorch includes it.
    if not is_max and any(pads) and not call.attribute("count_include_pad", 0):
        raise UnsupportedOperatorError(
            "its means exclude the padding, which the layer does not support; use count_include_pad=True"
        )
    size = _uniform(kernel, "window")
    params: dict[str, Any] = {"kernel_size": size, "padding": _uniform(pads, "padding")}
    stride = _uniform(strides, "stride")
    params |= {"stride": stride} if stride != size else {}
    params |= {"ceil_mode": True} if call.attribute("ceil_mode", 0) else {}
    result = call.builder.add_layer(
        f"{'Max' if is_max else 'Avg'}Pool{KINDS[tensor.rank]}", tensor, call.name, **params
    )
    return [result, None]


@operator("GlobalAveragePool", "GlobalMaxPool")
def _global(call: Call) -> list[Value]:
    return [pooled(call, "Avg" if call.type == "GlobalAveragePool" else "Max", keep=True)]


def pooled(call: Call, kind: str, keep: bool) -> Tensor:
    """The mean or maximum of each channel; with `keep`, the result has spatial axes of length 1."""
    tensor = call.builder.to_batch_first(call.tensor())
    spatial_axes = tensor.rank - 2
    # A convolution, as in squeeze-and-excitation, needs an image (N, C, 1, 1) instead of a vector (N, C).
    if keep and "Conv" in call.reader_types:
        return call.builder.add_layer(f"Adaptive{kind}Pool{KINDS[tensor.rank]}", tensor, call.name, size=1)
    result = call.builder.add_layer(f"Global{kind}Pool", tensor, call.name)
    return Tensor(result.ref, result.spec, ((0,), (1,), *(((),) * spatial_axes if keep else ())))
