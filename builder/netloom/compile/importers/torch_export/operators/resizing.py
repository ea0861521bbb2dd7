"""Operators that change the size of images and series: padding, upsampling and shuffling of pixels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.values import (
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
    integer_constant,
)
from netloom.compile.importers.padding import LOWEST
from netloom.compile.importers.torch_export.operators.table import AtenCall, aten

_MAX_POOLS = frozenset({"max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices"})


@aten(
    *("pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d"),
    *("replication_pad1d", "replication_pad2d", "replication_pad3d"),
)
def _pad(op: AtenCall) -> Any:
    tensor, sides = op.tensor(), op.integers("pad" if "pad" in op.args else "padding")
    mode = op.argument(
        "mode", "reflect" if "reflection" in op.type else "replicate" if "replication" in op.type else "constant"
    )
    mode = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    axes = len(sides) // 2
    if len(sides) % 2 or axes > tensor.rank:
        raise UnsupportedOperatorError("its padding does not match its axes")
    if min(sides, default=0) < 0:
        tensor = _cropped(op, tensor, [min(side, 0) for side in sides])
        sides = [max(side, 0) for side in sides]
        if not any(sides):
            return [tensor]
        if mode != "constant":
            raise UnsupportedOperatorError("it combines positive and negative padding")
    before, after = [0] * tensor.rank, [0] * tensor.rank
    for number in range(axes):
        # PyTorch lists the borders of the last axis first.
        before[-1 - number], after[-1 - number] = sides[2 * number], sides[2 * number + 1]
    fill = op.number("value", 0.0)
    if fill == -math.inf and op.readers <= _MAX_POOLS:
        fill = LOWEST  # a maximum never selects it beside a value of the image
    if not math.isfinite(fill):
        raise UnsupportedOperatorError(f"it pads with {fill}; use a finite number")
    value = Constant(np.asarray(fill, np.float32))
    # The layers have the batch first, which torch.stft moves behind an axis of channels.
    order = sorted(range(tensor.rank), key=lambda axis: axis != tensor.batch)
    moved = replace(tensor, axes=tuple(tensor.axes[axis] for axis in order))
    pads = integer_constant([*(before[axis] for axis in order), *(after[axis] for axis in order)])
    (padded,) = op.apply("Pad", moved, pads, value, mode=mode)
    if not isinstance(padded, Tensor):
        raise UnsupportedOperatorError("its result is empty")
    return [replace(padded, axes=tuple(padded.axes[order.index(axis)] for axis in range(tensor.rank)))]


def _cropped(op: AtenCall, tensor: Tensor, sides: list[int]) -> Tensor:
    """The tensor without the values at the borders that negative padding removes."""
    for number in range(len(sides) // 2):
        axis = tensor.rank - 1 - number
        start, end = -sides[2 * number], tensor.length(axis) + sides[2 * number + 1]
        (tensor,) = op.apply("Slice", tensor, starts=[start], ends=[end], axes=[axis], steps=[1])  # type: ignore[assignment]
    return tensor


@aten(
    *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d"),
    *("upsample_bicubic2d", "upsample_trilinear3d"),
)
def _upsample(op: AtenCall) -> list[Value]:
    tensor = op.builder.to_batch_first(op.tensor("input" if "input" in op.args else "self"))
    mode = op.type.removeprefix("upsample_")[:-2]
    params: dict[str, Any] = {"mode": "linear" if mode in ("bilinear", "trilinear") else mode}
    if op.flag("align_corners"):
        params["align_corners"] = True
    scales, size = op.argument("scale_factors"), op.argument("output_size", op.argument("size"))
    if isinstance(scales, list) and scales and len(set(scales)) == 1:
        params["scale"] = float(scales[0])
    elif isinstance(size, list) and size:
        params["size"] = op.integers("output_size" if "output_size" in op.args else "size")
    elif isinstance(scales, list) and scales:
        params["size"] = [int(tensor.length(axis) * factor) for axis, factor in enumerate(scales, 2)]
    else:
        raise UnsupportedOperatorError("its output size is missing")
    return [op.builder.add_layer("Upsample", tensor, op.name, **params)]


@aten("pixel_shuffle", "pixel_unshuffle", "channel_shuffle")
def _shuffle(op: AtenCall) -> list[Value]:
    tensor = op.builder.to_batch_first(op.tensor())
    if op.type == "channel_shuffle":
        return [op.builder.add_layer("ChannelShuffle", tensor, op.name, groups=op.integer("groups", 1))]
    kind, name = (
        ("PixelShuffle", "upscale_factor") if op.type == "pixel_shuffle" else ("PixelUnshuffle", "downscale_factor")
    )
    return [op.builder.add_layer(kind, tensor, op.name, factor=op.integer(name, 1))]
