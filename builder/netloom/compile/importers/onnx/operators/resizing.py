"""Borders, and images that become larger or smaller."""

from __future__ import annotations

from typing import Any

from netloom.compile.importers.onnx.graph_builder import Refusal, Value
from netloom.compile.importers.onnx.operators.operator import KINDS, Call, operator, placed


@operator("Pad")
def _pad(call: Call) -> list[Value]:
    tensor = call.draw.straight(call.tensor())
    pads = call.whole(1, "pads") or []
    axes = call.whole(3, "axes") if len(call.inputs) > 3 else None
    if axes is not None:
        full = [0] * 2 * tensor.rank
        for number, axis in enumerate(axes):
            full[placed(axis, tensor.rank)] = pads[number]
            full[placed(axis, tensor.rank) + tensor.rank] = pads[number + len(axes)]
        pads = full
    if len(pads) != 2 * tensor.rank:
        raise Refusal("its padding does not match its axes")
    if not any(pads):
        return [tensor]
    mode = call.get("mode", "constant")
    value = call.number(2) if len(call.inputs) > 2 else call.get("value", 0.0)
    value = value or 0.0
    rank, lift = tensor.rank, 0
    first = min(axis for axis in range(rank) if pads[axis] or pads[axis + rank])
    if first == 0:
        raise Refusal("it would add examples to the batch")
    while first + lift < 2 or rank + lift < 3:
        lift += 1  # a sequence (N, T, D) is padded along T as an image with one channel
    if rank + lift not in KINDS:
        raise Refusal(f"borders of {rank} axes is not supported")
    ready = call.draw.reshaped(tensor, [*(1,) * lift, *tensor.shape[1:]]) if lift else tensor
    sides = tuple(number for axis in reversed(range(2 - lift, rank)) for number in (pads[axis], pads[axis + rank]))
    kind = {"constant": "ConstantPad" if value else "ZeroPad", "reflect": "ReflectionPad"}
    kind |= {"edge": "ReplicationPad", "wrap": "CircularPad"}
    params: dict[str, Any] = {"padding": sides[0]} if len(set(sides)) == 1 else {"sides": sides}
    params |= {"value": float(value)} if mode == "constant" and value else {}
    if min(sides) < 0 or mode not in kind:
        raise Refusal("its padding is negative or of an unknown mode")
    made = call.draw.draw(f"{kind[mode]}{KINDS[rank + lift]}", ready, call.name, **params)
    if lift:
        made = call.draw.reshaped(made, [made.size(axis) for axis in range(1 + lift, rank + lift)])
    return [made]


@operator("Resize", "Upsample")
def _resize(call: Call) -> list[Value]:
    tensor = call.draw.straight(call.tensor())
    if tensor.rank not in KINDS:
        raise Refusal(f"it does not accept {tensor.rank} axes")
    mode, way = call.get("mode", "nearest"), call.get("coordinate_transformation_mode", "half_pixel")
    place = 1 if call.type == "Upsample" else 2
    scales, sizes = call.weight(place), call.weight(3) if len(call.inputs) > 3 else None
    params: dict[str, Any] = {"mode": {"nearest": "nearest", "linear": "linear", "cubic": "bicubic"}.get(mode, mode)}
    if mode == "nearest":
        how = call.get("nearest_mode", "round_prefer_floor")
        if call.type == "Resize" and (way, how) not in (("asymmetric", "floor"),):
            raise Refusal(f"nearest interpolation with {way} and {how} is not supported; use asymmetric and floor")
    elif way == "align_corners":
        params["align_corners"] = True
    elif way not in ("half_pixel", "pytorch_half_pixel"):
        raise Refusal(f"the coordinate transformation {way} is not supported")
    if mode == "cubic" and abs(call.get("cubic_coeff_a", -0.75) + 0.75) > 1e-6:
        raise Refusal("its cubic coefficient differs from PyTorch's")
    if scales is not None and scales.size == tensor.rank:
        factors = [float(scale) for scale in scales[2:]]
        if len(set(factors)) == 1 and not (mode != "nearest" and way == "align_corners"):
            params["scale"] = factors[0]
        else:
            params["size"] = tuple(int(tensor.length(axis) * factor) for axis, factor in enumerate(factors, 2))
    elif sizes is not None and sizes.size == tensor.rank:
        params["size"] = tuple(int(size) for size in sizes[2:])
    else:
        raise Refusal("its output size is missing")
    return [call.draw.draw("Upsample", tensor, call.name, **params)]


@operator("DepthToSpace", "SpaceToDepth")
def _shuffle(call: Call) -> list[Value]:
    tensor, factor = call.draw.straight(call.tensor()), int(call.get("blocksize", 1))
    if call.type == "SpaceToDepth" or call.get("mode", "DCR") != "CRD":
        raise Refusal("only the order CRD, which PyTorch uses, is supported")
    return [call.draw.draw("PixelShuffle", tensor, call.name, factor=factor)]
