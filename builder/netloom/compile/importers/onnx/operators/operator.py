"""A call of an ONNX operator, and the registry of the functions that convert operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import (
    Array,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
    normalize_axis,
)

KINDS = {3: "1d", 4: "2d", 5: "3d"}
# Slice bounds far beyond this mean an open start or end.
FAR = 2**31


@dataclass(frozen=True)
class Call:
    """A call of an operator, with the builder that receives its layers.

    `used_outputs` says which outputs other operators read, `reader_types` which operators read the first output.
    """

    type: str
    name: str
    inputs: tuple[Value | None, ...]
    attributes: dict[str, Any]
    builder: GraphBuilder
    opset: int
    used_outputs: tuple[bool, ...] = (True,)
    reader_types: frozenset[str] = frozenset()

    def tensor(self, index: int = 0) -> Tensor:
        """A required input that depends on the inputs of the network.

        Raises:
            UnsupportedOperatorError: It is missing or constant.
        """
        value = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(value, Tensor):
            raise UnsupportedOperatorError(f"input {index + 1} must be computed from the inputs of the network")
        return value

    def constant(self, index: int) -> Constant | None:
        """A constant input; None if it is missing.

        Raises:
            UnsupportedOperatorError: It depends on the inputs of the network.
        """
        value = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(value, Tensor):
            raise UnsupportedOperatorError(f"input {index + 1} must be a constant in the file")
        return value

    def constant_array(self, index: int) -> Array | None:
        """The array of a constant input; None if it is missing.

        Raises:
            UnsupportedOperatorError: It depends on the inputs of the network.
        """
        constant = self.constant(index)
        return None if constant is None else constant.array

    def required_array(self, index: int) -> Array:
        """The array of a required constant input.

        Raises:
            UnsupportedOperatorError: It is missing, or depends on the inputs of the network.
        """
        array = self.constant_array(index)
        if array is None:
            raise UnsupportedOperatorError(f"input {index + 1} is missing")
        return array

    def apply(self, kind: str, *inputs: Value | None, **attributes: Any) -> Sequence[Value | None]:
        """The outputs of another operator, for operators that are composed of others."""
        return OPERATORS[kind](Call(kind, self.name, inputs, attributes, self.builder, self.opset))

    def scalar(self, index: int) -> float | None:
        """A constant scalar input, or None."""
        value = self.inputs[index] if index < len(self.inputs) else None
        return value.scalar if isinstance(value, Constant) else None

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute, or its default if the file does not set it."""
        value = self.attributes.get(name)
        return default if value is None else value

    def integers(self, index: int, attribute: str) -> list[int] | None:
        """Integers that are an input in newer opsets and an attribute in older ones."""
        if attribute in self.attributes:
            value = self.attributes[attribute]
            return [value] if isinstance(value, int) else list(value)
        array = self.constant_array(index)
        return None if array is None else [int(value) for value in array.reshape(-1)]

    def axis(self, default: int = -1, rank: int | None = None) -> int:
        """The attribute `axis` as a non-negative index.

        Raises:
            UnsupportedOperatorError: The axis does not exist.
        """
        rank = self.tensor().rank if rank is None else rank
        return normalize_axis(int(self.attribute("axis", default)), rank)

    def module_name(self, index: int) -> str:
        """The path of the module to which the weights belong, such as layer1.0.conv1."""
        value = self.inputs[index] if index < len(self.inputs) else None
        name = value.weight if isinstance(value, Constant) else ""
        # The parameter has the path of its module as its name; folded weights have names such as onnx::MatMul_123.
        if name.endswith((".weight", ".bias")) and not name.startswith("onnx::"):
            return name.rpartition(".")[0]
        parts = [part for part in self.name.split("/") if part]
        return ".".join(parts[:-1]) if len(parts) > 1 and self.name.startswith("/") else self.name


Converter = Callable[[Call], Sequence[Value | None]]
OPERATORS: dict[str, Converter] = {}


def operator(*names: str) -> Callable[[Converter], Converter]:
    """Register the converter of some operators."""

    def register(convert: Converter) -> Converter:
        OPERATORS.update(dict.fromkeys(names, convert))
        return convert

    return register


def elementwise(builder: GraphBuilder, kind: str, tensor: Tensor, name: str, /, **params: Any) -> Tensor:
    """Add a layer that keeps the shape of its input."""
    return builder.with_axes_of(builder.add_layer(kind, tensor, name, **params), tensor)
