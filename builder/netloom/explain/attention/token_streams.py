"""The sequences that attention looks from and at: whose steps they are, and what becomes of the answer without each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.compile import input_nodes
from netloom.explain.core.axes import Axes, axes_of
from netloom.explain.core.explanation import Stream
from netloom.explain.core.requirements import every_node
from netloom.modalities.encoding.text_fields import TokenEncoder

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.context import Subject

# Ports of what is looked at; all others lead to what looks.
MEMORY = ("memory", "k", "v")


@dataclass
class Streams:
    """All sequences of a network, and for each attention layer, by path, the places of what looks and is looked at.

    `crossing` are layers that look from one sequence into another although both are known by the same field, or by
    none, so that their steps cannot be told apart.
    """

    found: list[Stream] = field(default_factory=list)
    sides: dict[str, tuple[int, int]] = field(default_factory=dict)
    crossing: list[str] = field(default_factory=list)

    def place(self, stream: Stream) -> int:
        if stream not in self.found:
            self.found.append(stream)
        return self.found.index(stream)

    def starts(self) -> list[int]:
        """Where each begins, and all end, when they stand side by side."""
        return [0, *np.cumsum([len(stream.tokens) for stream in self.found]).tolist()]


def streams(subject: Subject, weights: Mapping[str, torch.Tensor]) -> Streams:
    """The sequences behind maps (1, heads, T, S) by the path of their layer."""
    known = Streams()
    for path, values in weights.items():
        name = path.partition(" ")[0]
        module, key = subject.model.get_submodule(name), name.partition(".")[0]
        looking, looked_at = values.shape[-2:]
        within = bool(getattr(module, "within", True)) and looking == looked_at
        if type(module).__name__ == "AttentionPooling":
            sees = known.place(_stream(subject, _matching(subject, key, looked_at), looked_at))
            known.sides[path] = known.place(Stream("", ("the summary",) * looking)), sees
        elif within:
            own = _picture(subject, module, looking) or _stream(subject, _matching(subject, key, looking), looking)
            known.sides[path] = (known.place(own),) * 2
        else:
            memory = _fields(subject, key, MEMORY)
            columns = [name for name in memory or _fields(subject, key) if _length(subject, name) == looked_at]
            rows = _matching(subject, key, looking)
            rows = [name for name in rows if name not in memory] if len(rows) > 1 and memory else rows
            sides = _stream(subject, rows, looking), _stream(subject, columns, looked_at)
            known.sides[path] = known.place(sides[0]), known.place(sides[1])
            if sides[0].field == sides[1].field or not sides[1].field:
                known.crossing.append(path)
    return known


def _matching(subject: Subject, key: str, count: int) -> list[str]:
    return [name for name in _fields(subject, key) if _length(subject, name) == count]


def _fields(subject: Subject, key: str, ports: tuple[str, ...] = ()) -> list[str]:
    """The fields that lead to a node, or to some of its ports."""
    import networkx as nx

    from netloom.validation.graph_views import digraph

    network = subject.project.main_network
    graph = digraph(network)
    edges = [edge for edge in network.edges if edge.target_node == key and (not ports or edge.target_port in ports)]
    sources = {edge.source_node for edge in edges}
    above = sources.union(*(nx.ancestors(graph, source) for source in sources))
    names = [str(network.nodes[node].params.get("field")) for node in input_nodes(subject.project) if node in above]
    return [name for name in dict.fromkeys(names) if name in subject.specs]


def _length(subject: Subject, name: str) -> int:
    spec = subject.specs[name]
    return spec.shape[0] if (spec.is_tokens or spec.is_sequence) else 0


def _stream(subject: Subject, fields: list[str], count: int) -> Stream:
    """The steps of a field, where one alone has as many; else numbers, counted as along a series."""
    if len(fields) != 1:
        return _patches(subject, count) or Stream("", Axes().steps(count))
    (name,) = fields
    field = subject.data.field(name)
    if isinstance(field, TokenEncoder):
        return Stream(name, tuple(field.vocabulary[int(token)] for token in subject.inputs[name][0]))
    return Stream(name, axes_of(subject.data).get(name, Axes()).steps(count))


def _patches(subject: Subject, count: int) -> Stream | None:
    """The squares into which a picture was cut, where there is one picture and one way to cut it."""
    pictures = [name for name, spec in subject.specs.items() if spec.is_image]
    cuts = [node for node in every_node(subject.project) if node.type == "PatchEmbedding"]
    if len(subject.specs) != 1 or not pictures or len(cuts) != 1:
        return None
    patch = cuts[0].params.get("patch", 4)
    if not isinstance(patch, int):
        return None
    down, across = (side // patch for side in subject.specs[pictures[0]].shape[1:])
    return _grid(pictures[0], down, across, count - down * across)


def _picture(subject: Subject, module: torch.nn.Module, count: int) -> Stream | None:
    """The places at which window attention stands, where they divide the picture evenly."""
    pictures = [name for name, spec in subject.specs.items() if spec.is_image]
    if type(module).__name__ != "WindowAttention" or len(pictures) != 1 or len(subject.specs) != 1:
        return None
    height, width = subject.specs[pictures[0]].shape[1:]
    shrunk = round((height * width / count) ** 0.5)
    if height % shrunk or width % shrunk or height * width != count * shrunk**2:
        return None
    return _grid(pictures[0], height // shrunk, width // shrunk, 0)


def _grid(name: str, down: int, across: int, special: int) -> Stream | None:
    """Steps that are the places of a grid, known by their row and column, behind at most a few others."""
    if not 0 <= special <= 4:
        return None
    first = ("⟨class⟩",) if special == 1 else tuple(f"⟨{place + 1}⟩" for place in range(special))
    places = tuple(f"{row + 1}·{column + 1}" for row in range(down) for column in range(across))
    return Stream(name, (*first, *places), (down, across), special)


def spread(subject: Subject, stream: Stream, steps: np.ndarray) -> np.ndarray:
    """What is said of each step (T,), in the shape of the field: divided evenly among the values that are in it."""
    shape = subject.specs[stream.field].shape
    if stream.grid:
        down, across = stream.grid
        sides = shape[1] // down, shape[2] // across
        whole = steps[stream.special :].reshape(down, across).repeat(sides[0], axis=0).repeat(sides[1], axis=1)
        return np.broadcast_to(whole / (shape[0] * sides[0] * sides[1]), shape).copy()
    return steps if len(shape) == 1 else np.repeat(steps[:, None] / shape[1], shape[1], axis=1)


def without(subject: Subject, known: Streams) -> list[Stream]:
    """The sequences with what becomes of F without each of their steps, F(x) − F(x without it)."""
    return [replace(stream, effects=_effects(subject, stream)) if stream.field else stream for stream in known.found]


def _effects(subject: Subject, stream: Stream) -> tuple[float | None, ...]:
    import torch

    value, baseline = subject.inputs[stream.field], subject.baseline[stream.field]
    parts = _parts(subject, stream)
    numbers = np.unique(parts[parts >= 0])
    if not len(numbers):
        return ()
    masks = torch.from_numpy(np.stack([parts == number for number in numbers]))
    rows = torch.where(masks, baseline, value)
    inputs = {name: other.expand(len(rows), *other.shape[1:]) for name, other in subject.inputs.items()}
    subject.expect(len(rows) + 1)
    answers = subject.score({**inputs, stream.field: rows})
    lost = (subject.score(subject.inputs) - answers).double().tolist()
    known = dict(zip(numbers.tolist(), lost, strict=True))
    return tuple(known.get(step) for step in range(len(stream.tokens)))


def _parts(subject: Subject, stream: Stream) -> np.ndarray:
    """Which step each value of the field belongs to, in the field's shape; -1 for padding."""
    shape = subject.specs[stream.field].shape
    if stream.grid:
        down, across = stream.grid
        numbers = np.arange(down * across).reshape(down, across) + stream.special
        whole = numbers.repeat(shape[1] // down, axis=0).repeat(shape[2] // across, axis=1)
        return np.broadcast_to(whole, shape)
    steps = np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    return np.where(subject.units(stream.field) >= 0, steps, -1)
