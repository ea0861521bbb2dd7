"""The document while it is drawn: nodes with their weights, and how the file's axes lie in a layer's tensor.

In a document the batch is the first axis of every tensor; in a file it may be anywhere, also as one part of an axis
(batch times heads). So a tensor of the file is held as the tensor that a port gives, together with the axes of it that
each axis of the file is made of. Moving axes then costs nothing, until a layer needs them in order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from netloom.compile.importers.imported_model import UnreadableModelError
from netloom.compile.importers.onnx.array_views import stretch
from netloom.core.text import plain
from netloom.document import Edge, Node, is_identifier
from netloom.layers import TensorSpec
from netloom.layers.catalogue import parse
from netloom.validation.context import fits
from netloom.validation.measure import measure

# The length that stands for the batch while shapes are computed: a prime that no real axis has.
BATCH = 2**31 - 1
# Up to so many numbers are written into the document; more are kept as weights.
TYPED = 32
Array = np.ndarray[Any, Any]


class Refusal(ValueError):  # noqa: N818
    """An operator that cannot be drawn; the message says why."""


@dataclass(frozen=True)
class Constant:
    """Numbers that are known. `weight` is the name of the file's own tensor, where it is one that was not changed."""

    array: Array
    weight: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def filled(self) -> bool:
        """Whether any number is not 0; what is repeated for each example is looked at once."""
        return bool(np.any(self.array[tuple(slice(None) if step else slice(0, 1) for step in self.array.strides)]))

    @property
    def scalar(self) -> float | None:
        """The one number of which all of it is made."""
        if self.array.size == 0:
            return None
        if self.array.size > 1 and any(self.array.strides):
            return None
        return float(self.array.reshape(-1)[0] if self.array.size == 1 else self.array[(0,) * self.array.ndim])


@dataclass(frozen=True)
class Tensor:
    """What a port gives. `axes` says which of the port's axes each axis of the file is made of; 0 is the batch."""

    ref: str
    spec: TensorSpec
    axes: tuple[tuple[int, ...], ...]
    boolean: bool = False

    def length(self, axis: int) -> int:
        """The length of one axis of the file, in which the batch counts as BATCH."""
        return math.prod(self.size(inner) for inner in self.axes[axis])

    def size(self, inner: int) -> int:
        """The length of one axis of what the port gives."""
        return BATCH if inner == 0 else self.spec.size(inner)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.length(axis) for axis in range(len(self.axes)))

    @property
    def batch(self) -> int:
        """The axis of the file in which the batch is."""
        return next(place for place, group in enumerate(self.axes) if 0 in group)

    @property
    def rank(self) -> int:
        return len(self.axes)


Value = Constant | Tensor


@dataclass
class Drawing:
    """Nodes, edges and weights, and what has to be said about them."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    specs: dict[str, TensorSpec] = field(default_factory=dict)
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    weights: dict[str, dict[str, Array]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    shared: dict[tuple[str, str], str] = field(default_factory=dict)
    products: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)  # by the port that gives each
    tables: dict[str, Array] = field(default_factory=dict)  # the file's own tensors that are learned, whole
    shown: dict[tuple[object, ...], Tensor] = field(default_factory=dict)  # masks as attention takes them

    def remark(self, text: str) -> None:
        """Say something once."""
        if text not in self.remarks:
            self.remarks.append(text)

    def needed(self) -> set[str]:
        """The nodes that an output reads, directly or not, those whose weights these use, and all inputs.

        Raises:
            UnreadableModelError: no output depends on an input.
        """
        found = {key for key, node in self.nodes.items() if node.type == "Input"}
        waiting = [key for key, node in self.nodes.items() if node.type == "Output"]
        if not waiting:
            raise UnreadableModelError(
                "None of the network's outputs depends on its inputs, so there is nothing to import."
            )
        while waiting:
            key = waiting.pop()
            if key not in found:
                found.add(key)
                waiting += [ref.partition(".")[0] for ref in self.sources[key].values()]
                shares = self.nodes[key].shares
                waiting += [shares] if shares else []
        return found

    def prune(self) -> None:
        """Take away the nodes on which no output depends."""
        reached = self.needed()
        for key in [key for key in self.nodes if key not in reached]:
            del self.nodes[key]
            self.weights.pop(key, None)
        self.edges[:] = [edge for edge in self.edges if edge.target_node in reached]

    def rename(self, key: str, name: str) -> None:
        """Call a node with one output otherwise; it stays in its place."""
        new = self._identifier(name, self.nodes[key].type)
        title = "" if name == new else plain(name)[:200]
        renamed = self.nodes[key].model_copy(update={"id": new, "title": title})
        self.nodes = {new if old == key else old: renamed if old == key else node for old, node in self.nodes.items()}
        sharing = {old: node for old, node in self.nodes.items() if node.shares == key}
        self.nodes |= {old: node.model_copy(update={"shares": new}) for old, node in sharing.items()}
        if key in self.weights:
            self.weights[new] = self.weights.pop(key)
        self.specs[new] = self.specs.pop(key)
        self.sources[new] = self.sources.pop(key)
        for index, edge in enumerate(self.edges):
            source = new if edge.source == key else edge.source
            target = f"{new}.{edge.target_port}" if edge.target_node == key else edge.target
            self.edges[index] = Edge(source=source, target=target)
        for ports in self.sources.values():
            ports.update({port: new for port, ref in ports.items() if ref == key})

    def node(
        self,
        kind: str,
        inputs: Mapping[str, Tensor] | Tensor | None = None,
        name: str = "",
        /,
        *,
        weights: Mapping[str, Array] | None = None,
        weight: str = "",
        frozen: bool = False,
        **params: Any,
    ) -> str:
        """Draw one layer; returns its id. `weight` is the name of its main weights in the file.

        Raises:
            Refusal: the layer does not take what comes in.
        """
        given = {"in": inputs} if isinstance(inputs, Tensor) else dict(inputs or {})
        key = self._identifier(name or kind, kind)
        main = f"{weight} {(weights or {})['weight'].shape}" if weight and weights else ""
        shares = self.shared.get((kind, main)) if main else None
        params = {field: list(value) if isinstance(value, tuple) else value for field, value in params.items()}
        title = "" if name.startswith("node_") or name == key else plain(name)[:200]
        node = Node(id=key, type=kind, params=params, title=title, frozen=frozen, shares=shares)
        try:
            layer = parse(node)
        except ValueError as error:
            raise Refusal(str(error)) from None
        if kind == "Input":
            self.specs[key] = layer.spec()  # type: ignore[attr-defined]
        elif kind != "Output":
            for port in layer.inputs():
                if not fits(given[port.name].spec, port.kinds):
                    raise Refusal(f"the layer {kind} does not accept {given[port.name].spec}")
            found = measure(layer, tuple((port.name, given[port.name].spec) for port in layer.inputs()))
            if found.refusal:
                raise Refusal(found.refusal)
            for place, spec in found.outputs.items():
                self.specs[key if place == "out" else f"{key}.{place}"] = spec
            for item, shape in found.weights:
                part = str(item)
                if weights is None or part not in weights or weights[part].shape != shape:
                    raise Refusal(f"its {part} should be of the shape {shape}")
        self.nodes[key] = node
        self.sources[key] = {port: tensor.ref for port, tensor in given.items()}
        self.edges += [Edge(source=tensor.ref, target=f"{key}.{port}") for port, tensor in given.items()]
        if weights:
            self.weights[key] = dict(weights)
        if main and not shares:
            self.shared[kind, main] = key
        return key

    def draw(self, kind: str, inputs: Mapping[str, Tensor] | Tensor, name: str = "", /, **params: Any) -> Tensor:
        """Draw a layer with one output; its axes are those of what the layer gives, one by one."""
        return self.output(self.node(kind, inputs, name, **params))

    def output(self, key: str, port: str = "out") -> Tensor:
        """What a port of a node gives, axis by axis."""
        ref = key if port == "out" else f"{key}.{port}"
        spec = self.specs[ref]
        return Tensor(ref, spec, tuple((axis,) for axis in range(len(spec.shape))))

    def ports(self, key: str) -> list[str]:
        """What a node's outputs are called, in the order of the layer."""
        return [port.name for port in parse(self.nodes[key]).outputs()]

    def like(self, result: Tensor, old: Tensor, boolean: bool = False) -> Tensor:
        """A result of the same shape with the axes of what went in."""
        return Tensor(result.ref, result.spec, old.axes, boolean)

    # How axes are put in order.

    def arranged(self, tensor: Tensor, order: Sequence[int | None]) -> Tensor:
        """The port's axes after the batch in another order; None stands for a new axis of length 1."""
        taken = [axis for axis in order if axis is not None]
        if sorted(taken) != list(range(1, len(tensor.spec.shape))):
            raise Refusal("its axes cannot be distinguished")
        found = self.permuted(tensor, taken)
        missing = [place for place, axis in enumerate(order, 1) if axis is None]
        if len(missing) == 1:
            return self.draw("Unsqueeze", found, "unsqueeze", axis=missing[0])
        if missing:
            return self.reshaped(found, [1 if axis is None else tensor.size(axis) for axis in order])
        return Tensor(found.ref, found.spec, tuple((axis,) for axis in range(len(found.spec.shape))))

    def permuted(self, tensor: Tensor, order: list[int]) -> Tensor:
        if order == sorted(order):
            return tensor
        moved = [place for place, axis in enumerate(order, 1) if axis != place]
        real = [axis for axis in order if tensor.size(axis) > 1]
        if real == sorted(real):  # only axes of length 1 change their places
            return self.reshaped(tensor, [tensor.size(axis) for axis in order])
        if len(moved) == 2:
            return self.draw("Transpose", tensor, "transpose", axis=moved[0], other=moved[1])
        return self.draw("Permute", tensor, "permute", order=order)

    def reshaped(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """The port's numbers in another shape (without the batch)."""
        shape = list(shape)
        source = tensor.ref
        while self.nodes[source.partition(".")[0]].type in ("Reshape", "Flatten", "Unsqueeze", "Squeeze"):
            source = self.sources[source]["in"]  # one reshape after another is one
        spec = self.specs[source]
        whole = Tensor(source, spec, tuple((axis,) for axis in range(len(spec.shape))))
        if list(spec.shape[1:]) == shape:
            return whole
        if not shape:
            if math.prod(spec.size(axis) for axis in range(1, len(spec.shape))) != 1 or len(spec.shape) != 2:
                raise Refusal("it would remove all axes except the batch axis")
            return self.draw("Squeeze", whole, "squeeze", axis=1)
        if len(shape) == 1:
            return self.draw("Flatten", whole, "flatten")
        return self.draw("Reshape", whole, "reshape", shape=shape)

    def straight(self, tensor: Tensor) -> Tensor:
        """The tensor with each axis of the file as one axis of the port, in order, the batch first.

        Raises:
            Refusal: the batch is not the first axis of the file's tensor, or not alone there.
        """
        if not tensor.axes or tensor.axes[0] != (0,):
            raise Refusal("the batch axis must be the first axis")
        found = self.permuted(tensor, [axis for group in tensor.axes[1:] for axis in group])
        return self.reshaped(found, [tensor.length(axis) for axis in range(1, tensor.rank)])

    def last(self, tensor: Tensor, amount: int = 1) -> Tensor:
        """The tensor with its last axes of the file as the last axes of the port, one by one.

        Raises:
            Refusal: the batch is among them.
        """
        groups = tensor.axes[-amount:]
        if any(0 in group for group in groups) or amount > tensor.rank:
            raise Refusal("it would mix the examples of a batch")
        ends = [axis for group in groups for axis in group]
        front = [axis for axis in range(1, len(tensor.spec.shape)) if axis not in ends]
        found = self.permuted(tensor, [*front, *ends])
        places = {old: new for new, old in enumerate([0, *front, *ends])}
        axes = [tuple(places[axis] for axis in group) for group in tensor.axes]
        if any(len(group) != 1 for group in groups):
            lengths = [tensor.length(tensor.rank - amount + place) for place in range(amount)]
            found = self.reshaped(found, [*(tensor.size(axis) for axis in front), *lengths])
            axes[-amount:] = [(len(front) + 1 + place,) for place in range(amount)]
        return Tensor(found.ref, found.spec, tuple(axes), tensor.boolean)

    def single(self, tensor: Tensor, axis: int) -> int:
        """The port's axis that one axis of the file is.

        Raises:
            Refusal: it is the batch, or made of several.
        """
        group = tensor.axes[axis]
        if 0 in group:
            raise Refusal("it would mix the examples of a batch")
        if len(group) != 1:
            raise Refusal("it uses an axis that combines several axes")
        return group[0]

    def constant(self, value: Constant, like: Tensor, name: str = "", *, whole: bool = False) -> Tensor:
        """Numbers as a node, with axes that fit those of `like`."""
        shape = (*(1,) * (like.rank - len(value.shape)), *value.shape)
        batch = like.batch + len(shape) - like.rank
        kept: list[int] = []
        axes: list[tuple[int, ...]] = []
        one = tuple(slice(0, 1) if size % BATCH == 0 else slice(None) for size in shape)
        numbers = value.array[(None,) * (len(shape) - value.array.ndim)][one]  # a view, however often it is repeated
        for place, size in enumerate(shape):
            rest = size // BATCH if size % BATCH == 0 and size else size
            if place == batch:
                head = next((number for number, inner in enumerate(like.axes[like.batch]) if inner == 0), 0)
                others = [like.size(inner) for inner in like.axes[like.batch] if inner != 0]
                if rest == 1:
                    axes.append((0,))
                elif rest == math.prod(others) and head == 0 and len(others) == 1:
                    kept.append(rest)
                    axes.append((0, len(kept)))
                else:
                    raise Refusal("its constants differ between the examples of a batch")
            elif size == 1:
                axes.append(())
            else:
                kept.append(size)
                axes.append((len(kept),))
        sizes = kept or [1]
        if not kept:
            spare = next((number for number in range(len(shape)) if number != batch), None)
            if spare is not None:
                axes[spare] = (1,)
        if math.prod(sizes) > 2**27:
            raise Refusal("its constants are too large")
        data = np.ascontiguousarray(numbers).reshape(sizes)
        if value.array.dtype == bool:
            data = data.astype(np.float32)
        learned = bool(value.weight) and data.dtype == np.float32 and data.size > 1
        flat = data.astype(np.float64).reshape(-1)
        same = bool(np.all(flat == flat[0]))
        short = same or data.size <= TYPED
        if not learned and short and np.isfinite(flat).all() and (whole or float(np.abs(flat).max(initial=0)) < 1e30):
            typed = [_typed(number) for number in (flat[:1] if same else flat)]
            made = self.draw("Constant", _anything(like), name or "constant", values=", ".join(typed), shape=sizes)
        elif (cut := stretch(self.tables.get(value.weight, data), numbers)) is not None:
            made = self._stretch(value.weight, cut, like, name, sizes)
        else:
            made = self._learned(data, like, name, frozen=not learned, weight=value.weight)
        if whole:
            made = self.draw("Cast", made, "cast", to="int")
        return Tensor(made.ref, made.spec, tuple(axes), value.array.dtype == bool)

    def _learned(self, data: Array, like: Tensor, name: str, *, frozen: bool, weight: str) -> Tensor:
        weights = {"weight": data.astype(np.float32, copy=False)}
        params: dict[str, Any] = {"shape": list(data.shape), "start": "zeros"}
        given = _anything(like)
        return self.draw("Learned", given, name or "constant", weights=weights, frozen=frozen, weight=weight, **params)

    def _stretch(self, weight: str, cut: list[tuple[int, int]], like: Tensor, name: str, sizes: list[int]) -> Tensor:
        """The whole of a table of the file, such as that of all positions, and behind it what is used of it."""
        base = self.tables[weight]
        parts = [(size, *one) for size, one in zip(base.shape, cut, strict=True) if size > 1]
        made = self._learned(base.reshape([size for size, _, _ in parts]), like, name, frozen=False, weight=weight)
        for axis, (size, start, length) in enumerate(parts, 1):
            if length < size:
                ends = ({"start": start} if start else {}) | ({"end": start + length} if start + length < size else {})
                made = self.draw("Slice", made, f"{name or 'constant'}.slice", axis=axis, **ends)
        return made if list(made.spec.shape[1:]) == sizes else self.reshaped(made, sizes)

    def aligned(self, values: Sequence[Value]) -> tuple[list[Tensor], tuple[tuple[int, ...], ...]]:
        """Several tensors with their axes side by side, ready for a layer, and the axes of what comes out.

        Raises:
            Refusal: the batch is not in the same place of all of them.
        """
        first = max((value for value in values if isinstance(value, Tensor)), key=lambda value: value.rank)
        rank = max(first.rank, *(len(value.shape) for value in values))
        first = padded(first, rank)
        whole = all(value.spec.dtype == "int" for value in values if isinstance(value, Tensor) and not value.boolean)
        found = [
            padded(value, rank) if isinstance(value, Tensor) else self._beside(value, first, rank, whole)
            for value in values
        ]
        if len({tensor.batch for tensor in found}) > 1:
            raise Refusal("the batch axis differs between its inputs")
        if len({(tensor.axes, len(tensor.spec.shape)) for tensor in found}) == 1:
            return found, found[0].axes
        # Each part of an axis of the file: the batch, or a place in the group.
        parts: list[tuple[int, int]] = []
        for axis in range(rank):
            width = max((sum(inner != 0 for inner in tensor.axes[axis]) for tensor in found), default=0)
            parts += [(axis, place) for place in range(width)]
        lead = next((tensor for tensor in found if all(_part(tensor, part) is not None for part in parts)), None)
        if lead is not None:
            parts.sort(key=lambda part: _part(lead, part) or 0)
        numbers = {part: number for number, part in enumerate(parts, 1)}
        axes: list[tuple[int, ...]] = []
        for axis in range(rank):
            inner = [numbers[part] for part in sorted(parts) if part[0] == axis]
            if axis == found[0].batch:
                front = {tensor.axes[axis].index(0) for tensor in found if len(tensor.axes[axis]) == len(inner) + 1}
                if len(front) > 1:
                    raise Refusal("the batch axis is merged with another axis in different ways")
                inner.insert(front.pop() if front else 0, 0)
            axes.append(tuple(inner))
        return [self.arranged(tensor, [_part(tensor, part) for part in parts]) for tensor in found], tuple(axes)

    def _beside(self, value: Constant, first: Tensor, rank: int, whole: bool) -> Tensor:
        made = self.constant(value, first, value.weight, whole=whole and value.array.dtype == np.int64)
        return padded(made, rank)

    def _identifier(self, name: str, kind: str) -> str:
        text = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name.removeprefix("node_"))
        text = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:48].strip("_")
        if not text or not text[0].isalpha():
            text = f"{kind.lower()}_{text}".rstrip("_")
        for number in count(1):
            found = text if number == 1 and kind not in ("Input", "Output") else f"{text}_{number}"
            if found not in self.nodes and is_identifier(found):
                return found
        raise AssertionError("there is always a number left")


def padded(tensor: Tensor, rank: int) -> Tensor:
    """The tensor with further axes of length 1 in front."""
    axes = ((),) * (rank - tensor.rank) + tensor.axes
    return Tensor(tensor.ref, tensor.spec, axes, tensor.boolean)


def _part(tensor: Tensor, part: tuple[int, int]) -> int | None:
    inner = [axis for axis in tensor.axes[part[0]] if axis != 0]
    return inner[part[1]] if part[1] < len(inner) else None


def _anything(like: Tensor) -> Tensor:
    return Tensor(like.ref, like.spec, tuple((axis,) for axis in range(len(like.spec.shape))))


def _typed(number: float) -> str:
    return repr(int(number)) if float(number).is_integer() and abs(number) < 1e15 else repr(float(np.float32(number)))
