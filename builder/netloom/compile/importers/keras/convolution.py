"""Spatial layers: convolution, pooling, padding, cropping and resizing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from netloom.compile.importers.keras.activations import activate
from netloom.compile.importers.keras.graph_builder import KerasTensor, LayerCall
from netloom.compile.importers.keras.operator_table import handles
from netloom.compile.importers.padding import LOWEST, Borders, pad_sides, same_padding


def _spatial_rank(use: LayerCall) -> int:
    """The number of spatial axes of a layer such as Conv2D, by its name."""
    return next(rank for rank in (1, 2, 3) if f"{rank}D" in use.layer.kind)


def _spatial_input(use: LayerCall) -> KerasTensor:
    """The input with channels first.

    Raises:
        UnreadableModelError: The layer has its channels first in Keras, or the number of axes does not match.
    """
    if use.layer.config.get("data_format") == "channels_first":
        raise use.refuse("has its channels first, which the import does not support; save it with channels last")
    value = use.value
    if value.rank != _spatial_rank(use) + 2:
        raise use.refuse(f"takes {_spatial_rank(use)} spatial axes, received {value.spec}")
    return use.builder.channels_first(value)


def _pad(use: LayerCall, value: KerasTensor, borders: Borders) -> KerasTensor:
    return use.add(f"ZeroPad{len(borders)}d", {"sides": pad_sides(borders)}, value, is_channels_first=True)


def _kernel(kernel: tuple[int, ...]) -> dict[str, object]:
    """The parameters for the size of a kernel."""
    if len(set(kernel)) == 1:
        return {"kernel_size": kernel[0]}
    return {"kernel_shape": list(kernel)}


def _convolve(
    use: LayerCall,
    value: KerasTensor,
    filters: int,
    groups: int,
    weights: list[np.ndarray],
    bias: bool,
    depthwise: int = 0,
) -> KerasTensor:
    layer, rank = use.layer, _spatial_rank(use)
    kernel, stride = layer.integers("kernel_size", rank), layer.integers("strides", rank, 1)
    dilation = layer.integers("dilation_rate", rank, 1)
    if not all((*kernel, *stride, *dilation)):
        raise use.refuse("has a filter, a stride or a dilation of 0")
    # The dilation of an axis with a kernel of 1 has no effect.
    if len({part for part, size in zip(dilation, kernel, strict=True) if size > 1}) > 1:
        raise use.refuse(f"has the dilations {dilation}, but Netloom's layer has one value for all axes")
    spread = max(dilation)
    borders = _kernel_borders(use, value, kernel, stride, spread)
    # The layer has one stride; unequal strides are a stride of 1, followed by Slices.
    step = stride[0] if len(set(stride)) == 1 else 1
    params: dict[str, object] = {"stride": step, "dilation": spread, "bias": bias, "padding": 0}
    is_symmetric = all(before == after for before, after in borders)
    is_same = all((size - 1) * spread == before + after for size, (before, after) in zip(kernel, borders, strict=True))
    # The layer exists for images and square kernels; otherwise, a convolution with groups does the same.
    is_depthwise = depthwise and rank == 2 and len(set(kernel)) == 1
    if is_symmetric and len(set(borders)) == 1:
        params["padding"] = borders[0][0]
    elif is_symmetric and is_same and not is_depthwise:
        params["same"] = True
    else:
        value = _pad(use, value, borders)
    if is_depthwise:
        convolution = use.add(
            "DepthwiseConv2d",
            {**params, "kernel_size": kernel[0], "multiplier": depthwise},
            value,
            main=True,
            is_channels_first=True,
        )
    else:
        named = {**params, **_kernel(kernel), "filters": filters, "groups": groups}
        convolution = use.add(f"Conv{rank}d", named, value, main=True, is_channels_first=True)
    if weights:
        kernel_values = _channels_first(weights[0], is_depthwise=bool(depthwise))
        use.set_weights(convolution, weight=kernel_values, **({"bias": weights[1]} if bias else {}))
    if step == 1 and len(set(stride)) > 1:
        for axis, jump in enumerate(stride, 2):
            if jump > 1:
                convolution = use.add("Slice", {"axis": axis, "step": jump}, convolution, is_channels_first=True)
    return convolution


def _kernel_borders(
    use: LayerCall, value: KerasTensor, kernel: Sequence[int], stride: Sequence[int], dilation: int
) -> Borders:
    """The padding before and after each axis."""
    padding = use.layer.choice("padding", "valid", "valid", "same", "causal")
    if padding == "same":
        return same_padding(value.shape[1:], kernel, stride, (dilation,) * len(kernel))
    if padding == "causal":
        # Only at the beginning, so that no step depends on later ones
        return [((size - 1) * dilation, 0) for size in kernel]
    return [(0, 0)] * len(kernel)


def _channels_first(kernel: np.ndarray, *, is_depthwise: bool) -> np.ndarray:
    """A kernel (…, in, out) as (out, in, …), or (…, in, multiplier) as (in · multiplier, 1, …)."""
    if not is_depthwise:
        return np.moveaxis(kernel, (-1, -2), (0, 1))
    channels_first = np.moveaxis(kernel, (-2, -1), (0, 1))
    return channels_first.reshape(-1, 1, *channels_first.shape[2:])


@handles("Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "Convolution3D")
def _convolution(use: LayerCall) -> KerasTensor:
    bias = use.layer.flag("use_bias", True)
    weights = use.arrays(count=1 + bias)
    filters, groups = use.layer.integer("filters"), use.layer.integer("groups", 1)
    return activate(use, _convolve(use, _spatial_input(use), filters, groups, weights, bias))


@handles("DepthwiseConv1D", "DepthwiseConv2D")
def _depthwise(use: LayerCall) -> KerasTensor:
    value, bias = _spatial_input(use), use.layer.flag("use_bias", True)
    multiplier, channels = use.layer.integer("depth_multiplier", 1), value.shape[0]
    weights = use.arrays(count=1 + bias)
    return activate(use, _convolve(use, value, channels * multiplier, channels, weights, bias, multiplier))


@handles("SeparableConv1D", "SeparableConv2D")
def _separable(use: LayerCall) -> KerasTensor:
    value, bias = _spatial_input(use), use.layer.flag("use_bias", True)
    multiplier, channels = use.layer.integer("depth_multiplier", 1), value.shape[0]
    weights = use.arrays(count=2 + bias)
    depthwise = _convolve(use, value, channels * multiplier, channels, weights[:1], False, multiplier)
    params = {"filters": use.layer.integer("filters"), "kernel_size": 1, "padding": 0, "bias": bias}
    pointwise = use.builder.add(
        f"Conv{_spatial_rank(use)}d", params, depthwise, key=f"{use.layer.name}_pointwise", is_channels_first=True
    )
    if weights:
        array = np.moveaxis(weights[1], (-1, -2), (0, 1))
        use.set_weights(pointwise, weight=array, **({"bias": weights[2]} if bias else {}))
    return activate(use, pointwise)


@handles("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def _conv_transpose(use: LayerCall) -> KerasTensor:
    layer, value, rank = use.layer, _spatial_input(use), _spatial_rank(use)
    kernel, stride = layer.integers("kernel_size", rank), layer.integers("strides", rank, 1)
    if len(set(stride)) > 1 or not all((*kernel, *stride)):
        raise use.refuse(f"has the strides {stride}, but Netloom's layer has one value for all axes")
    if (
        any(part != 1 for part in layer.integers("dilation_rate", rank, 1))
        or layer.config.get("output_padding") is not None
    ):
        raise use.refuse("has a dilation or an output_padding, which the import does not support")
    step, bias = stride[0], layer.flag("use_bias", True)
    same = layer.choice("padding", "valid", "valid", "same") == "same"
    # Along each axis, Keras computes (L − 1) · stride + max(kernel, stride) values, PyTorch (L − 1) · stride + kernel.
    output_padding = [max(step - size, 0) for size in kernel]
    # With padding "same", Keras keeps L · stride of them.
    cuts = [(max(size - step, 0) // 2, -(-max(size - step, 0) // 2)) if same else (0, 0) for size in kernel]
    if len(set(output_padding)) > 1:
        raise use.refuse(f"has a filter of {kernel} with a stride of {step}, which no layer of Netloom supports")
    is_symmetric = len(set(cuts)) == 1 and cuts[0][0] == cuts[0][1]
    params = {
        **_kernel(kernel),
        "filters": layer.integer("filters"),
        "stride": step,
        "padding": cuts[0][0] if is_symmetric else 0,
        "output_padding": output_padding[0],
        "bias": bias,
    }
    convolution = use.add(f"ConvTranspose{rank}d", params, value, main=True, is_channels_first=True)
    weights = use.arrays(count=1 + bias)
    if weights:  # (…, out, in) to (in, out, …)
        array = np.moveaxis(weights[0], (-1, -2), (0, 1))
        use.set_weights(convolution, weight=array, **({"bias": weights[1]} if bias else {}))
    return activate(use, convolution if is_symmetric else _crop(use, convolution, cuts))


def _crop(use: LayerCall, value: KerasTensor, cuts: Borders) -> KerasTensor:
    """Remove values at both ends of each axis; `value` can have its channels first or last."""
    for number, (before, after) in enumerate(cuts, 1):
        axis = value.axis(number)
        length = value.spec.size(axis)
        if before + after >= length:
            raise use.refuse(f"would remove the whole length {length}")
        if before or after:
            params = {"axis": axis, "start": before, "end": length - after if after else None}
            value = use.add("Slice", params, value, is_channels_first=value.is_channels_first)
    return value


@handles(
    *("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D"),
    *("MaxPool1D", "MaxPool2D", "MaxPool3D", "AvgPool1D", "AvgPool2D", "AvgPool3D"),
)
def _pooling(use: LayerCall) -> KerasTensor:
    value, rank = _spatial_input(use), _spatial_rank(use)
    kernel = use.layer.integers("pool_size", rank, 2)
    stride = kernel if use.layer.config.get("strides") is None else use.layer.integers("strides", rank)
    if not all((*kernel, *stride)):
        raise use.refuse("has a window or a stride of 0")
    same = use.layer.choice("padding", "valid", "valid", "same") == "same"
    borders = same_padding(value.shape[1:], kernel, stride, (1,) * rank) if same else [(0, 0)] * rank
    maximum = use.layer.kind.startswith("Max")
    kind = f"{'Max' if maximum else 'Avg'}Pool{rank}d"
    is_uniform = len(set(kernel)) == len(set(stride)) == 1
    if is_uniform:
        params = {"kernel_size": kernel[0], "stride": stride[0]}
        if not any(side for pair in borders for side in pair):
            return use.add(kind, params, value, main=True, is_channels_first=True)
        left_border = borders[0][0]
        # PyTorch counts its padding in means, Keras does not; windows cut off by ceil_mode count only real values.
        if (maximum or not left_border) and _matches_ceil_mode(value.shape[1:], kernel[0], stride[0], borders):
            padding = {"padding": left_border} if left_border else {}
            return use.add(kind, {**params, **padding, "ceil_mode": True}, value, main=True, is_channels_first=True)
    if maximum:
        padded = value
        if any(side for pair in borders for side in pair):
            sides = {"sides": pad_sides(borders), "value": LOWEST}
            padded = use.add(f"ConstantPad{rank}d", sides, value, is_channels_first=True)
        return _windows(use, padded, kernel, stride, kind, is_uniform)
    if not any(side for pair in borders for side in pair):
        return _windows(use, value, kernel, stride, kind, is_uniform)
    # Keras excludes padding from means: the mean with zeros is divided by the mean of ones padded with zeros.
    ones = use.add("Constant", {"values": "1", "shape": [1, *value.shape[1:]]}, value, is_channels_first=True)
    parts = [_windows(use, _pad(use, part, borders), kernel, stride, kind, is_uniform) for part in (value, ones)]
    return use.add("Divide", {}, *parts, main=True, is_channels_first=True)


def _matches_ceil_mode(lengths: Sequence[int], size: int, step: int, borders: Borders) -> bool:
    """Whether PyTorch with ceil_mode has the same windows as Keras with padding "same"."""
    left_border = borders[0][0]
    if 2 * left_border > size or any(pair[0] != left_border for pair in borders):
        return False
    for length in lengths:
        if length + 2 * left_border < size:
            return False
        count = math.ceil((length + 2 * left_border - size) / step) + 1
        # PyTorch drops a last window that begins in the padding at the end.
        if (count - 1) * step >= length + left_border:
            count -= 1
        if count != math.ceil(length / step):
            return False
    return True


def _windows(
    use: LayerCall, value: KerasTensor, kernel: tuple[int, ...], stride: tuple[int, ...], kind: str, square: bool
) -> KerasTensor:
    if square:
        return use.add(kind, {"kernel_size": kernel[0], "stride": stride[0]}, value, is_channels_first=True)
    for axis, (size, step) in enumerate(zip(kernel, stride, strict=True), 2):
        if size > 1:
            # Axis by axis: a maximum of maxima, or a mean of means over equal numbers of values
            cut = use.add("SlidingWindow", {"axis": axis, "size": size, "step": step}, value)
            value = use.add(
                "Max" if kind.startswith("Max") else "Mean", {"axis": axis + 1}, cut, is_channels_first=True
            )
        elif step > 1:
            value = use.add("Slice", {"axis": axis, "step": step}, value, is_channels_first=True)
    return value


@handles(
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GlobalMaxPool1D", "GlobalMaxPool2D"),
    *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalAvgPool1D"),
    *("GlobalMaxPool3D", "GlobalAvgPool2D", "GlobalAvgPool3D"),
)
def _global(use: LayerCall) -> KerasTensor:
    value, maximum = use.value, "Max" in use.layer.kind
    if use.layer.config.get("data_format") == "channels_first":
        raise use.refuse("has its channels first, which the import does not support; save it with channels last")
    if value.rank == 3 and not value.is_channels_first:
        pooled = use.add("Max" if maximum else "Mean", {"axis": 1}, value, main=True)
    else:
        pooled = use.add("GlobalMaxPool" if maximum else "GlobalAvgPool", {}, _spatial_input(use), main=True)
    if use.layer.flag("keepdims", False):
        pooled = use.add("Reshape", {"shape": [*[1] * (value.rank - 2), pooled.shape[0]]}, pooled)
    return pooled


def _borders(use: LayerCall, name: str) -> Borders:
    """The number of values to add or cut at each border, given in one of the three notations of Keras."""
    raw, rank = use.layer.config.get(name, 1), _spatial_rank(use)
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
def _zero_padding(use: LayerCall) -> KerasTensor:
    borders, value = _borders(use, "padding"), use.value
    if value.rank == 3 and not value.is_channels_first:
        return use.add("Pad", {"axis": 1, "before": borders[0][0], "after": borders[0][1]}, value, main=True)
    params = {"sides": pad_sides(borders)}
    return use.add(f"ZeroPad{len(borders)}d", params, _spatial_input(use), main=True, is_channels_first=True)


@handles("Cropping1D", "Cropping2D", "Cropping3D")
def _cropping(use: LayerCall) -> KerasTensor:
    value = use.value if use.value.rank == 3 else _spatial_input(use)
    if value.rank != _spatial_rank(use) + 2:
        raise use.refuse(f"takes {_spatial_rank(use)} spatial axes, received {value.spec}")
    return _crop(use, value, _borders(use, "cropping"))


@handles("CenterCrop")
def _center_crop(use: LayerCall) -> KerasTensor:
    value, sizes = use.builder.channels_first(use.value), [use.layer.integer("height"), use.layer.integer("width")]
    if value.rank != 4:
        raise use.refuse(f"takes images, received {value.spec}")
    extra = [length - size for length, size in zip(value.shape[1:], sizes, strict=True)]
    if min(extra) < 0:
        raise use.refuse("enlarges an image that is smaller than the crop")
    return _crop(use, value, [(margin // 2, margin - margin // 2) for margin in extra])


@handles("UpSampling1D", "UpSampling2D", "UpSampling3D")
def _upsampling(use: LayerCall) -> KerasTensor:
    rank = _spatial_rank(use)
    if rank == 1:
        value = use.value
        params = {"axis": value.axis(1), "times": use.layer.integers("size", 1, 2)[0], "each": True}
        return use.add("Repeat", params, value, main=True, is_channels_first=value.is_channels_first)
    value = _spatial_input(use)
    size = use.layer.integers("size", rank, 2)
    mode = use.layer.choice("interpolation", "nearest", "nearest", "bilinear")
    mode = "linear" if mode == "bilinear" else mode
    if len(set(size)) == 1:
        return use.add("Upsample", {"scale": float(size[0]), "mode": mode}, value, main=True, is_channels_first=True)
    lengths = [length * times for length, times in zip(value.shape[1:], size, strict=True)]
    return use.add("Upsample", {"size": lengths, "mode": mode}, value, main=True, is_channels_first=True)
