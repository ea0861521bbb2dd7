"""One operator on its way to layers, and the table in which each operator has its entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from netloom.compile.importers.layer_graph.graph_builder import Drawing
from netloom.compile.importers.layer_graph.values import Array, Constant, Refusal, Tensor, Value

KINDS = {3: "1d", 4: "2d", 5: "3d"}
FAR = 2**31


@dataclass(frozen=True)
class Call:
    """One operator as it is drawn: what goes in, what it is called, and its attributes."""

    type: str
    name: str
    inputs: tuple[Value | None, ...]
    attributes: dict[str, Any]
    draw: Drawing
    opset: int
    wanted: tuple[bool, ...] = (True,)
    feeds: frozenset[str] = frozenset()

    def tensor(self, place: int = 0) -> Tensor:
        value = self.inputs[place] if place < len(self.inputs) else None
        if not isinstance(value, Tensor):
            raise Refusal(f"input {place + 1} must be computed from the inputs of the network")
        return value

    def constant(self, place: int) -> Constant | None:
        value = self.inputs[place] if place < len(self.inputs) else None
        if isinstance(value, Tensor):
            raise Refusal(f"input {place + 1} must be a constant in the file")
        return value

    def weight(self, place: int) -> Array | None:
        constant = self.constant(place)
        return None if constant is None else constant.array

    def needed(self, place: int) -> Array:
        array = self.weight(place)
        if array is None:
            raise Refusal(f"input {place + 1} is missing")
        return array

    def layer(self, kind: str, *inputs: Value | None, **attributes: Any) -> Sequence[Value | None]:
        """What another operator is drawn as, of which this one is made."""
        return OPERATORS[kind](Call(kind, self.name, inputs, attributes, self.draw, self.opset))

    def number(self, place: int) -> float | None:
        """A fixed number, or None where there is none."""
        value = self.inputs[place] if place < len(self.inputs) else None
        return value.scalar if isinstance(value, Constant) else None

    def get(self, name: str, default: Any) -> Any:
        value = self.attributes.get(name)
        return default if value is None else value

    def whole(self, place: int, attribute: str) -> list[int] | None:
        """Whole numbers that are an input in newer files and an attribute in older ones."""
        if attribute in self.attributes:
            value = self.attributes[attribute]
            return [value] if isinstance(value, int) else list(value)
        array = self.weight(place)
        return None if array is None else [int(value) for value in array.reshape(-1)]

    def axis(self, default: int = -1, rank: int | None = None) -> int:
        rank = self.tensor().rank if rank is None else rank
        return placed(int(self.get("axis", default)), rank)

    def base(self, place: int) -> str:
        """The name of the module whose weights these are, such as layer1.0.conv1."""
        value = self.inputs[place] if place < len(self.inputs) else None
        name = value.weight if isinstance(value, Constant) else ""
        if name.endswith((".weight", ".bias")) and not name.startswith("onnx::"):
            return name.rpartition(".")[0]
        parts = [part for part in self.name.split("/") if part]
        return ".".join(parts[:-1]) if len(parts) > 1 and self.name.startswith("/") else self.name


Drawer = Callable[[Call], Sequence[Value | None]]
OPERATORS: dict[str, Drawer] = {}


def operator(*names: str) -> Callable[[Drawer], Drawer]:
    def enter(drawer: Drawer) -> Drawer:
        OPERATORS.update(dict.fromkeys(names, drawer))
        return drawer

    return enter


def placed(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise Refusal(f"there is no axis {axis} among {rank}")
    return axis % rank


def elementwise(draw: Drawing, kind: str, tensor: Tensor, name: str, /, **params: Any) -> Tensor:
    return draw.like(draw.draw(kind, tensor, name, **params), tensor)
