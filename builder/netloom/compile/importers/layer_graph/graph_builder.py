"""The builder of an imported network: node graph and axis order, with constants and broadcasting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.array_views import slice_of
from netloom.compile.importers.layer_graph.axis_order import AxisOrder
from netloom.compile.importers.layer_graph.values import (
    BATCH,
    Array,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
    pad_rank,
)
from netloom.layers.operations.tensor import MAX_CONSTANT

# Constants with at most this many values are written into the document as literals; larger ones become weights.
MAX_LITERALS = 32


class GraphBuilder(AxisOrder):
    """Adds layers for the operators of a program; turns constants into nodes and aligns inputs for broadcasting."""

    def add_constant(self, value: Constant, like: Tensor, name: str = "", *, integer: bool = False) -> Tensor:
        """Add a constant as a node, with axes that can be broadcast against those of `like`.

        Raises:
            UnsupportedOperatorError: It differs between the examples of a batch, or is too large.
        """
        learned = value.learned_values
        if learned is not None and not integer:
            # Without layers for it, the value itself becomes a constant.
            with suppress(ValueError, TypeError, KeyError, IndexError, AttributeError):
                return self._beside_batch(learned.build(), value.shape, like)
            self.remark(
                "the program computes this value from parameters in a way that no layers express, so it is fixed after "
                "the import.", name or "constant",
            )  # fmt: skip
        shape = (*(1,) * (like.rank - len(value.shape)), *value.shape)
        batch = like.batch + len(shape) - like.rank
        sizes_left: list[int] = []
        axes: list[tuple[int, ...]] = []
        first_example = tuple(slice(0, 1) if size % BATCH == 0 else slice(None) for size in shape)
        numbers = value.array[(None,) * (len(shape) - value.array.ndim)][
            first_example
        ]  # a view: a constant may repeat its values BATCH times
        for position, size in enumerate(shape):
            example_size = size // BATCH if size % BATCH == 0 and size else size
            if position == batch:
                batch_position = next((number for number, inner in enumerate(like.axes[like.batch]) if inner == 0), 0)
                other_sizes = [like.size(inner) for inner in like.axes[like.batch] if inner != 0]
                if example_size == 1:
                    axes.append((0,))
                elif example_size == math.prod(other_sizes) and batch_position == 0 and len(other_sizes) == 1:
                    sizes_left.append(example_size)
                    axes.append((0, len(sizes_left)))
                else:
                    raise UnsupportedOperatorError("its constants differ between the examples of a batch")
            elif size == 1:
                axes.append(())
            else:
                sizes_left.append(size)
                axes.append((len(sizes_left),))
        sizes = sizes_left or [1]
        # A scalar needs one axis besides the batch.
        if not sizes_left:
            free_axis = next((number for number in range(len(shape)) if number != batch), None)
            if free_axis is not None:
                axes[free_axis] = (1,)
        if math.prod(sizes) > 2**27:
            raise UnsupportedOperatorError("its constants are too large")
        data = np.ascontiguousarray(numbers).reshape(sizes)
        if value.array.dtype == bool:
            # Layers have no boolean tensors: a mask is 1 and 0.
            data = data.astype(np.float32)
        # A mask does not train, also if an ONNX file has it among its weights.
        weight = "" if value.array.dtype == bool else value.weight
        node_tensor = self._add_repeated(data, numbers, weight, like, name, integer)
        if integer:
            node_tensor = self.add_layer("Cast", node_tensor, "cast", to="int")
        return Tensor(node_tensor.ref, node_tensor.spec, tuple(axes), value.array.dtype == bool)

    def add_parameter(self, value: Constant, like: Tensor) -> Tensor:
        """Add a single learned number as a node of the shape (N, 1)."""
        data = value.array.reshape(1)
        return self._add_learned(data, _trigger(like), value.weight, frozen=False, weight=value.weight)

    def _beside_batch(self, tensor: Tensor, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A tensor (BATCH, *shape) as one of `shape` in the file, broadcast against `like`.

        Raises:
            UnsupportedOperatorError: There is no axis for the batch.
        """
        added = like.rank - len(shape)
        groups = list(tensor.axes[1:])
        batch_position = like.batch - added
        other_sizes = [like.size(axis) for axis in like.axes[like.batch] if axis != 0]
        length = shape[batch_position] if batch_position >= 0 else 1
        # A constant for each of the axes that are merged with the batch, such as the windows of an image
        merged = length != 1 and like.axes[like.batch][0] == 0 and other_sizes == [length]
        if tensor.axes[0] != (0,) or added < 0 or not (length == 1 or merged):
            raise UnsupportedOperatorError("its batch axis is missing")
        if merged:
            groups[batch_position] = (0, *groups[batch_position])
        elif batch_position >= 0:
            for removed in groups.pop(batch_position):
                sizes = [tensor.size(axis) for axis in range(1, len(tensor.spec.shape)) if axis != removed]
                tensor = self.reshape(tensor, sizes or [1])
                groups = [tuple(axis - (axis > removed) for axis in group) for group in groups]
        axes = [*((),) * added, *groups]
        if batch_position < 0:
            axes[like.batch] = (0,)
        elif not merged:
            axes.insert(like.batch, (0,))
        return Tensor(tensor.ref, tensor.spec, tuple(axes))

    def _add_repeated(self, data: Array, numbers: Array, weight: str, like: Tensor, name: str, integer: bool) -> Tensor:
        """Add values with a weight that is repeated along some axes; it is added once and expanded."""
        repeated = [size > 1 and not step for size, step in zip(numbers.shape, numbers.strides, strict=True)]
        if not weight or not any(repeated) or all(repeated):
            return self._add_values(data, numbers, weight, like, name, integer)
        once = numbers[tuple(slice(0, 1) if is_repeated else slice(None) for is_repeated in repeated)]
        lengths = [size for size in numbers.shape if size > 1]
        once_lengths = [size for size, wide in zip(once.shape, numbers.shape, strict=True) if wide > 1]
        if lengths != list(data.shape):
            return self._add_values(data, numbers, weight, like, name, integer)
        result = self._add_values(np.ascontiguousarray(once).reshape(once_lengths), once, weight, like, name, integer)
        for axis, (length, original) in enumerate(zip(lengths, once_lengths, strict=True), 1):
            if length != original:
                result = self.add_layer("Expand", result, "expand", axis=axis, length=length)
        return result

    def _add_values(self, data: Array, numbers: Array, weight: str, like: Tensor, name: str, integer: bool) -> Tensor:
        """Add values as literals, as a part of a table of the file, or as weights.

        `numbers` is the view of the file that holds the values of `data`.
        """
        # Values of an unchanged parameter of the file stay trainable; all other constants are literals or frozen.
        is_learned = bool(weight) and data.dtype == np.float32 and data.size > 1
        flat = data.astype(np.float64).reshape(-1)
        largest = float(np.abs(flat).max(initial=0))
        # Layers compute with integers in float32, which represents only some of those beyond 2**24.
        if integer and largest > 2**24:
            raise UnsupportedOperatorError("its integers are too large for float32")
        is_uniform = bool(np.all(flat == flat[0]))
        is_short = is_uniform or data.size <= MAX_LITERALS
        if not is_learned and is_short and np.isfinite(flat).all() and largest < MAX_CONSTANT:
            typed = [_literal(number) for number in (flat[:1] if is_uniform else flat)]
            return self.add_layer(
                "Constant", _trigger(like), name or "constant", values=", ".join(typed), shape=data.shape
            )
        if (ranges := slice_of(self.weight_tables.get(weight, data), numbers)) is not None:
            return self._add_slice(weight, ranges, like, name, list(data.shape))
        return self._add_learned(data, like, name, frozen=not is_learned, weight=weight)

    def _add_learned(self, data: Array, like: Tensor, name: str, *, frozen: bool, weight: str) -> Tensor:
        weights = {"weight": data.astype(np.float32, copy=False)}
        params: dict[str, Any] = {"shape": list(data.shape), "start": "zeros"}
        trigger = _trigger(like)
        return self.add_layer(
            "Learned", trigger, name or "constant", weights=weights, frozen=frozen, weight=weight, **params
        )

    def _add_slice(
        self, weight: str, ranges: list[tuple[int, int]], like: Tensor, name: str, sizes: list[int]
    ) -> Tensor:
        """Add a complete table of the file, such as position embeddings, and Slices of the part that is used."""
        base = self.weight_tables[weight]
        parts = [(size, *bounds) for size, bounds in zip(base.shape, ranges, strict=True) if size > 1]
        result = self._add_learned(
            base.reshape([size for size, _, _ in parts]), like, name, frozen=False, weight=weight
        )
        for axis, (size, start, length) in enumerate(parts, 1):
            if length < size:
                slice_params = ({"start": start} if start else {}) | (
                    {"end": start + length} if start + length < size else {}
                )
                result = self.add_layer("Slice", result, f"{name or 'constant'}.slice", axis=axis, **slice_params)
        return result if list(result.spec.shape[1:]) == sizes else self.reshape(result, sizes)

    def align(self, values: Sequence[Value]) -> tuple[list[Tensor], tuple[tuple[int, ...], ...]]:
        """Align values for broadcasting: tensors with equal positions of corresponding axes, and the result axes.

        Raises:
            UnsupportedOperatorError: The batch is not at the same place in all of them.
        """
        first = max((value for value in values if isinstance(value, Tensor)), key=lambda value: value.rank)
        rank = max(first.rank, *(len(value.shape) for value in values))
        first = pad_rank(first, rank)
        # A constant becomes an integer tensor only if all tensors that it meets are.
        integer = all(value.spec.dtype == "int" for value in values if isinstance(value, Tensor) and not value.boolean)
        tensors = [
            pad_rank(value, rank) if isinstance(value, Tensor) else self._add_beside(value, first, rank, integer)
            for value in values
        ]
        if len({tensor.batch for tensor in tensors}) > 1:
            raise UnsupportedOperatorError("the batch axis differs between its inputs")
        if len({(tensor.axes, len(tensor.spec.shape)) for tensor in tensors}) == 1:
            return tensors, tensors[0].axes
        # The parts of all axes of the file without the batch, as (axis, position in its group).
        parts: list[tuple[int, int]] = []
        for axis in range(rank):
            width = max((sum(inner != 0 for inner in tensor.axes[axis]) for tensor in tensors), default=0)
            parts += [(axis, part_axis) for part_axis in range(width)]
        reference = next(
            (tensor for tensor in tensors if all(_part_axis(tensor, part) is not None for part in parts)), None
        )
        if reference is not None:
            # In the order of a tensor that has all of them, which then needs no Permute
            parts.sort(key=lambda part: _part_axis(reference, part) or 0)
        numbers = {part: number for number, part in enumerate(parts, 1)}
        axes: list[tuple[int, ...]] = []
        for axis in range(rank):
            inner = [numbers[part] for part in sorted(parts) if part[0] == axis]
            if axis == tensors[0].batch:
                front = {tensor.axes[axis].index(0) for tensor in tensors if len(tensor.axes[axis]) == len(inner) + 1}
                if len(front) > 1:
                    raise UnsupportedOperatorError("the batch axis is merged with another axis in different ways")
                inner.insert(front.pop() if front else 0, 0)
            axes.append(tuple(inner))
        return [self.reorder(tensor, [_part_axis(tensor, part) for part in parts]) for tensor in tensors], tuple(axes)

    def _add_beside(self, value: Constant, like: Tensor, rank: int, integer: bool) -> Tensor:
        tensor = self.add_constant(value, like, value.weight, integer=integer and value.array.dtype == np.int64)
        return pad_rank(tensor, rank)


def _part_axis(tensor: Tensor, part: tuple[int, int]) -> int | None:
    inner = [axis for axis in tensor.axes[part[0]] if axis != 0]
    return inner[part[1]] if part[1] < len(inner) else None


def _trigger(like: Tensor) -> Tensor:
    return Tensor(like.ref, like.spec, tuple((axis,) for axis in range(len(like.spec.shape))))


def _literal(number: float) -> str:
    return repr(int(number)) if float(number).is_integer() and abs(number) < 1e15 else repr(float(np.float32(number)))
