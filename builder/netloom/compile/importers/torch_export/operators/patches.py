"""Patches of images as columns, torch.nn.Unfold, and back, torch.nn.Fold."""

from __future__ import annotations

import math

import numpy as np

from netloom.compile.importers.layer_graph.values import Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.torch_export.operators.table import AtenCall, aten


@aten("im2col", "col2im")
def _patches(op: AtenCall) -> list[Value]:
    """Square patches by the layers of these names."""
    per_axis = {
        argument: op.per_axis(argument, 2, (0,) if argument == "padding" else (1,))
        for argument in ("kernel_size", "stride", "padding", "dilation")
    }
    for argument, sizes in per_axis.items():
        if len(set(sizes)) > 1:
            if op.type == "im2col":
                return [_rectangles(op, **per_axis)]
            raise UnsupportedOperatorError(f"its {argument} differs between height and width")
    window = {argument: sizes[0] for argument, sizes in per_axis.items()}
    if op.type == "col2im":
        window["height"], window["width"] = op.per_axis("output_size", 2)
    tensor = op.builder.to_batch_first(op.tensor())
    return [op.builder.add_layer("Unfold" if op.type == "im2col" else "Fold", tensor, op.name, **window)]


def _rectangles(
    op: AtenCall, kernel_size: list[int], stride: list[int], padding: list[int], dilation: list[int]
) -> Tensor:
    """Rectangular patches, by a convolution whose fixed filters select one pixel of a patch each."""
    tensor = op.builder.to_batch_first(op.tensor())
    channels, pixels = tensor.length(1), math.prod(kernel_size)
    if channels * pixels**2 > 2**24:
        raise UnsupportedOperatorError("its patches are too large")
    filters = np.broadcast_to(np.eye(pixels, dtype=np.float32), (channels, pixels, pixels))
    weight = filters.reshape(channels * pixels, 1, *kernel_size)
    op.builder.untrained.append(weight)
    (patches,) = op.apply(
        *("Conv", tensor, Constant(weight)),
        kernel_shape=kernel_size, strides=stride, dilations=dilation, pads=padding * 2, group=channels,
    )  # fmt: skip
    if not isinstance(patches, Tensor):
        raise UnsupportedOperatorError("its patches are constant")
    columns = math.prod(patches.shape[2:])
    return op.builder.reshape(op.builder.to_batch_first(patches), [channels * pixels, columns])
