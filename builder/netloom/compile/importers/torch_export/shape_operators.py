"""Operators that change shapes, select parts of tensors and concatenate them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.reshaping import broadcast_to, repeat, reshape
from netloom.compile.importers.layer_graph.values import (
    BATCH,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
    normalize_axis,
)
from netloom.compile.importers.onnx.operators.reduction import one_hot
from netloom.compile.importers.padding import LOWEST
from netloom.compile.importers.torch_export.operator_table import AtenCall, States, aten

MAX_INDEX = 2**31
MAX_POOLS = frozenset({"max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices"})


def _integers(values: Any) -> Constant:
    return Constant(np.asarray(values, np.int64))


def reshaped(op: AtenCall, tensor: Tensor, target: list[int]) -> list[Value]:
    """The tensor in a shape of the program."""
    # A 0 in a shape is a length of 0 in PyTorch, unlike in ONNX.
    return [reshape(op.builder, tensor, op.with_batch(tensor, target), True)]


@aten("view", "reshape", "_unsafe_view", "_reshape_alias")
def _view(op: AtenCall) -> list[Value]:
    if op.argument("dtype") is not None:
        raise UnsupportedOperatorError("it reinterprets values as another data type")
    return reshaped(op, op.tensor(), op.integers("size" if "size" in op.args else "shape"))


@aten("view_as", "reshape_as")
def _view_as(op: AtenCall) -> list[Value]:
    return reshaped(op, op.tensor(), list(op.value("other").shape))


@aten("flatten")
def _flatten(op: AtenCall) -> list[Value]:
    tensor = op.tensor()
    first, last = op.axis("start_dim", 0), op.axis("end_dim", -1)
    shape = tensor.shape
    return reshaped(op, tensor, [*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]])


@aten("unflatten")
def _unflatten(op: AtenCall) -> list[Value]:
    tensor, axis, sizes = op.tensor(), op.axis(), op.integers("sizes")
    if -1 in sizes:
        known_product = -math.prod(sizes)
        sizes = [tensor.length(axis) // known_product if size == -1 else size for size in sizes]
    return reshaped(op, tensor, [*tensor.shape[:axis], *sizes, *tensor.shape[axis + 1 :]])


@aten("squeeze")
def _squeeze(op: AtenCall) -> Any:
    tensor = op.tensor()
    axes = op.integers("dim", range(tensor.rank))
    axes = [normalize_axis(axis, tensor.rank) for axis in axes]
    removed = [axis for axis in axes if tensor.length(axis) == 1]
    return op.apply("Squeeze", tensor, axes=removed) if removed else [tensor]


@aten("unsqueeze")
def _unsqueeze(op: AtenCall) -> Any:
    return op.apply("Unsqueeze", op.tensor(), axes=[op.axis(more=1)])


@aten("permute")
def _permute(op: AtenCall) -> Any:
    rank = op.tensor().rank
    return op.apply("Transpose", op.tensor(), perm=[normalize_axis(axis, rank) for axis in op.integers("dims")])


@aten("transpose", "t", "numpy_T", "mT", "swapaxes", "adjoint")
def _transpose(op: AtenCall) -> Any:
    rank = op.tensor().rank
    if rank < 2:
        return [op.tensor()]
    last = (rank - 2, rank - 1)
    a, b = (op.axis("dim0"), op.axis("dim1")) if op.type == "transpose" else last
    if op.type == "swapaxes":
        a, b = op.axis("axis0"), op.axis("axis1")
    order = list(range(rank))
    order[a], order[b] = order[b], order[a]
    return op.apply("Transpose", op.tensor(), perm=order)


@aten("movedim")
def _movedim(op: AtenCall) -> Any:
    rank = op.tensor().rank
    source = [normalize_axis(axis, rank) for axis in op.integers("source")]
    target = [normalize_axis(axis, rank) for axis in op.integers("destination")]
    if len(set(source)) != len(source) or sorted(set(target)) != sorted(target) or len(source) != len(target):
        raise UnsupportedOperatorError("it must name each axis once")
    moved = dict(zip(target, source, strict=True))
    other_axes = iter([axis for axis in range(rank) if axis not in source])
    return op.apply(
        "Transpose", op.tensor(), perm=[moved[axis] if axis in moved else next(other_axes) for axis in range(rank)]
    )


@aten("select")
def _select(op: AtenCall) -> Any:
    states, index = op.args.get("self"), op.integer("index")
    if isinstance(states, States):
        if op.integer("dim", 0) == 0 and -states.count <= index < states.count:
            part, position = states.part(index)
            return op.apply("Gather", part, _integers(position), axis=0)
        op = replace(op, args=op.args | {"self": states.whole()})
    tensor, axis = op.tensor(), op.axis("dim", 0)
    length = tensor.length(axis)
    if not -length <= index < length:
        raise UnsupportedOperatorError("its index is out of range")
    return op.apply("Gather", tensor, _integers(index % length), axis=axis)


@aten("slice", "narrow")
def _slice(op: AtenCall) -> Any:
    tensor, axis = op.tensor(), op.axis("dim", 0)
    start = op.integer("start", 0)
    end = start + op.integer("length") if op.type == "narrow" else op.integer("end", MAX_INDEX * 8)
    # A slice of the whole batch, as in x[:N], has no effect.
    if tensor.axes[axis] == (0,) and start == 0 and (end >= MAX_INDEX - 1 or end == recorded_batch(op)):
        return [tensor]
    return op.apply("Slice", tensor, starts=[start], ends=[end], axes=[axis], steps=[op.integer("step", 1)])


def recorded_batch(op: AtenCall) -> int:
    """The length of the batch axis as it is written in the program."""
    return op.batch or BATCH


@aten("split", "split_with_sizes", "chunk", "unsafe_split", "tensor_split", "unsafe_chunk")
def _split(op: AtenCall) -> list[Any]:
    tensor, axis = op.tensor(), op.axis("dim", 0)
    length = tensor.length(axis)
    sizes = op.args.get("split_size", op.args.get("split_sizes", op.args.get("sections")))
    if "chunk" in op.type:
        sizes = math.ceil(length / max(1, op.integer("chunks", 1)))
    if isinstance(sizes, int):
        if op.type == "tensor_split" or sizes < 1:
            raise UnsupportedOperatorError("only splits with constant lengths are supported")
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)] if length < BATCH else [length]
    if not isinstance(sizes, list):
        raise UnsupportedOperatorError("the lengths of its parts are missing")
    return [list(op.apply("Split", tensor, axis=axis, split=sizes, wanted=(True,) * len(sizes)))]


@aten("unbind")
def _unbind(op: AtenCall) -> list[Any]:
    tensor, axis = op.tensor(), op.axis("dim", 0)
    if tensor.length(axis) > 64:
        raise UnsupportedOperatorError("it splits an axis into too many parts")
    return [[op.apply("Gather", tensor, _integers(position), axis=axis)[0] for position in range(tensor.length(axis))]]


def _tensor_list(op: AtenCall) -> list[Value]:
    values = op.argument("tensors", [])
    if not isinstance(values, list) or not any(isinstance(value, Tensor) for value in values):
        raise UnsupportedOperatorError("it has no inputs to concatenate")
    return values


@aten("cat", "concat", "concatenate")
def _cat(op: AtenCall) -> Any:
    # Empty tensors add nothing, and no layer outputs one.
    values = [value for value in _tensor_list(op) if 0 not in value.shape]
    first = next(value for value in values if isinstance(value, Tensor))
    values = [
        replace(value, array=value.array.astype(np.float32)) if isinstance(value, Constant) else value
        for value in values
    ]
    return op.apply("Concat", *values, axis=op.axis("dim" if "dim" in op.args else "axis", 0, first))


@aten("stack")
def _stack(op: AtenCall) -> Any:
    values = _tensor_list(op)
    first = next(value for value in values if isinstance(value, Tensor))
    axis = op.axis("dim", 0, first, more=1)
    raised: list[Value] = []
    for value in values:
        if isinstance(value, Constant):
            raised.append(Constant(np.expand_dims(value.array, axis)))
        else:
            raised += op.apply("Unsqueeze", value, axes=[axis])  # type: ignore[arg-type]
    return op.apply("Concat", *raised, axis=axis)


@aten("expand", "expand_as")
def _expand(op: AtenCall) -> list[Value]:
    tensor = op.tensor()
    target = list(op.value("other").shape) if op.type == "expand_as" else op.integers("size")
    new_axes = len(target) - tensor.rank
    current = [*(1,) * new_axes, *tensor.shape]
    sizes = [
        mine if size == -1 or (mine == BATCH and size == op.batch) else size
        for size, mine in zip(target, current, strict=True)
    ]
    return [broadcast_to(op.builder, tensor, sizes, op.name)]


@aten("repeat")
def _repeat(op: AtenCall) -> list[Value]:
    return [repeat(op.builder, op.tensor(), op.integers("repeats"), op.name)]


@aten("repeat_interleave")
def _interleave(op: AtenCall) -> list[Value]:
    tensor, axis = op.tensor(), op.axis("dim", 0)
    times = op.integer("repeats", 1)
    repeated = op.builder.add_layer(
        "Repeat", tensor, op.name, axis=op.builder.single_axis(tensor, axis), times=times, each=True
    )
    return [op.builder.with_axes_of(repeated, tensor)]


@aten("index_select")
def _index_select(op: AtenCall) -> Any:
    return op.apply("Gather", op.tensor(), op.value("index"), axis=op.axis("dim", 0))


@aten("gather")
def _gather(op: AtenCall) -> Any:
    data = op.value()
    if isinstance(data, Constant):
        return [_gathered_constant(data, op.tensor("index"))]
    index, axis = op.value("index"), op.axis("dim", 0, data)
    if isinstance(index, Constant):
        return [_gathered_at_constants(op, data, index, axis)]
    return op.apply("GatherElements", data, index, axis=axis)


@aten("take_along_dim")
def _take_along(op: AtenCall) -> Any:
    data, index = op.tensor(), op.value("indices")
    if op.argument("dim") is None:
        raise UnsupportedOperatorError("it would mix the examples of a batch")
    if isinstance(index, Constant):
        return [_gathered_at_constants(op, data, index, op.axis())]
    return op.apply("GatherElements", data, index, axis=op.axis())


@aten("tril", "triu")
def _triangle(op: AtenCall) -> Any:
    shift = Constant(np.asarray(op.integer("diagonal", 0)))
    return op.apply("Trilu", op.tensor(), shift, upper=int(op.type == "triu"))


@aten("one_hot")
def _one_hot(op: AtenCall) -> Any:
    classes = op.integer("num_classes", -1)
    if classes < 0:
        raise UnsupportedOperatorError("its number of classes depends on the values; give it as num_classes")
    return [one_hot(op.as_onnx("OneHot"), op.tensor(), classes)]


def _gathered_at_constants(op: AtenCall, data: Tensor, index: Constant, axis: int) -> Tensor:
    """Values at constant indices, such as relative positions, which are the same for each example of the batch."""
    builder, indices = op.builder, index.array
    port_axis = builder.single_axis(data, axis)
    if indices.ndim != data.rank:
        raise UnsupportedOperatorError("its indices have another number of axes than its values")
    # The axes that a constant repeats without copies first, as the length of the batch may be BATCH
    for number in sorted(range(indices.ndim), key=lambda axis_number: index.array.strides[axis_number] != 0):
        if number == axis:
            continue
        length = data.length(number)
        # Without the recorded batch, folding leaves a single example.
        if indices.shape[number] not in (length, length // BATCH * max(1, op.batch)):
            raise UnsupportedOperatorError("its indices have other axes than its values")
        first = indices[(slice(None),) * number + (slice(0, 1),)]
        # Once where the indices are equal, for example in all heads
        indices = first if not indices.strides[number] or (indices == first).all() else indices
    once = builder.add_constant(Constant(np.ascontiguousarray(indices)), data, integer=True)
    # The axes of the port in the order of those of `data`, where None is an axis along which the indices are equal
    parts: list[int | None] = [None] * (len(data.spec.shape) - 1)
    for index_group, group in zip(once.axes, data.axes, strict=True):
        inner = [part for part in index_group if part]
        if inner and (len(inner) > 1 or len(group) > 1):
            raise UnsupportedOperatorError("its indices differ along an axis that combines several axes")
        if inner:
            parts[group[0] - 1] = inner[0]
    aligned = builder.reorder(once, parts)
    for axis_number, part in enumerate(parts, 1):
        if part is None and axis_number != port_axis and data.size(axis_number) > 1:
            aligned = builder.add_layer("Expand", aligned, "expand", axis=axis_number, length=data.size(axis_number))
    inputs = {"in": Tensor(data.ref, data.spec, tuple((part,) for part in range(len(data.spec.shape))))}
    result = builder.add_layer("GatherElements", inputs | {"indices": aligned}, op.name, axis=port_axis)
    return builder.with_axes_of(result, data)


def _gathered_constant(data: Constant, indices: Tensor) -> Constant:
    """Values of a constant at computed indices: one number, if all values are equal, as in a table of zeros."""
    if not data.array.size or not (data.array == data.array.flat[0]).all():
        raise UnsupportedOperatorError("it selects from different constants")
    shape = [1 if size % BATCH == 0 else size for size in indices.shape]
    return Constant(np.broadcast_to(data.array.flat[0], shape))


@aten("roll", "flip")
def _roll(op: AtenCall) -> list[Value]:
    tensor = op.tensor()
    port_axes = [op.builder.single_axis(tensor, normalize_axis(axis, tensor.rank)) for axis in op.integers("dims")]
    if op.type == "flip":
        return op.elementwise("Flip", tensor, axes=port_axes)
    for axis, shift in zip(port_axes, op.integers("shifts"), strict=True):
        tensor = op.builder.with_axes_of(op.builder.add_layer("Roll", tensor, op.name, axis=axis, shift=shift), tensor)
    return [tensor]


@aten("pixel_shuffle", "pixel_unshuffle", "channel_shuffle")
def _shuffle(op: AtenCall) -> list[Value]:
    tensor = op.builder.to_batch_first(op.tensor())
    if op.type == "channel_shuffle":
        return [op.builder.add_layer("ChannelShuffle", tensor, op.name, groups=op.integer("groups", 1))]
    kind, name = (
        ("PixelShuffle", "upscale_factor") if op.type == "pixel_shuffle" else ("PixelUnshuffle", "downscale_factor")
    )
    return [op.builder.add_layer(kind, tensor, op.name, factor=op.integer(name, 1))]


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
    if fill == -math.inf and op.readers <= MAX_POOLS:
        fill = LOWEST  # a maximum never selects it beside a value of the image
    if not math.isfinite(fill):
        raise UnsupportedOperatorError(f"it pads with {fill}; use a finite number")
    value = Constant(np.asarray(fill, np.float32))
    # The layers have the batch first, which torch.stft moves behind an axis of channels.
    order = sorted(range(tensor.rank), key=lambda axis: axis != tensor.batch)
    moved = replace(tensor, axes=tuple(tensor.axes[axis] for axis in order))
    pads = _integers([*(before[axis] for axis in order), *(after[axis] for axis in order)])
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


@aten("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
def _filled(op: AtenCall) -> list[Value]:
    """A constant in the shape of a tensor, in which the batch has the length 1."""
    shape = op.integers("size") if op.type.startswith("new") else list(op.tensor().shape)
    shape = [1 if size % BATCH == 0 else size for size in shape]
    if math.prod(shape) > 2**24:
        raise UnsupportedOperatorError("its result is too large")
    number = op.number("fill_value") if "full" in op.type else float("ones" in op.type)
    # ScalarType: 5 is int64; 6, 7, 8 and 13 are the float types. Without dtype, that of the tensor applies.
    is_integer = op.argument("dtype", 7 if op.tensor().spec.dtype == "float" else 5) not in (6, 7, 8, 13)
    return [Constant(np.full(shape, number, np.int64 if is_integer else np.float32))]
