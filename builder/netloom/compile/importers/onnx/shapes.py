"""Reshape and broadcast, where one axis of the file may hold the batch and others besides."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from netloom.compile.importers.onnx.graph_builder import BATCH, Constant, Drawing, Refusal, Tensor


def reshape(draw: Drawing, tensor: Tensor, asked: Sequence[int], allow_zero: bool) -> Tensor:
    """The tensor in another shape of the file; axes that nothing happens to stay as they are.

    Raises:
        Refusal: the batch would be torn apart.
    """
    wanted = _resolved(tensor, list(asked), allow_zero)
    # Blocks of axes that hold equally many numbers before and after.
    shape = tensor.shape
    blocks: list[tuple[list[int], list[int]]] = []
    old = new = 0
    while old < len(shape) or new < len(wanted):
        left, right = [old] if old < len(shape) else [], [new] if new < len(wanted) else []
        old, new = old + len(left), new + len(right)
        before, after = math.prod(shape[i] for i in left), math.prod(wanted[i] for i in right)
        while before != after:
            if before < after and old < len(shape):
                left, before, old = [*left, old], before * shape[old], old + 1
            elif new < len(wanted):
                right, after, new = [*right, new], after * wanted[new], new + 1
            else:
                raise Refusal("its new shape has a different number of values")
        blocks.append((left, right))
    order: list[int] = []
    sizes: list[int] = []
    axes: list[tuple[int, ...]] = []
    for left, right in blocks:
        inner = [part for axis in left for part in tensor.axes[axis]]
        kept = [tensor.axes[axis] for axis in left if tensor.axes[axis]]
        if left and kept == [tensor.axes[left[0]]] and len(right) == 1:
            # One axis stays one axis, perhaps without others of length 1.
            numbers = {}
            for part in inner:
                if part:
                    order.append(part)
                    sizes.append(tensor.size(part))
                    numbers[part] = len(sizes)
            axes.append(tuple(numbers.get(part, 0) for part in inner))
            continue
        order += [part for part in inner if part]
        if 0 in inner:
            front = math.prod(tensor.size(part) for part in inner[: inner.index(0)])
            axes += _with_batch([wanted[axis] for axis in right], front, sizes)
            continue
        for axis in right:
            if wanted[axis] == 1:
                axes.append(())
            else:
                sizes.append(wanted[axis])
                axes.append((len(sizes),))
    if not sizes and len(tensor.spec.shape) > 1:
        # Only axes of length 1 are left beside the batch; one of them is kept as it is.
        free = next((place for place, group in enumerate(axes) if group == ()), None)
        if free is not None:
            sizes.append(1)
            axes[free] = (1,)
    ones = [part for part in range(1, len(tensor.spec.shape)) if part not in order]
    moved = draw.permuted(tensor, [*order, *ones])
    made = draw.reshaped(moved, sizes)
    return Tensor(made.ref, made.spec, tuple(axes), tensor.boolean)


def _with_batch(wanted: list[int], front: int, sizes: list[int]) -> list[tuple[int, ...]]:
    """The new axes of a block with the batch in it; `front` is how many numbers stand before the batch."""
    axes: list[tuple[int, ...]] = []

    def axis(length: int) -> tuple[int, ...]:
        if length == 1:
            return ()
        sizes.append(length)
        return (len(sizes),)

    passed = False
    for length in wanted:
        if passed or (length % BATCH and front % length == 0):
            front = front if passed else front // length
            axes.append(axis(length))
        elif length % (front * BATCH) == 0:
            axes.append((*axis(front), 0, *axis(length // front // BATCH)))
            passed = True
        else:
            raise Refusal("it would split the batch axis")
    if not passed:
        raise Refusal("it would split the batch axis")
    return axes


def _resolved(tensor: Tensor, asked: list[int], allow_zero: bool) -> list[int]:
    """The new shape with all lengths known, and with the batch where the file says 1 or its own fixed batch."""
    total = math.prod(tensor.shape)
    shape = [
        tensor.shape[place] if size == 0 and not allow_zero and place < tensor.rank else size
        for place, size in enumerate(asked)
    ]
    if shape.count(-1) > 1 or any(size < -1 or size == 0 for size in shape):
        raise Refusal("its new shape is invalid")
    known = math.prod(size for size in shape if size != -1)
    if -1 in shape and total % known == 0:
        filled = total // known
        # A file of one example says 1 where the batch is; then -1 would swallow the batch.
        if not (
            filled > BATCH
            and filled % BATCH == 0
            and _place(tensor, _put(shape, filled // BATCH)) is not None
            and 1 in shape
        ):
            return _put(shape, filled)
    if -1 in shape:
        if total % (known * BATCH):
            raise Refusal("its new shape has a different number of values")
        shape = _put(shape, total // known // BATCH)
    if math.prod(shape) == total:
        return shape
    if math.prod(shape) * BATCH != total:
        raise Refusal("its new shape has a different number of values")
    place = _place(tensor, shape)
    if place is None:
        raise Refusal(
            "the batch axis cannot be identified in its new shape; export the network with a dynamic batch axis"
        )
    shape[place] *= BATCH
    return shape


def _put(shape: list[int], size: int) -> list[int]:
    return [size if old == -1 else old for old in shape]


def _place(tensor: Tensor, shape: list[int]) -> int | None:
    """The axis of a shape for one example in which the batch belongs."""
    flat = [part for group in tensor.axes for part in group]
    front = math.prod(tensor.size(part) for part in flat[: flat.index(0)])
    fitting = [place for place in range(len(shape)) if math.prod(shape[:place]) == front]
    if not fitting:
        return None
    ones = [place for place in fitting if shape[place] == 1]
    last = len(shape) - 1
    if not ones and fitting == [last] and last > 0 and math.prod(shape[:last]) == front:
        return last - 1  # (steps, features): the steps of all examples, rather than features of several
    if tensor.batch in fitting and (shape[tensor.batch] == 1 or len(tensor.axes[tensor.batch]) > 1):
        return tensor.batch
    return ones[0] if ones else fitting[-1]


def broadcast_to(draw: Drawing, tensor: Tensor, asked: list[int], name: str) -> Tensor:
    """The tensor repeated along axes of length 1."""
    rank = max(tensor.rank, len(asked))
    shape = [*(1,) * (rank - len(asked)), *asked]
    own = [*(1,) * (rank - tensor.rank), *tensor.shape]
    if all(size in (1, mine) for size, mine in zip(shape, own, strict=True)):
        return Tensor(tensor.ref, tensor.spec, ((),) * (rank - tensor.rank) + tensor.axes, tensor.boolean)
    if max(shape) > BATCH:
        raise Refusal("it repeats the batch axis")
    longer = [axis for axis, (size, mine) in enumerate(zip(shape, own, strict=True)) if size not in (1, mine)]
    place = longer[0] - (rank - tensor.rank)
    if len(longer) == 1 and place > 0 and not tensor.axes[place]:
        return _longer(draw, tensor, place, shape[longer[0]])
    ones = Constant(np.broadcast_to(np.float32(1), [1 if size == BATCH else size for size in shape]))
    tensors, axes = draw.aligned([tensor, ones])
    made = draw.draw("Multiply", dict(zip("ab", tensors, strict=True)), name)
    return Tensor(made.ref, made.spec, axes, tensor.boolean)


def _longer(draw: Drawing, tensor: Tensor, place: int, length: int) -> Tensor:
    """An axis of length 1, which the port does not have yet, repeated; it comes right behind the file's axis before."""
    behind = max(tensor.axes[place - 1], default=len(tensor.spec.shape) - 1)
    new = behind + 1
    apart = draw.draw("Unsqueeze", tensor, "unsqueeze", axis=new)
    made = draw.draw("Expand", apart, "expand", axis=new, length=length)
    axes = [tuple(part + (part >= new) for part in group) for group in tensor.axes]
    axes[place] = (new,)
    return Tensor(made.ref, made.spec, tuple(axes), tensor.boolean)
