"""Padding and resizing."""

from __future__ import annotations

from typing import Any

from netloom.compile.importers.layer_graph.values import (
    Tensor,
    UnsupportedOperatorError,
    Value,
    normalize_axis,
)
from netloom.compile.importers.onnx.operators.operator import KINDS, Call, operator
from netloom.compile.importers.padding import pad_sides


@operator("Pad")
def _pad(call: Call) -> list[Value]:
    tensor = call.builder.to_batch_first(call.tensor())
    pads = call.integers(1, "pads") or []
    axes = call.integers(3, "axes") if len(call.inputs) > 3 else None
    if axes is not None:
        # Since opset 18, only some axes can be listed.
        all_pads = [0] * 2 * tensor.rank
        for number, axis in enumerate(axes):
            all_pads[normalize_axis(axis, tensor.rank)] = pads[number]
            all_pads[normalize_axis(axis, tensor.rank) + tensor.rank] = pads[number + len(axes)]
        pads = all_pads
    if len(pads) != 2 * tensor.rank:
        raise UnsupportedOperatorError("its padding does not match its axes")
    if not any(pads):
        return [tensor]
    mode = call.attribute("mode", "constant")
    value = call.scalar(2) if len(call.inputs) > 2 else call.attribute("value", 0.0)
    value = value or 0.0
    rank, extra_axes = tensor.rank, 0
    first = min(axis for axis in range(rank) if pads[axis] or pads[axis + rank])
    if first == 0:
        raise UnsupportedOperatorError("it would add examples to the batch")
    while first + extra_axes < 2 or rank + extra_axes < 3:
        extra_axes += 1  # padding layers start after the channels: (N, T, D) is padded along T as an image (N, 1, T, D)
    if rank + extra_axes not in KINDS:
        raise UnsupportedOperatorError(f"padding of {rank} axes is not supported")
    lifted = call.builder.reshape(tensor, [*(1,) * extra_axes, *tensor.shape[1:]]) if extra_axes else tensor
    sides = pad_sides([(pads[axis], pads[axis + rank]) for axis in range(2 - extra_axes, rank)])
    kind = {"constant": "ConstantPad" if value else "ZeroPad", "reflect": "ReflectionPad"}
    kind |= {"edge": "ReplicationPad", "wrap": "CircularPad"}
    params: dict[str, Any] = {"padding": sides[0]} if len(set(sides)) == 1 else {"sides": sides}
    params |= {"value": float(value)} if mode == "constant" and value else {}
    if min(sides) < 0 or mode not in kind:
        raise UnsupportedOperatorError("its padding is negative or of an unknown mode")
    result = call.builder.add_layer(f"{kind[mode]}{KINDS[rank + extra_axes]}", lifted, call.name, **params)
    if extra_axes:
        result = call.builder.reshape(result, [result.size(axis) for axis in range(1 + extra_axes, rank + extra_axes)])
    return [result]


@operator("Resize", "Upsample")
def _resize(call: Call) -> list[Value]:
    tensor = call.builder.to_batch_first(call.tensor())
    if tensor.rank not in KINDS:
        raise UnsupportedOperatorError(f"it does not accept {tensor.rank} axes")
    mode, coordinates = (
        call.attribute("mode", "nearest"),
        call.attribute("coordinate_transformation_mode", "half_pixel"),
    )
    scales_index = 1 if call.type == "Upsample" else 2
    scales, sizes = call.constant_array(scales_index), call.constant_array(3) if len(call.inputs) > 3 else None
    params: dict[str, Any] = {"mode": {"nearest": "nearest", "linear": "linear", "cubic": "bicubic"}.get(mode, mode)}
    if mode == "nearest":
        rounding = call.attribute("nearest_mode", "round_prefer_floor")
        # PyTorch's "nearest" takes the pixel at floor(position · scale).
        if call.type == "Resize" and (coordinates, rounding) not in (("asymmetric", "floor"),):
            raise UnsupportedOperatorError(
                f"nearest interpolation with {coordinates} and {rounding} is not supported; use asymmetric and floor"
            )
    elif coordinates == "align_corners":
        params["align_corners"] = True
    elif coordinates not in ("half_pixel", "pytorch_half_pixel"):
        raise UnsupportedOperatorError(f"the coordinate transformation {coordinates} is not supported")
    # PyTorch fixes the coefficient at −0.75, as OpenCV does.
    if mode == "cubic" and abs(call.attribute("cubic_coeff_a", -0.75) + 0.75) > 1e-6:
        raise UnsupportedOperatorError("its cubic coefficient differs from PyTorch's")
    if scales is not None and scales.size == tensor.rank:
        factors = [float(scale) for scale in scales[2:]]
        if len(set(factors)) == 1 and not (mode != "nearest" and coordinates == "align_corners"):
            params["scale"] = factors[0]
        else:
            params["size"] = tuple(int(tensor.length(axis) * factor) for axis, factor in enumerate(factors, 2))
    elif sizes is not None and sizes.size == tensor.rank:
        params["size"] = tuple(int(size) for size in sizes[2:])
    else:
        raise UnsupportedOperatorError("its output size is missing")
    return [call.builder.add_layer("Upsample", tensor, call.name, **params)]


@operator("DepthToSpace", "SpaceToDepth")
def _depth_to_space(call: Call) -> list[Value | None]:
    tensor, factor = call.builder.to_batch_first(call.tensor()), int(call.attribute("blocksize", 1))
    if tensor.rank != 4:
        raise UnsupportedOperatorError("only images are supported")
    if call.type == "DepthToSpace" and call.attribute("mode", "DCR") == "CRD":
        return [call.builder.add_layer("PixelShuffle", tensor, call.name, factor=factor)]
    # Unlike PyTorch's layers, the place in a block comes before the channel.
    channels, height, width = tensor.shape[1:]
    if call.type == "DepthToSpace":
        split, order = [factor, factor, channels // factor**2, height, width], [0, 3, 4, 1, 5, 2]
        merged = [channels // factor**2, height * factor, width * factor]
    else:
        split, order = [channels, height // factor, factor, width // factor, factor], [0, 3, 5, 1, 2, 4]
        merged = [channels * factor**2, height // factor, width // factor]
    blocks = call.apply("Transpose", *call.apply("Reshape", tensor, shape=[0, *split]), perm=order)
    return list(call.apply("Reshape", *blocks, shape=[0, *merged]))


@operator("GridSample")
def _grid_sample(call: Call) -> list[Value]:
    """An image (N, C, H, W) at the positions of a grid (N, H', W', 2); either may be a constant."""
    image, grid = (*call.inputs, None, None)[:2]
    like = image if isinstance(image, Tensor) else grid
    if not isinstance(like, Tensor) or like.rank != 4:
        raise UnsupportedOperatorError("only two-dimensional images are supported")
    tensors = {
        name: call.builder.to_batch_first(
            value if isinstance(value, Tensor) else call.builder.add_constant(value, like, value.weight)
        )
        for name, value in (("image", image), ("grid", grid))
        if value is not None
    }
    mode = call.attribute("mode", "bilinear")
    # Opset 20 renamed the modes.
    params: dict[str, Any] = {"mode": {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)}
    params |= {"outside": call.attribute("padding_mode", "zeros")}
    params |= {"align_corners": True} if call.attribute("align_corners", 0) else {}
    return [call.builder.add_layer("GridSample", tensors, call.name, **params)]
