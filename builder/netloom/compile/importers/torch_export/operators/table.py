"""A call of an ATen operator, and the registry of the functions that convert operators.

Most converters apply ONNX operators, whose conversion into layers exists already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import (
    BATCH,
    Array,
    Constant,
    Learned,
    Tensor,
    UnsupportedOperatorError,
    Value,
    normalize_axis,
)
from netloom.compile.importers.onnx.operators import OPERATORS as LAYERS
from netloom.compile.importers.onnx.operators import Call

# The opset of the ONNX operators that converters apply
OPSET = 20


@dataclass(frozen=True)
class AtenCall:
    """A call of an operator: its arguments by name, its name, and the batch size of the exported program.

    `batch` is 0 if the batch axis of the program is dynamic. `readers` are the types of the operators that read its
    outputs.
    """

    type: str
    name: str
    args: dict[str, Any]
    builder: GraphBuilder
    batch: int = 0
    used_outputs: tuple[bool, ...] = (True,)
    readers: frozenset[str] = frozenset()

    def argument(self, name: str, default: Any = None) -> Any:
        """An argument, or its default if the program does not set it."""
        value = self.args.get(name)
        return default if value is None else value

    def value(self, name: str = "self") -> Value:
        """A tensor argument, constant or computed.

        Raises:
            UnsupportedOperatorError: The argument is missing or not a tensor.
        """
        argument = self.args.get(name)
        if isinstance(argument, bool | int | float):
            return Constant(np.asarray(argument, np.float32 if isinstance(argument, float) else np.int64))
        if not isinstance(argument, Tensor | Constant):
            raise UnsupportedOperatorError(f"its argument {name} is missing")
        return argument

    def tensor(self, name: str = "self") -> Tensor:
        """A tensor argument that depends on the inputs of the network.

        Raises:
            UnsupportedOperatorError: It is missing or constant.
        """
        argument = self.args.get(name)
        if not isinstance(argument, Tensor):
            raise UnsupportedOperatorError(f"its argument {name} must be computed from the inputs of the network")
        return argument

    def constant_array(self, name: str) -> Array | None:
        """A constant tensor argument; None if it is missing.

        Raises:
            UnsupportedOperatorError: The argument depends on the inputs of the network.
        """
        argument = self.args.get(name)
        if isinstance(argument, Tensor):
            raise UnsupportedOperatorError(f"its argument {name} must be a constant in the file")
        return argument.array if isinstance(argument, Constant) else None

    def integer(self, name: str, default: int = 0) -> int:
        """An integer argument.

        Raises:
            UnsupportedOperatorError: The argument is not an integer.
        """
        argument = self.argument(name, default)
        if type(argument) is not int:
            raise UnsupportedOperatorError(f"its argument {name} is not an integer")
        return argument

    def number(self, name: str, default: float = 0.0) -> float:
        """A number argument, which can be a constant scalar tensor.

        Raises:
            UnsupportedOperatorError: The argument is not a constant number.
        """
        argument = self.argument(name, default)
        argument = argument.scalar if isinstance(argument, Constant) else argument
        if not isinstance(argument, int | float):
            raise UnsupportedOperatorError(f"its argument {name} must be a constant number")
        return float(argument)

    def integers(self, name: str, default: Sequence[int] = ()) -> list[int]:
        """An argument that is a list of integers or a single integer.

        Raises:
            UnsupportedOperatorError: The argument is neither.
        """
        argument = self.argument(name, list(default))
        argument = [argument] if isinstance(argument, int) else argument
        if not isinstance(argument, list) or any(type(part) is not int for part in argument):
            raise UnsupportedOperatorError(f"its argument {name} is not a list of integers")
        return argument

    def per_axis(self, name: str, axes: int, default: Sequence[int] = ()) -> list[int]:
        """One integer per axis; a single one applies to all axes.

        Raises:
            UnsupportedOperatorError: The number of integers is not the number of axes.
        """
        values = self.integers(name, default) or list(default)
        values = values * axes if len(values) == 1 else values
        if len(values) != axes:
            raise UnsupportedOperatorError(f"its argument {name} does not match its axes")
        return values

    def axis(self, name: str = "dim", default: int = -1, tensor: Tensor | None = None, more: int = 0) -> int:
        """An axis argument as a non-negative index; the result has `more` axes than the tensor.

        Raises:
            UnsupportedOperatorError: The axis does not exist.
        """
        rank = (tensor or self.tensor()).rank + more
        return normalize_axis(self.integer(name, default), rank)

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self.argument(name, default))

    def apply(self, kind: str, *inputs: Value | None, **attributes: Any) -> Sequence[Value | None]:
        """The outputs of an ONNX operator that computes the same."""
        attributes = {key: value for key, value in attributes.items() if value is not None}
        used_outputs = attributes.pop("wanted", (True,))
        reader_types = attributes.pop("feeds", frozenset())
        values = tuple(self.without_recorded_batch(inputs))
        return LAYERS[kind](Call(kind, self.name, values, attributes, self.builder, OPSET, used_outputs, reader_types))

    def as_onnx(self, kind: str, *inputs: Value | None) -> Call:
        """This call as a call of an ONNX operator."""
        return Call(kind, self.name, inputs, {}, self.builder, OPSET)

    def without_recorded_batch(self, inputs: Sequence[Value | None]) -> list[Value | None]:
        """The inputs, with constants that repeat their values for each example of the exported batch reduced to one."""
        first = max(
            (value for value in inputs if isinstance(value, Tensor)), key=lambda value: value.rank, default=None
        )
        if first is None or self.batch < 2:
            return list(inputs)
        return [self._once(value, first) if isinstance(value, Constant) else value for value in inputs]

    def _once(self, value: Constant, like: Tensor) -> Constant:
        axis = like.batch - like.rank + len(value.shape)
        group = like.axes[like.batch]
        length = math.prod(like.size(part) for part in group if part != 0)
        if axis < 0 or value.shape[axis] != self.batch * length or group[:1] != (0,):
            return value
        # A view, by whose memory a weight is still recognized
        first_example = value.array[(slice(None),) * axis + (slice(0, length),)]
        repeated = np.concatenate([first_example] * self.batch, axis)
        if not np.array_equal(value.array, repeated):
            return value
        whole = value.learned_values
        if whole is None:
            return replace(value, array=first_example, learned=None)
        first_rows = Learned(first_example, lambda: self._first_rows(whole.build(), axis + 1, length))
        return replace(value, array=first_example, learned=first_rows)

    def _first_rows(self, tensor: Tensor, axis: int, length: int) -> Tensor:
        if tensor.length(axis) == length:
            return tensor
        (part,) = self.apply("Slice", tensor, starts=[0], ends=[length], axes=[axis], steps=[1])
        if not isinstance(part, Tensor):
            raise UnsupportedOperatorError("its first example is empty")
        return part

    def elementwise(self, kind: str, tensor: Tensor | None = None, **params: Any) -> list[Value]:
        """A layer that keeps the shape of its input."""
        tensor = self.tensor() if tensor is None else tensor
        return [self.builder.with_axes_of(self.builder.add_layer(kind, tensor, self.name, **params), tensor)]

    def with_batch(self, tensor: Tensor, requested: Sequence[int]) -> list[int]:
        """A shape in the program with BATCH in place of the batch size with which it was exported."""
        shape = list(requested)
        if self.batch < 2 or any(size % BATCH == 0 for size in shape if size > 0):
            return shape
        total = math.prod(tensor.shape) // BATCH * self.batch
        if -1 in shape:
            product = -math.prod(shape)
            shape = [total // product if size == -1 else size for size in shape] if product else shape
        if math.prod(shape) != total:
            return shape
        flat = [part for group in tensor.axes for part in group]
        front = math.prod(tensor.size(part) for part in flat[: flat.index(0)])
        before = 1
        for axis, size in enumerate(shape):
            # The first axis that is a multiple of the remaining length before the batch, times the batch size
            if front % before == 0 and size % (front // before * self.batch) == 0:
                shape[axis] = size // self.batch * BATCH
                return shape
            before *= size
        return shape


@dataclass(frozen=True)
class States:
    """The final states (layers · directions, N, H) of stacked recurrent layers.

    `last` holds those of the last layer, for which recurrent layers have a port; `whole` adds a port for all.
    """

    last: Tensor
    count: int
    whole: Callable[[], Tensor]

    def part(self, index: int) -> tuple[Tensor, int]:
        """A tensor that contains the state of an index, and its place in it."""
        position = index % self.count - self.count + self.last.length(0)
        return (self.last, position) if position >= 0 else (self.whole(), index % self.count)


def with_whole_states(value: Any) -> Any:
    """An argument with the final states of recurrent layers as tensors."""
    if isinstance(value, list):
        return [with_whole_states(part) for part in value]
    return value.whole() if isinstance(value, States) else value


@dataclass(frozen=True)
class Spectrum:
    """A complex tensor, as a real and an imaginary part."""

    real: Tensor
    imaginary: Tensor


# Operators that read the final states of some layers; all others read them as a tensor of all layers.
READ_STATES = frozenset({"select"})

Converter = Callable[[AtenCall], Sequence[Any]]
OPERATORS: dict[str, Converter] = {}
# Operators that move values: they apply to the real and the imaginary part of a spectrum alike, and keep booleans
_MOVING = frozenset(
    "view reshape flatten unflatten squeeze unsqueeze permute transpose movedim select slice narrow index_select "
    "contiguous clone alias detach".split()
)


def convert(op: AtenCall) -> Sequence[Any]:
    """The outputs of an operator, by the converter that is registered for it."""
    value, converter = op.args.get("self"), OPERATORS[op.type]
    if op.type not in _MOVING or not isinstance(value, Spectrum):
        results = converter(op)
        if op.type not in _MOVING or not isinstance(value, Tensor) or not value.boolean:
            return results
        return [replace(result, boolean=True) if isinstance(result, Tensor) else result for result in results]
    real, imaginary = (
        converter(replace(op, args={**op.args, "self": part}))[0] for part in (value.real, value.imaginary)
    )
    return [Spectrum(real, imaginary)]


def aten(*names: str) -> Callable[[Converter], Converter]:
    """Register the converter of some operators."""

    def register(convert: Converter) -> Converter:
        OPERATORS.update(dict.fromkeys(names, convert))
        return convert

    return register
