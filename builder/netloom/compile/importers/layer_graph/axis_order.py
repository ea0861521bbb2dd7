"""Reordering of the axes of a tensor into the order that a layer needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netloom.compile.importers.layer_graph.node_graph import NodeGraph
from netloom.compile.importers.layer_graph.values import Tensor, UnsupportedOperatorError


class AxisOrder(NodeGraph):
    """Adds as few Permute, Transpose and Reshape layers as possible to bring axes into a given order."""

    def reorder(self, tensor: Tensor, order: Sequence[int | None]) -> Tensor:
        """Reorder the port's axes after the batch; None in `order` inserts an axis of length 1.

        Raises:
            UnsupportedOperatorError: `order` does not contain each axis exactly once.
        """
        existing = [axis for axis in order if axis is not None]
        if sorted(existing) != list(range(1, len(tensor.spec.shape))):
            raise UnsupportedOperatorError("its axes cannot be distinguished")
        permuted = self.permute(tensor, existing)
        new_axes = [position for position, axis in enumerate(order, 1) if axis is None]
        if len(new_axes) == 1:
            return self.add_layer("Unsqueeze", permuted, "unsqueeze", axis=new_axes[0])
        if new_axes:
            return self.reshape(permuted, [1 if axis is None else tensor.size(axis) for axis in order])
        return Tensor(permuted.ref, permuted.spec, tuple((axis,) for axis in range(len(permuted.spec.shape))))

    def permute(self, tensor: Tensor, order: list[int]) -> Tensor:
        """Reorder the axes of the port after the batch, by a Reshape or Transpose rather than a Permute."""
        if order == sorted(order):
            return tensor
        moved = [position for position, axis in enumerate(order, 1) if axis != position]
        long_axes = [axis for axis in order if tensor.size(axis) > 1]
        if long_axes == sorted(long_axes):  # only axes of length 1 change their places
            return self.reshape(tensor, [tensor.size(axis) for axis in order])
        if len(moved) == 2:
            return self.add_layer("Transpose", tensor, "transpose", axis=moved[0], other=moved[1])
        return self.add_layer("Permute", tensor, "permute", order=order)

    def reshape(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """Reshape the port; `shape` excludes the batch axis.

        Raises:
            UnsupportedOperatorError: Only the batch axis would remain.
        """
        shape = list(shape)
        source = tensor.ref
        while self.nodes[source.partition(".")[0]].type in ("Reshape", "Flatten", "Unsqueeze", "Squeeze"):
            source = self.sources[source]["in"]  # consecutive reshapes are one reshape
        spec = self.specs[source]
        original = Tensor(source, spec, tuple((axis,) for axis in range(len(spec.shape))))
        if list(spec.shape[1:]) == shape:
            return original
        if not shape:
            if math.prod(spec.size(axis) for axis in range(1, len(spec.shape))) != 1 or len(spec.shape) != 2:
                raise UnsupportedOperatorError("it would remove all axes except the batch axis")
            return self.add_layer("Squeeze", original, "squeeze", axis=1)
        if len(shape) == 1:
            return self.add_layer("Flatten", original, "flatten")
        return self.add_layer("Reshape", original, "reshape", shape=shape)

    def to_batch_first(self, tensor: Tensor) -> Tensor:
        """The tensor with each axis of the file as one axis of the port, in order, the batch first.

        Raises:
            UnsupportedOperatorError: The first axis of the file's tensor is not exactly the batch.
        """
        if not tensor.axes or tensor.axes[0] != (0,):
            raise UnsupportedOperatorError("the batch axis must be the first axis")
        permuted = self.permute(tensor, [axis for group in tensor.axes[1:] for axis in group])
        return self.reshape(permuted, [tensor.length(axis) for axis in range(1, tensor.rank)])

    def move_last(self, tensor: Tensor, count: int = 1) -> Tensor:
        """The tensor with its last axes of the file as the last axes of the port, one by one.

        Raises:
            UnsupportedOperatorError: The batch is among them.
        """
        groups = tensor.axes[-count:]
        if any(0 in group for group in groups) or count > tensor.rank:
            raise UnsupportedOperatorError("it would mix the examples of a batch")
        last_axes = [axis for group in groups for axis in group]
        front_axes = [axis for axis in range(1, len(tensor.spec.shape)) if axis not in last_axes]
        result = self.permute(tensor, [*front_axes, *last_axes])
        positions = {old: new for new, old in enumerate([0, *front_axes, *last_axes])}
        axes = [tuple(positions[axis] for axis in group) for group in tensor.axes]
        if any(len(group) != 1 for group in groups):
            lengths = [tensor.length(tensor.rank - count + offset) for offset in range(count)]
            result = self.reshape(result, [*(tensor.size(axis) for axis in front_axes), *lengths])
            axes[-count:] = [(len(front_axes) + 1 + offset,) for offset in range(count)]
        return Tensor(result.ref, result.spec, tuple(axes), tensor.boolean)

    def single_axis(self, tensor: Tensor, axis: int) -> int:
        """The port's axis that corresponds to an axis of the file.

        Raises:
            UnsupportedOperatorError: The axis contains the batch or consists of several axes.
        """
        group = tensor.axes[axis]
        if 0 in group:
            raise UnsupportedOperatorError("it would mix the examples of a batch")
        if len(group) != 1:
            raise UnsupportedOperatorError("it uses an axis that combines several axes")
        return group[0]
