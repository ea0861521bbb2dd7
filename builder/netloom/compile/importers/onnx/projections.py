"""Attention between linear layers as one layer with weights of its own, drawn in the place of the last of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.compile.importers.imported_model import UNTIED
from netloom.compile.importers.onnx.attention import known
from netloom.compile.importers.onnx.graph_builder import Array, Drawing
from netloom.document import Edge, Node

_LETTERS = "abcdefghijklmnop"
# Layers that put the same numbers elsewhere.
_MOVES = frozenset(
    "Reshape Flatten Unsqueeze Squeeze Permute Transpose Select Slice Chunk Split IndexSelect Repeat Expand".split()
)


@dataclass(frozen=True)
class Projection:
    """Rows of a linear layer's weights, one for each feature of what attention gets, times a number."""

    linear: str
    rows: Array
    factor: float = 1.0


@dataclass(frozen=True)
class Whole:
    """An attention with the linear layers around it, whose inputs are `source`, and `memory` if that is another."""

    key: str
    out: str
    parts: tuple[Projection, ...]
    source: str
    memory: str
    biased: bool

    @property
    def linears(self) -> tuple[str, ...]:
        return (*(part.linear for part in self.parts), self.out)


def gather(draw: Drawing, untie: bool = False) -> dict[str, str]:
    """Each attention between linear layers becomes one layer, which keeps the id of the last of them.

    Nodes that lead nowhere have to be gone before. With `untie`, linear layers may stop sharing weights with layers
    elsewhere. Returns for each attention what its linear layers are called together.
    """
    wholes = [_whole(draw, key) for key, node in draw.nodes.items() if node.type == "DotProductAttention"]
    found = [whole for whole in wholes if whole is not None]
    names = {whole.out: _together([draw.nodes[name].title or name for name in whole.linears]) for whole in found}
    alike: dict[tuple[object, ...], list[Whole]] = {}
    for whole in found:
        alike.setdefault(_weighed(draw, whole), []).append(whole)
    made: dict[str, str] = {}
    for group in alike.values():
        if not _apart(draw, group):
            if not untie:
                continue
            draw.remark(UNTIED)
        for place, whole in enumerate(group):
            if _put(draw, whole, group[0].out if place else None):
                made[whole.out] = names[whole.out]
    return made


def _home(draw: Drawing, linear: str) -> str:
    """The layer whose weights a linear layer uses."""
    return draw.nodes[linear].shares or linear


def _weighed(draw: Drawing, whole: Whole) -> tuple[object, ...]:
    """What is equal for attentions that share all their weights, and for them alone."""
    rows = [(_home(draw, part.linear), part.rows.tobytes(), part.factor) for part in whole.parts]
    node = draw.nodes[whole.key]
    own = _home(draw, whole.out)
    return (*rows, own, repr(sorted(node.params.items())), whole.memory == whole.source)


def _apart(draw: Drawing, group: list[Whole]) -> bool:
    """Whether nothing but these attentions uses the weights of their linear layers."""
    inside = {linear for whole in group for linear in whole.linears}
    homes = {_home(draw, linear) for linear in inside}
    return all(key in inside for key, node in draw.nodes.items() if key in homes or node.shares in homes)


def _whole(draw: Drawing, key: str) -> Whole | None:
    """The linear layers around an attention; None where there is anything else, or they are used elsewhere too."""
    ports = draw.sources[key]
    parts = [_projection(draw, ports[port]) for port in "qkv"]
    found = tuple(part for part in parts if part is not None)
    readers = [edge.target_node for edge in draw.edges if edge.source_node == key]
    if len(found) != 3 or len(readers) != 1 or draw.nodes[readers[0]].type != "Linear":
        return None
    out, linears = readers[0], {part.linear for part in found}
    biased = any("bias" in draw.weights[linear] for linear in {*linears, out})
    source, *others = (draw.sources[part.linear]["in"] for part in found)
    if len(set(others)) != 1 or not all(_only(draw, linear, key) for linear in linears):
        return None
    return Whole(key, out, found, source, others[0], biased)


def _put(draw: Drawing, whole: Whole, shares: str | None) -> bool:
    """Draw the layer in the place of the last linear layer, with weights of another; whether there is one for it."""
    node = draw.nodes[whole.key]
    heads = int(node.params.get("heads", 1))  # type: ignore[arg-type]
    dim, wide = draw.specs[whole.source], draw.specs[whole.key].size(2)
    shared = [_shared(part.rows, heads) for part in whole.parts]
    if (
        len(dim.shape) != 3
        or draw.specs[whole.out].shape[1:] != dim.shape[1:]
        or shared[0] != heads
        or shared[1] is None
        or shared[1] != shared[2]
        or len({len(part.rows) for part in whole.parts}) != 1
    ):
        return False
    cross, causal, masked = (
        whole.memory != whole.source,
        bool(node.params.get("causal")),
        "mask" in draw.sources[whole.key],
    )
    if cross and (causal or len(draw.specs[whole.memory].shape) != 3):
        return False
    params: dict[str, Any] = {"heads": heads} | ({"causal": True} if causal else {})
    params |= {"kv_heads": shared[1]} if shared[1] != heads else {}
    params |= {"head_width": wide // heads} if wide != dim.size(2) else {}
    params |= {"bias": False} if not whole.biased else {}
    params |= {"masked": True} if masked else {}
    plain = set(params) <= {"heads", "causal"}
    kind = "CrossAttention" if cross else "MultiHeadAttention" if plain else "SelfAttention"
    params |= {"dropout": node.params["dropout"]} if node.params.get("dropout") else {}
    inputs = {"in": whole.source} | ({"memory": whole.memory} if cross else {})
    inputs |= {"mask": draw.sources[whole.key]["mask"]} if masked else {}
    weights = _weights(draw, whole, heads, shared[1])
    out = whole.out
    draw.nodes[out] = Node(id=out, type=kind, params=params, title=draw.nodes[out].title, shares=shares)
    draw.weights[out] = weights
    draw.edges[:] = [edge for edge in draw.edges if edge.target_node != out]
    draw.edges += [Edge(source=ref, target=f"{out}.{port}") for port, ref in inputs.items()]
    draw.sources[out] = inputs
    for linear in whole.linears:
        _rehome(draw, linear)
    return True


def _rehome(draw: Drawing, linear: str) -> None:
    """The first of those that use the weights of a layer that is gone has them from now on."""
    first, *others = [key for key, node in draw.nodes.items() if node.shares == linear] or [""]
    for key in filter(None, [first, *others]):
        draw.nodes[key] = draw.nodes[key].model_copy(update={"shares": None if key == first else first})


def _weights(draw: Drawing, whole: Whole, heads: int, shared: int) -> dict[str, Array]:
    """The layer's weights: of heads that several queries share, those of the first of each group."""
    made: dict[str, Array] = {}
    for name, part in zip("qkv", whole.parts, strict=True):
        rows = part.rows
        if name != "q" and shared != heads:
            rows = rows.reshape(shared, heads // shared, -1)[:, 0].reshape(-1)
        for leaf, array in _filled(draw, part.linear, whole.biased).items():
            made[f"{name}.{leaf}"] = np.ascontiguousarray(array[rows] * array.dtype.type(part.factor))
    return made | {f"out.{leaf}": array for leaf, array in _filled(draw, whole.out, whole.biased).items()}


def _filled(draw: Drawing, linear: str, biased: bool) -> dict[str, Array]:
    """The weights of a linear layer; files leave out a bias of zeros."""
    found = draw.weights[linear]
    zeros = {"bias": np.zeros(len(found["weight"]), found["weight"].dtype)} if biased else {}
    return zeros | found


def _shared(rows: Array, heads: int) -> int | None:
    """How many heads there are of which each has rows of its own; None where they do not stand in equal groups."""
    if len(rows) % heads:
        return None
    each = rows.reshape(heads, -1)
    first, count = np.unique(each[:, 0], return_counts=True)
    groups = len(first)
    if heads % groups or len(set(count)) != 1:
        return None
    apart = each.reshape(groups, heads // groups, -1)
    alone = len(np.unique(apart[:, 0])) == groups * each.shape[1]
    return groups if alone and (apart == apart[:, :1]).all() else None


def _projection(draw: Drawing, ref: str) -> Projection | None:
    """The rows of a linear layer that a port gives, through what only moves its answer."""
    found = _moved(draw, ref)
    if found is None:
        return None
    linear, places, factor = found
    width = draw.specs[linear].size(2)
    steps = np.arange(len(places)).reshape(-1, 1) * width
    rows = places[0] if places.ndim == 2 else np.zeros(0, np.int64)
    if len(places) != draw.specs[linear].size(1) or not np.array_equal(places, steps + rows):
        return None  # the steps do not stay where they are
    return Projection(linear, rows, factor)


def _moved(draw: Drawing, ref: str) -> tuple[str, Array, float] | None:
    """A linear layer, where in its answer each number of a port comes from, and the number that it is multiplied by."""
    key, _, port = ref.partition(".")
    node = draw.nodes[key]
    sizes = [draw.specs[ref].size(axis) for axis in range(1, len(draw.specs[ref].shape))]
    if node.type == "Linear":
        if len(sizes) != 2:
            return None
        return key, np.arange(math.prod(sizes)).reshape(sizes), 1.0
    ports = draw.sources[key]
    if node.type == "Multiply" and len(ports) == 2:
        for one, other in (("a", "b"), ("b", "a")):
            numbers = known(draw, ports[other])
            inside = _moved(draw, ports[one]) if numbers is not None and (numbers == 1).all() else None
            if inside is not None:
                return inside[0], np.broadcast_to(inside[1], sizes), inside[2]
        return None
    if node.type == "ScaleShift" and not node.params.get("shift"):
        inside = _moved(draw, ports["in"])
        scale = node.params.get("scale", 1.0)
        return (*inside[:2], inside[2] * float(scale)) if inside and isinstance(scale, int | float) else None
    if node.type not in _MOVES:
        return None
    inside = _moved(draw, ports["in"])
    if inside is None:
        return None
    places = _step(node, inside[1], port, sizes)
    return None if list(places.shape) != sizes else (inside[0], places, inside[2])


def _step(node: Node, places: Array, port: str, sizes: list[int]) -> Array:
    """Numbers after one layer that only moves them."""
    params: Mapping[str, Any] = node.params
    axis = _inner(params.get("axis", 1))
    found: Array
    if node.type in ("Reshape", "Flatten", "Unsqueeze", "Squeeze"):
        found = places.reshape(sizes)
    elif node.type == "Permute":
        found = places.transpose([_inner(part) for part in params["order"]])
    elif node.type == "Transpose":
        found = places.swapaxes(axis, _inner(params.get("other", 2)))
    elif node.type == "Expand":
        found = np.broadcast_to(places, sizes)
    elif node.type == "Repeat" and params.get("each"):
        found = np.repeat(places, params.get("times", 2), axis)
    elif node.type == "Repeat":
        found = np.concatenate([places] * params.get("times", 2), axis)
    else:
        found = np.take(places, _chosen(node, places.shape[axis], port), axis)
    return found


def _inner(axis: int) -> int:
    """An axis of a tensor as one of an example's numbers, which have no batch in front."""
    return axis - 1 if axis > 0 else axis


def _chosen(node: Node, length: int, port: str) -> int | list[int]:
    """What a layer takes of an axis, by place."""
    params: Mapping[str, Any] = node.params
    if node.type == "Select":
        return int(params.get("index", 0))
    if node.type == "IndexSelect":
        return list(params["indices"])
    if node.type == "Slice":
        return list(range(length)[params.get("start", 0) : params.get("end") : params.get("step", 1)])
    number = _LETTERS.index(port)
    if node.type == "Chunk":
        each = -(-length // int(params.get("count", 2)))
        return list(range(length)[number * each : (number + 1) * each])
    ends = [0, *np.cumsum(params["sizes"]).tolist()]
    return list(range(ends[number], ends[number + 1]))


def _only(draw: Drawing, linear: str, attention: str) -> bool:
    """Whether all that a linear layer gives goes into one attention, through what moves it alone."""
    for edge in draw.edges:
        if edge.source_node == linear and edge.target_node != attention:
            moves = draw.nodes[edge.target_node].type in {*_MOVES, "ScaleShift", "Multiply"}
            if not (moves and _only(draw, edge.target_node, attention)):
                return False
    return True


def _together(titles: list[str]) -> str:
    """What modules such as h.0.attn.query and h.0.attn.value are called together; nothing where they have no names."""
    paths = [title.removesuffix(".weight").strip("/").replace("/", ".").split(".") for title in titles if title]
    if len(paths) != len(titles) or not paths:
        return ""
    common: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    if common and common[-1].isdigit():
        common.append("attention")
    return ".".join(common)
