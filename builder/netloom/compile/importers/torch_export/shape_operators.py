"""Operators that move numbers about: shapes, parts, and parts put together."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.reshaping import broadcast_to, reshape
from netloom.compile.importers.layer_graph.values import BATCH, Constant, Refusal, Tensor, Value
from netloom.compile.importers.torch_export.operator_table import Aten, States, aten, placed

FAR = 2**31


def _whole(values: Any) -> Constant:
    return Constant(np.asarray(values, np.int64))


def shaped(op: Aten, tensor: Tensor, target: list[int]) -> list[Value]:
    return [reshape(op.draw, tensor, op.sizes(tensor, target), True)]


@aten("view", "reshape", "_unsafe_view", "_reshape_alias")
def _view(op: Aten) -> list[Value]:
    if op.get("dtype") is not None:
        raise Refusal("it reinterprets values as another data type")
    return shaped(op, op.tensor(), op.ints("size" if "size" in op.args else "shape"))


@aten("view_as", "reshape_as")
def _view_as(op: Aten) -> list[Value]:
    return shaped(op, op.tensor(), list(op.value("other").shape))


@aten("flatten")
def _flatten(op: Aten) -> list[Value]:
    tensor = op.tensor()
    first, last = op.axis("start_dim", 0), op.axis("end_dim", -1)
    shape = tensor.shape
    return shaped(op, tensor, [*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]])


@aten("unflatten")
def _unflatten(op: Aten) -> list[Value]:
    tensor, axis, sizes = op.tensor(), op.axis(), op.ints("sizes")
    if -1 in sizes:
        known_product = -math.prod(sizes)
        sizes = [tensor.length(axis) // known_product if size == -1 else size for size in sizes]
    return shaped(op, tensor, [*tensor.shape[:axis], *sizes, *tensor.shape[axis + 1 :]])


@aten("squeeze")
def _squeeze(op: Aten) -> Any:
    tensor = op.tensor()
    axes = op.ints("dim", range(tensor.rank))
    axes = [placed(axis, tensor.rank) for axis in axes]
    removed = [axis for axis in axes if tensor.length(axis) == 1]
    return op.layer("Squeeze", tensor, axes=removed) if removed else [tensor]


@aten("unsqueeze")
def _unsqueeze(op: Aten) -> Any:
    return op.layer("Unsqueeze", op.tensor(), axes=[op.axis(more=1)])


@aten("permute")
def _permute(op: Aten) -> Any:
    rank = op.tensor().rank
    return op.layer("Transpose", op.tensor(), perm=[placed(axis, rank) for axis in op.ints("dims")])


@aten("transpose", "t", "numpy_T", "mT", "swapaxes", "adjoint")
def _transpose(op: Aten) -> Any:
    rank = op.tensor().rank
    if rank < 2:
        return [op.tensor()]
    last = (rank - 2, rank - 1)
    a, b = (op.axis("dim0"), op.axis("dim1")) if op.type == "transpose" else last
    if op.type == "swapaxes":
        a, b = op.axis("axis0"), op.axis("axis1")
    order = list(range(rank))
    order[a], order[b] = order[b], order[a]
    return op.layer("Transpose", op.tensor(), perm=order)


@aten("movedim")
def _movedim(op: Aten) -> Any:
    rank = op.tensor().rank
    source = [placed(axis, rank) for axis in op.ints("source")]
    target = [placed(axis, rank) for axis in op.ints("destination")]
    if len(set(source)) != len(source) or sorted(set(target)) != sorted(target) or len(source) != len(target):
        raise Refusal("it must name each axis once")
    moved = dict(zip(target, source, strict=True))
    others = iter([axis for axis in range(rank) if axis not in source])
    return op.layer(
        "Transpose", op.tensor(), perm=[moved[axis] if axis in moved else next(others) for axis in range(rank)]
    )


@aten("select")
def _select(op: Aten) -> Any:
    states, index = op.args.get("self"), op.whole("index")
    if isinstance(states, States) and op.whole("dim", 0) == 0:
        return op.layer("Gather", states.last, _whole(states.place(index)), axis=0)
    tensor, axis = op.tensor(), op.axis("dim", 0)
    length = tensor.length(axis)
    if not -length <= index < length:
        raise Refusal("its index is out of range")
    return op.layer("Gather", tensor, _whole(index % length), axis=axis)


@aten("slice", "narrow")
def _slice(op: Aten) -> Any:
    tensor, axis = op.tensor(), op.axis("dim", 0)
    start = op.whole("start", 0)
    end = start + op.whole("length") if op.type == "narrow" else op.whole("end", FAR * 8)
    if tensor.axes[axis] == (0,) and start == 0 and (end >= FAR - 1 or end == self_batch(op)):
        return [tensor]
    return op.layer("Slice", tensor, starts=[start], ends=[end], axes=[axis], steps=[op.whole("step", 1)])


def self_batch(op: Aten) -> int:
    """The number of examples as the file writes it."""
    return op.batch or BATCH


@aten("split", "split_with_sizes", "chunk", "unsafe_split", "tensor_split", "unsafe_chunk")
def _split(op: Aten) -> list[Any]:
    tensor, axis = op.tensor(), op.axis("dim", 0)
    length = tensor.length(axis)
    sizes = op.args.get("split_size", op.args.get("split_sizes", op.args.get("sections")))
    if "chunk" in op.type:
        sizes = math.ceil(length / max(1, op.whole("chunks", 1)))
    if isinstance(sizes, int):
        if op.type == "tensor_split" or sizes < 1:
            raise Refusal("only splits with constant lengths are supported")
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)] if length < BATCH else [length]
    if not isinstance(sizes, list):
        raise Refusal("the lengths of its parts are missing")
    return [list(op.layer("Split", tensor, axis=axis, split=sizes, wanted=(True,) * len(sizes)))]


@aten("unbind")
def _unbind(op: Aten) -> list[Any]:
    tensor, axis = op.tensor(), op.axis("dim", 0)
    if tensor.length(axis) > 64:
        raise Refusal("it splits an axis into too many parts")
    return [[op.layer("Gather", tensor, _whole(place), axis=axis)[0] for place in range(tensor.length(axis))]]


def _list(op: Aten) -> list[Value]:
    values = op.get("tensors", [])
    if not isinstance(values, list) or not any(isinstance(value, Tensor) for value in values):
        raise Refusal("it has no inputs to concatenate")
    return values


@aten("cat", "concat", "concatenate")
def _cat(op: Aten) -> Any:
    values = [value for value in _list(op) if 0 not in value.shape]
    first = next(value for value in values if isinstance(value, Tensor))
    values = [
        replace(value, array=value.array.astype(np.float32)) if isinstance(value, Constant) else value
        for value in values
    ]
    return op.layer("Concat", *values, axis=op.axis("dim" if "dim" in op.args else "axis", 0, first))


@aten("stack")
def _stack(op: Aten) -> Any:
    values = _list(op)
    first = next(value for value in values if isinstance(value, Tensor))
    axis = op.axis("dim", 0, first, more=1)
    raised: list[Value] = []
    for value in values:
        if isinstance(value, Constant):
            raised.append(Constant(np.expand_dims(value.array, axis)))
        else:
            raised += op.layer("Unsqueeze", value, axes=[axis])  # type: ignore[arg-type]
    return op.layer("Concat", *raised, axis=axis)


@aten("expand", "expand_as")
def _expand(op: Aten) -> list[Value]:
    tensor = op.tensor()
    target = list(op.value("other").shape) if op.type == "expand_as" else op.ints("size")
    new_axes = len(target) - tensor.rank
    current = [*(1,) * new_axes, *tensor.shape]
    sizes = [
        mine if size == -1 or (mine == BATCH and size == op.batch) else size
        for size, mine in zip(target, current, strict=True)
    ]
    return [broadcast_to(op.draw, tensor, sizes, op.name)]


@aten("repeat")
def _repeat(op: Aten) -> list[Value]:
    tensor, times = op.tensor(), op.ints("repeats")
    result = Tensor(tensor.ref, tensor.spec, ((),) * (len(times) - tensor.rank) + tensor.axes, tensor.boolean)
    for axis, number in enumerate(times):
        if number == 1:
            continue
        if not result.axes[axis]:
            sizes = [number if place == axis else size for place, size in enumerate(result.shape)]
            result = broadcast_to(op.draw, result, sizes, op.name)
        else:
            repeated = op.draw.draw("Repeat", result, op.name, axis=op.draw.single(result, axis), times=number)
            result = op.draw.like(repeated, result)
    return [result]


@aten("repeat_interleave")
def _interleave(op: Aten) -> list[Value]:
    tensor, axis = op.tensor(), op.axis("dim", 0)
    times = op.whole("repeats", 1)
    repeated = op.draw.draw("Repeat", tensor, op.name, axis=op.draw.single(tensor, axis), times=times, each=True)
    return [op.draw.like(repeated, tensor)]


@aten("index_select")
def _index_select(op: Aten) -> Any:
    return op.layer("Gather", op.tensor(), op.value("index"), axis=op.axis("dim", 0))


@aten("index")
def _index(op: Aten) -> Any:
    """x[:, idx] with fixed places along one axis."""
    tensor, indices = op.tensor(), op.get("indices", [])
    axes = [axis for axis, value in enumerate(indices) if value is not None]
    if len(axes) != 1 or not isinstance(indices[axes[0]], Constant) or indices[axes[0]].array.dtype == bool:
        raise Refusal("only constant indices along one axis are supported")
    return op.layer("Gather", tensor, indices[axes[0]], axis=axes[0])


@aten("gather")
def _gather(op: Aten) -> Any:
    return op.layer("GatherElements", op.tensor(), op.value("index"), axis=op.axis("dim", 0))


@aten("roll", "flip")
def _roll(op: Aten) -> list[Value]:
    tensor = op.tensor()
    port_axes = [op.draw.single(tensor, placed(axis, tensor.rank)) for axis in op.ints("dims")]
    if op.type == "flip":
        return op.each("Flip", tensor, axes=port_axes)
    for axis, shift in zip(port_axes, op.ints("shifts"), strict=True):
        tensor = op.draw.like(op.draw.draw("Roll", tensor, op.name, axis=axis, shift=shift), tensor)
    return [tensor]


@aten("pixel_shuffle", "pixel_unshuffle", "channel_shuffle")
def _shuffle(op: Aten) -> list[Value]:
    tensor = op.draw.straight(op.tensor())
    if op.type == "channel_shuffle":
        return [op.draw.draw("ChannelShuffle", tensor, op.name, groups=op.whole("groups", 1))]
    kind, name = (
        ("PixelShuffle", "upscale_factor") if op.type == "pixel_shuffle" else ("PixelUnshuffle", "downscale_factor")
    )
    return [op.draw.draw(kind, tensor, op.name, factor=op.whole(name, 1))]


@aten(
    *("pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d"),
    *("replication_pad1d", "replication_pad2d", "replication_pad3d"),
)
def _pad(op: Aten) -> Any:
    tensor, sides = op.tensor(), op.ints("pad" if "pad" in op.args else "padding")
    mode = op.get(
        "mode", "reflect" if "reflection" in op.type else "replicate" if "replication" in op.type else "constant"
    )
    mode = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    axes = len(sides) // 2
    if len(sides) % 2 or axes > tensor.rank:
        raise Refusal("its padding does not match its axes")
    if min(sides, default=0) < 0:
        return _cropped(op, tensor, sides)
    before, after = [0] * tensor.rank, [0] * tensor.rank
    for number in range(axes):
        before[-1 - number], after[-1 - number] = sides[2 * number], sides[2 * number + 1]
    value = Constant(np.asarray(op.number("value", 0.0), np.float32))
    return op.layer("Pad", tensor, _whole([*before, *after]), value, mode=mode)


def _cropped(op: Aten, tensor: Tensor, sides: list[int]) -> Any:
    """Borders that are taken away, where none is added."""
    if max(sides) > 0:
        raise Refusal("it combines positive and negative padding")
    for number in range(len(sides) // 2):
        axis = tensor.rank - 1 - number
        start, end = -sides[2 * number], tensor.length(axis) + sides[2 * number + 1]
        (tensor,) = op.layer("Slice", tensor, starts=[start], ends=[end], axes=[axis], steps=[1])  # type: ignore[assignment]
    return [tensor]


@aten(
    *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d"),
    *("upsample_bicubic2d", "upsample_trilinear3d"),
)
def _upsample(op: Aten) -> list[Value]:
    tensor = op.draw.straight(op.tensor("input" if "input" in op.args else "self"))
    mode = op.type.removeprefix("upsample_")[:-2]
    params: dict[str, Any] = {"mode": "linear" if mode in ("bilinear", "trilinear") else mode}
    if op.flag("align_corners"):
        params["align_corners"] = True
    scales, size = op.get("scale_factors"), op.get("output_size", op.get("size"))
    if isinstance(scales, list) and scales and len(set(scales)) == 1:
        params["scale"] = float(scales[0])
    elif isinstance(size, list) and size:
        params["size"] = op.ints("output_size" if "output_size" in op.args else "size")
    elif isinstance(scales, list) and scales:
        params["size"] = [int(tensor.length(axis) * factor) for axis, factor in enumerate(scales, 2)]
    else:
        raise Refusal("its output size is missing")
    return [op.draw.draw("Upsample", tensor, op.name, **params)]


@aten("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
def _filled(op: Aten) -> list[Value]:
    """One number in the shape of a tensor; what is the same for each example stands there once."""
    shape = op.ints("size") if op.type.startswith("new") else list(op.tensor().shape)
    shape = [1 if size % BATCH == 0 else size for size in shape]
    if math.prod(shape) > 2**24:
        raise Refusal("its result is too large")
    number = op.number("fill_value") if "full" in op.type else float("ones" in op.type)
    is_integer = op.get("dtype", 7 if op.tensor().spec.dtype == "float" else 5) not in (6, 7, 8, 13)
    return [Constant(np.full(shape, number, np.int64 if is_integer else np.float32))]
