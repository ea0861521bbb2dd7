"""Convolution and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.onnx.operators.operator import KINDS, Call, operator
from netloom.compile.importers.padding import LOWEST, Borders, pad_sides, same_padding


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
    if len(strides) != axes:
        raise UnsupportedOperatorError("its values do not match its axes")
    borders = _borders(call, kernel, tensor)
    if any(before != after for before, after in borders):
        sides = pad_sides(borders)
        kind, params = ("ConstantPad", {"value": fill}) if fill else ("ZeroPad", {})
        tensor = call.builder.add_layer(f"{kind}{axes}d", tensor, "pad", sides=sides, **params)
        return tensor, [0] * axes, strides
    return tensor, [before for before, _ in borders], strides


def _borders(call: Call, kernel: Sequence[int], tensor: Tensor) -> Borders:
    """The padding before and after each axis."""
    axes = len(kernel)
    strides = list(call.attribute("strides", [1] * axes))
    dilations = list(call.attribute("dilations", [1] * axes))
    pads = list(call.attribute("pads", [0] * 2 * axes))
    mode = call.attribute("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        borders = same_padding(tensor.shape[2:], kernel, strides, dilations)
        return borders if mode == "SAME_UPPER" else [(after, before) for before, after in borders]
    if mode == "VALID":
        return [(0, 0)] * axes
    if len(pads) != 2 * axes:
        raise UnsupportedOperatorError("its values do not match its axes")
    return list(zip(pads[:axes], pads[axes:], strict=True))


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
def _conv_transpose(call: Call) -> list[Value | None]:
    tensor, weight, bias = call.builder.to_batch_first(call.tensor()), call.required_array(1), call.constant_array(2)
    kernel = list(weight.shape[2:])
    if tensor.rank not in KINDS or call.attribute("output_shape", []):
        raise UnsupportedOperatorError("only explicit padding of one to three axes is supported")
    axes, groups = len(kernel), int(call.attribute("group", 1))
    strides = tuple(call.attribute("strides", [1] * axes))
    dilation = _uniform(call.attribute("dilations", [1] * axes), "dilation")
    added = list(call.attribute("output_padding", [0] * axes))
    pads = _transposed_pads(call, kernel, strides, dilation, added)
    # Other borders are cut off from the result without padding.
    is_uniform = len(set(pads)) == 1 and len(set(added)) == 1
    ends = [pad - extra for pad, extra in zip(pads[axes:], added, strict=True)]
    if not is_uniform and min(ends) < 0:
        raise UnsupportedOperatorError("its output padding is larger than its padding at some border")
    result = call.builder.add_layer(
        *(f"ConvTranspose{KINDS[tensor.rank]}", tensor, call.module_name(1)),
        filters=weight.shape[1] * groups,  # the weight is (in, out / groups, …)
        kernel_shape=tuple(kernel) if len(set(kernel)) > 1 else (),
        kernel_size=kernel[0],
        stride=strides[0],
        strides=strides if len(set(strides)) > 1 else (),
        padding=pads[0] if is_uniform else 0,
        output_padding=added[0] if is_uniform else 0,
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
        weights={"weight": weight} | ({} if bias is None else {"bias": bias.reshape(-1)}),
    )
    if is_uniform:
        return [result]
    stops = [result.length(2 + axis) - end for axis, end in enumerate(ends)]
    limits = (Constant(np.asarray(values)) for values in (pads[:axes], stops, list(range(2, 2 + axes))))
    return list(call.apply("Slice", result, *limits))


def _transposed_pads(
    call: Call, kernel: Sequence[int], strides: Sequence[int], dilation: int, added: Sequence[int]
) -> list[int]:
    """What is cut off at the beginning and at the end of each axis; with `auto_pad`, the result has length · stride."""
    mode = call.attribute("auto_pad", "NOTSET")
    if not mode.startswith("SAME"):
        return list(call.attribute("pads", [0] * 2 * len(kernel)))
    totals = [
        max(0, extra + (size - 1) * dilation + 1 - stride)
        for size, stride, extra in zip(kernel, strides, added, strict=True)
    ]
    smaller, larger = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return smaller + larger if mode == "SAME_UPPER" else larger + smaller


@operator("MaxPool", "AveragePool")
def _pool(call: Call) -> list[Value | None]:
    tensor = call.builder.to_batch_first(call.tensor())
    kernel = list(call.attribute("kernel_shape", []))
    if call.used_outputs[1:] and any(call.used_outputs[1:]):
        raise UnsupportedOperatorError("it returns the indices of its maxima")
    if tensor.rank not in KINDS or len(kernel) != tensor.rank - 2:
        raise UnsupportedOperatorError("only windows over one to three axes are supported")
    is_max = call.type == "MaxPool"
    dilations = list(call.attribute("dilations", [1] * len(kernel)))
    if not is_max and set(dilations) != {1}:
        raise UnsupportedOperatorError("only windows without dilation are supported for means")
    original = tensor
    tensor, pads, strides = _window(call, kernel, tensor, LOWEST if is_max else 0.0)
    params: dict[str, Any] = _per_axis("kernel_size", "kernel_shape", kernel) | _per_axis("padding", "paddings", pads)
    params |= _per_axis("stride", "strides", strides) if strides != kernel else {}
    params |= {"ceil_mode": True} if call.attribute("ceil_mode", 0) else {}
    if set(dilations) != {1}:
        params["dilations"] = tuple(dilations)
    # ONNX excludes padding from the mean by default, PyTorch includes it.
    excludes_padding = not is_max and not call.attribute("count_include_pad", 0)
    if excludes_padding and any(pads):
        params["count_include_pad"] = False
    result = call.builder.add_layer(
        f"{'Max' if is_max else 'Avg'}Pool{KINDS[tensor.rank]}", tensor, call.name, **params
    )
    if excludes_padding and tensor is not original:
        if "ceil_mode" in params:
            raise UnsupportedOperatorError("it combines unequal padding with windows that the border cuts off")
        result = _without_padding(call, result, original, _borders(call, kernel, original), kernel, strides)
    return [result, None]


def _per_axis(single: str, several: str, values: Sequence[int]) -> dict[str, Any]:
    """Parameters of pooling: one number if it is the same for all axes, otherwise one for each axis."""
    return {single: values[0]} if len(set(values)) == 1 else {several: tuple(values)}


def _without_padding(
    call: Call, means: Tensor, original: Tensor, borders: Borders, kernel: Sequence[int], strides: Sequence[int]
) -> Tensor:
    """Means over windows with zeros, as means over the values of the input alone."""
    factor = np.ones(1, np.float32)
    for axis, (size, step) in enumerate(zip(kernel, strides, strict=True), 2):
        before, after = borders[axis - 2]
        inside = np.concatenate([np.zeros(before), np.ones(original.length(axis)), np.zeros(after)])
        starts = range(0, len(inside) - size + 1, step)
        counts = np.array([inside[start : start + size].sum() for start in starts])
        factor = np.multiply.outer(factor, size / counts).astype(np.float32)
    scaled = call.apply("Mul", means, Constant(factor[None]))[0]
    if not isinstance(scaled, Tensor):
        raise UnsupportedOperatorError("its means cannot be scaled")
    return scaled


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
