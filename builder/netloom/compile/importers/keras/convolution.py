"""Layers over places: convolutions, pooling, padding, cropping and resizing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from netloom.compile.importers.keras.activations import activate
from netloom.compile.importers.keras.graph_builder import Use, Value
from netloom.compile.importers.keras.operator_table import handles

Borders = list[tuple[int, int]]
# Lower than anything that a network computes, and within the bounds of a padding's value.
LOWEST = -1e6


def _rank(use: Use) -> int:
    """How many axes of places a layer such as Conv2D has, by its name."""
    return next(rank for rank in (1, 2, 3) if f"{rank}D" in use.layer.kind)


def _placed(use: Use) -> Value:
    """The tensor with channels first, if the layer takes them last."""
    if use.layer.config.get("data_format") == "channels_first":
        raise use.refuse("has its channels first, which the import does not support; save it with channels last")
    value = use.value
    if value.rank != _rank(use) + 2:
        raise use.refuse(f"takes {_rank(use)} spatial axes, received {value.spec}")
    return use.sheet.first(value)


def _same(lengths: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Borders:
    """What Keras adds before and after each axis, more at the end."""
    found = []
    for length, size, step, spread in zip(lengths, kernel, stride, dilation, strict=True):
        total = max((math.ceil(length / step) - 1) * step + (size - 1) * spread + 1 - length, 0)
        found.append((total // 2, total - total // 2))
    return found


def _sides(borders: Borders) -> list[int]:
    """Borders as PyTorch takes them: the last axis first."""
    return [side for pair in reversed(borders) for side in pair]


def _pad(use: Use, value: Value, borders: Borders) -> Value:
    return use.add(f"ZeroPad{len(borders)}d", {"sides": _sides(borders)}, value, first=True)


def _kernel(kernel: tuple[int, ...]) -> dict[str, object]:
    """The parameters that say a filter's lengths."""
    if len(set(kernel)) == 1:
        return {"kernel_size": kernel[0]}
    return {"kernel_shape": list(kernel)}


def _convolve(
    use: Use, value: Value, filters: int, groups: int, weights: list[np.ndarray], bias: bool, depthwise: int = 0
) -> Value:
    layer, rank = use.layer, _rank(use)
    kernel, stride = layer.wholes("kernel_size", rank), layer.wholes("strides", rank, 1)
    dilation = layer.wholes("dilation_rate", rank, 1)
    if not all((*kernel, *stride, *dilation)):
        raise use.refuse("has a filter, a stride or a dilation of 0")
    if len({one for one, size in zip(dilation, kernel, strict=True) if size > 1}) > 1:
        raise use.refuse(f"has the dilations {dilation}, but Netloom's layer has one value for all axes")
    spread = max(dilation)
    padding = layer.choice("padding", "valid", "valid", "same", "causal")
    borders: Borders = [(0, 0)] * rank
    if padding == "same":
        borders = _same(value.shape[1:], kernel, stride, (spread,) * rank)
    elif padding == "causal":
        borders = [((size - 1) * spread, 0) for size in kernel]
    step = stride[0] if len(set(stride)) == 1 else 1
    params: dict[str, object] = {"stride": step, "dilation": spread, "bias": bias, "padding": 0}
    even = all(before == after for before, after in borders)
    whole = all((size - 1) * spread == before + after for size, (before, after) in zip(kernel, borders, strict=True))
    own = depthwise and rank == 2 and len(set(kernel)) == 1
    if even and len(set(borders)) == 1:
        params["padding"] = borders[0][0]
    elif even and whole and not own:
        params["same"] = True
    else:
        value = _pad(use, value, borders)
    if own:
        made = use.add(
            "DepthwiseConv2d",
            {**params, "kernel_size": kernel[0], "multiplier": depthwise},
            value,
            main=True,
            first=True,
        )
    else:
        named = {**params, **_kernel(kernel), "filters": filters, "groups": groups}
        made = use.add(f"Conv{rank}d", named, value, main=True, first=True)
    if weights:
        array = weights[0]
        if depthwise:  # (…, in, multiplier) to (in · multiplier, 1, …)
            turned = np.moveaxis(array, (-2, -1), (0, 1))
            array = turned.reshape(-1, 1, *turned.shape[2:])
        else:  # (…, in, out) to (out, in, …)
            array = np.moveaxis(array, (-1, -2), (0, 1))
        use.keep(made, weight=array, **({"bias": weights[1]} if bias else {}))
    if step == 1 and len(set(stride)) > 1:
        for axis, jump in enumerate(stride, 2):
            if jump > 1:
                made = use.add("Slice", {"axis": axis, "step": jump}, made, first=True)
    return made


@handles("Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "Convolution3D")
def _convolution(use: Use) -> Value:
    bias = use.layer.flag("use_bias", True)
    weights = use.arrays(count=1 + bias)
    filters, groups = use.layer.whole("filters"), use.layer.whole("groups", 1)
    return activate(use, _convolve(use, _placed(use), filters, groups, weights, bias))


@handles("DepthwiseConv1D", "DepthwiseConv2D")
def _depthwise(use: Use) -> Value:
    value, bias = _placed(use), use.layer.flag("use_bias", True)
    multiplier, channels = use.layer.whole("depth_multiplier", 1), value.shape[0]
    weights = use.arrays(count=1 + bias)
    return activate(use, _convolve(use, value, channels * multiplier, channels, weights, bias, multiplier))


@handles("SeparableConv1D", "SeparableConv2D")
def _separable(use: Use) -> Value:
    value, bias = _placed(use), use.layer.flag("use_bias", True)
    multiplier, channels = use.layer.whole("depth_multiplier", 1), value.shape[0]
    weights = use.arrays(count=2 + bias)
    each = _convolve(use, value, channels * multiplier, channels, weights[:1], False, multiplier)
    params = {"filters": use.layer.whole("filters"), "kernel_size": 1, "padding": 0, "bias": bias}
    made = use.sheet.add(f"Conv{_rank(use)}d", params, each, key=f"{use.layer.name}_pointwise", first=True)
    if weights:
        array = np.moveaxis(weights[1], (-1, -2), (0, 1))
        use.keep(made, weight=array, **({"bias": weights[2]} if bias else {}))
    return activate(use, made)


@handles("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def _transposed(use: Use) -> Value:
    layer, value, rank = use.layer, _placed(use), _rank(use)
    kernel, stride = layer.wholes("kernel_size", rank), layer.wholes("strides", rank, 1)
    if len(set(stride)) > 1 or not all((*kernel, *stride)):
        raise use.refuse(f"has the strides {stride}, but Netloom's layer has one value for all axes")
    if (
        any(one != 1 for one in layer.wholes("dilation_rate", rank, 1))
        or layer.config.get("output_padding") is not None
    ):
        raise use.refuse("has a dilation or an output_padding, which the import does not support")
    step, bias = stride[0], layer.flag("use_bias", True)
    same = layer.choice("padding", "valid", "valid", "same") == "same"
    more = [max(step - size, 0) for size in kernel]
    cuts = [(max(size - step, 0) // 2, -(-max(size - step, 0) // 2)) if same else (0, 0) for size in kernel]
    if len(set(more)) > 1:
        raise use.refuse(f"has a filter of {kernel} with a stride of {step}, which no layer of Netloom supports")
    even = len(set(cuts)) == 1 and cuts[0][0] == cuts[0][1]
    params = {
        **_kernel(kernel),
        "filters": layer.whole("filters"),
        "stride": step,
        "padding": cuts[0][0] if even else 0,
        "output_padding": more[0],
        "bias": bias,
    }
    made = use.add(f"ConvTranspose{rank}d", params, value, main=True, first=True)
    weights = use.arrays(count=1 + bias)
    if weights:  # (…, out, in) to (in, out, …)
        array = np.moveaxis(weights[0], (-1, -2), (0, 1))
        use.keep(made, weight=array, **({"bias": weights[1]} if bias else {}))
    return activate(use, made if even else _cut(use, made, cuts))


def _cut(use: Use, value: Value, cuts: Borders) -> Value:
    """Without some places at the ends of each axis; `value` has its channels first or not."""
    for number, (before, after) in enumerate(cuts, 1):
        axis = value.axis(number)
        length = value.spec.size(axis)
        if before + after >= length:
            raise use.refuse(f"would remove the whole length {length}")
        if before or after:
            params = {"axis": axis, "start": before, "end": length - after if after else None}
            value = use.add("Slice", params, value, first=value.first)
    return value


@handles(
    *("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D"),
    *("MaxPool1D", "MaxPool2D", "MaxPool3D", "AvgPool1D", "AvgPool2D", "AvgPool3D"),
)
def _pooling(use: Use) -> Value:
    value, rank = _placed(use), _rank(use)
    kernel = use.layer.wholes("pool_size", rank, 2)
    stride = kernel if use.layer.config.get("strides") is None else use.layer.wholes("strides", rank)
    if not all((*kernel, *stride)):
        raise use.refuse("has a window or a stride of 0")
    same = use.layer.choice("padding", "valid", "valid", "same") == "same"
    borders = _same(value.shape[1:], kernel, stride, (1,) * rank) if same else [(0, 0)] * rank
    maximum = use.layer.kind.startswith("Max")
    kind = f"{'Max' if maximum else 'Avg'}Pool{rank}d"
    square = len(set(kernel)) == len(set(stride)) == 1
    if square:
        params = {"kernel_size": kernel[0], "stride": stride[0]}
        if not any(side for pair in borders for side in pair):
            return use.add(kind, params, value, main=True, first=True)
        before = borders[0][0]
        if (maximum or not before) and _ceiled(value.shape[1:], kernel[0], stride[0], borders):
            more = {"padding": before} if before else {}
            return use.add(kind, {**params, **more, "ceil_mode": True}, value, main=True, first=True)
    if maximum:
        padded = value
        if any(side for pair in borders for side in pair):
            sides = {"sides": _sides(borders), "value": LOWEST}
            padded = use.add(f"ConstantPad{rank}d", sides, value, first=True)
        return _windows(use, padded, kernel, stride, kind, square)
    if not any(side for pair in borders for side in pair):
        return _windows(use, value, kernel, stride, kind, square)
    # Keras does not count what it adds: the mean with zeros, divided by the mean of ones with zeros.
    ones = use.add("Constant", {"values": "1", "shape": [1, *value.shape[1:]]}, value, first=True)
    parts = [_windows(use, _pad(use, part, borders), kernel, stride, kind, square) for part in (value, ones)]
    return use.add("Divide", {}, *parts, main=True, first=True)


def _ceiled(lengths: Sequence[int], size: int, step: int, borders: Borders) -> bool:
    """Whether PyTorch's windows that are cut off by the border are those of Keras."""
    before = borders[0][0]
    if 2 * before > size or any(pair[0] != before for pair in borders):
        return False
    for length in lengths:
        if length + 2 * before < size:
            return False
        count = math.ceil((length + 2 * before - size) / step) + 1
        if (count - 1) * step >= length + before:
            count -= 1
        if count != math.ceil(length / step):
            return False
    return True


def _windows(
    use: Use, value: Value, kernel: tuple[int, ...], stride: tuple[int, ...], kind: str, square: bool
) -> Value:
    if square:
        return use.add(kind, {"kernel_size": kernel[0], "stride": stride[0]}, value, first=True)
    for axis, (size, step) in enumerate(zip(kernel, stride, strict=True), 2):
        if size > 1:
            cut = use.add("SlidingWindow", {"axis": axis, "size": size, "step": step}, value)
            value = use.add("Max" if kind.startswith("Max") else "Mean", {"axis": axis + 1}, cut, first=True)
        elif step > 1:
            value = use.add("Slice", {"axis": axis, "step": step}, value, first=True)
    return value


@handles(
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GlobalMaxPool1D", "GlobalMaxPool2D"),
    *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalAvgPool1D"),
    *("GlobalMaxPool3D", "GlobalAvgPool2D", "GlobalAvgPool3D"),
)
def _global(use: Use) -> Value:
    value, maximum = use.value, "Max" in use.layer.kind
    if use.layer.config.get("data_format") == "channels_first":
        raise use.refuse("has its channels first, which the import does not support; save it with channels last")
    if value.rank == 3 and not value.first:
        made = use.add("Max" if maximum else "Mean", {"axis": 1}, value, main=True)
    else:
        made = use.add("GlobalMaxPool" if maximum else "GlobalAvgPool", {}, _placed(use), main=True)
    if use.layer.flag("keepdims", False):
        made = use.add("Reshape", {"shape": [*[1] * (value.rank - 2), made.shape[0]]}, made)
    return made


def _borders(use: Use, name: str) -> Borders:
    """What is added or cut at each border, in one of Keras's three ways to say it."""
    raw, rank = use.layer.config.get(name, 1), _rank(use)
    if rank == 1 and isinstance(raw, list) and all(type(part) is int for part in raw):
        raw = [raw]
    if type(raw) is int:
        raw = [raw] * rank
    if not isinstance(raw, list) or len(raw) != rank:
        raise use.refuse(f"needs a number for each border in {name}")
    pairs = [[part, part] if type(part) is int else part for part in raw]
    if any(
        not isinstance(pair, list) or len(pair) != 2 or any(type(part) is not int or part < 0 for part in pair)
        for pair in pairs
    ):
        raise use.refuse(f"needs a number for each border in {name}")
    return [(pair[0], pair[1]) for pair in pairs]


@handles("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def _zero_padding(use: Use) -> Value:
    borders, value = _borders(use, "padding"), use.value
    if value.rank == 3 and not value.first:
        return use.add("Pad", {"axis": 1, "before": borders[0][0], "after": borders[0][1]}, value, main=True)
    params = {"sides": _sides(borders)}
    return use.add(f"ZeroPad{len(borders)}d", params, _placed(use), main=True, first=True)


@handles("Cropping1D", "Cropping2D", "Cropping3D")
def _cropping(use: Use) -> Value:
    value = use.value if use.value.rank == 3 else _placed(use)
    if value.rank != _rank(use) + 2:
        raise use.refuse(f"takes {_rank(use)} spatial axes, received {value.spec}")
    return _cut(use, value, _borders(use, "cropping"))


@handles("UpSampling1D", "UpSampling2D", "UpSampling3D")
def _upsampling(use: Use) -> Value:
    rank = _rank(use)
    if rank == 1:
        value = use.value
        params = {"axis": value.axis(1), "times": use.layer.wholes("size", 1, 2)[0], "each": True}
        return use.add("Repeat", params, value, main=True, first=value.first)
    value = _placed(use)
    size = use.layer.wholes("size", rank, 2)
    mode = use.layer.choice("interpolation", "nearest", "nearest", "bilinear")
    mode = "linear" if mode == "bilinear" else mode
    if len(set(size)) == 1:
        return use.add("Upsample", {"scale": float(size[0]), "mode": mode}, value, main=True, first=True)
    lengths = [length * times for length, times in zip(value.shape[1:], size, strict=True)]
    return use.add("Upsample", {"size": lengths, "mode": mode}, value, main=True, first=True)
