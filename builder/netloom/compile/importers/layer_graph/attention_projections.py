"""Attention between linear layers as one layer with weights of its own, drawn in the place of the last of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.compile.importers.imported_model import UNTIED
from netloom.compile.importers.layer_graph.attention import known
from netloom.compile.importers.layer_graph.graph_builder import Drawing
from netloom.compile.importers.layer_graph.values import Array
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
    matches = [_whole(draw, key) for key, node in draw.nodes.items() if node.type == "DotProductAttention"]
    blocks = [whole for whole in matches if whole is not None]
    names = {whole.out: _together([draw.nodes[name].title or name for name in whole.linears]) for whole in blocks}
    by_weights: dict[tuple[object, ...], list[Whole]] = {}
    for block in blocks:
        by_weights.setdefault(_weighed(draw, block), []).append(block)
    merged: dict[str, str] = {}
    for group in by_weights.values():
        if not _apart(draw, group):
            if not untie:
                continue
            draw.remark(UNTIED)
        for index, block in enumerate(group):
            if _put(draw, block, group[0].out if index else None):
                merged[block.out] = names[block.out]
    return merged


def _home(draw: Drawing, linear: str) -> str:
    """The layer whose weights a linear layer uses."""
    return draw.nodes[linear].shares or linear


def _weighed(draw: Drawing, block: Whole) -> tuple[object, ...]:
    """What is equal for attentions that share all their weights, and for them alone."""
    rows = [(_home(draw, part.linear), part.rows.tobytes(), part.factor) for part in block.parts]
    node = draw.nodes[block.key]
    out_owner = _home(draw, block.out)
    return (*rows, out_owner, repr(sorted(node.params.items())), block.memory == block.source)


def _apart(draw: Drawing, group: list[Whole]) -> bool:
    """Whether nothing but these attentions uses the weights of their linear layers."""
    members = {linear for whole in group for linear in whole.linears}
    owners = {_home(draw, linear) for linear in members}
    return all(key in members for key, node in draw.nodes.items() if key in owners or node.shares in owners)


def _whole(draw: Drawing, key: str) -> Whole | None:
    """The linear layers around an attention; None where there is anything else, or they are used elsewhere too."""
    ports = draw.sources[key]
    parts = [_projection(draw, ports[port]) for port in "qkv"]
    projections = tuple(part for part in parts if part is not None)
    readers = [edge.target_node for edge in draw.edges if edge.source_node == key]
    if len(projections) != 3 or len(readers) != 1 or draw.nodes[readers[0]].type != "Linear":
        return None
    out, linears = readers[0], {part.linear for part in projections}
    biased = any("bias" in draw.weights[linear] for linear in {*linears, out})
    source, *memories = (draw.sources[part.linear]["in"] for part in projections)
    if len(set(memories)) != 1 or not all(_only(draw, linear, key) for linear in linears):
        return None
    return Whole(key, out, projections, source, memories[0], biased)


def _put(draw: Drawing, block: Whole, shares: str | None) -> bool:
    """Draw the layer in the place of the last linear layer, with weights of another; whether there is one for it."""
    node = draw.nodes[block.key]
    heads = int(node.params.get("heads", 1))  # type: ignore[arg-type]
    input_spec, inner_width = draw.specs[block.source], draw.specs[block.key].size(2)
    kv_heads = [_shared(part.rows, heads) for part in block.parts]
    if (
        len(input_spec.shape) != 3
        or draw.specs[block.out].shape[1:] != input_spec.shape[1:]
        or kv_heads[0] != heads
        or kv_heads[1] is None
        or kv_heads[1] != kv_heads[2]
        or len({len(part.rows) for part in block.parts}) != 1
    ):
        return False
    cross, causal, masked = (
        block.memory != block.source,
        bool(node.params.get("causal")),
        "mask" in draw.sources[block.key],
    )
    if cross and (causal or len(draw.specs[block.memory].shape) != 3):
        return False
    params: dict[str, Any] = {"heads": heads} | ({"causal": True} if causal else {})
    params |= {"kv_heads": kv_heads[1]} if kv_heads[1] != heads else {}
    params |= {"head_width": inner_width // heads} if inner_width != input_spec.size(2) else {}
    params |= {"bias": False} if not block.biased else {}
    params |= {"masked": True} if masked else {}
    is_standard = set(params) <= {"heads", "causal"}
    kind = "CrossAttention" if cross else "MultiHeadAttention" if is_standard else "SelfAttention"
    params |= {"dropout": node.params["dropout"]} if node.params.get("dropout") else {}
    inputs = {"in": block.source} | ({"memory": block.memory} if cross else {})
    inputs |= {"mask": draw.sources[block.key]["mask"]} if masked else {}
    weights = _weights(draw, block, heads, kv_heads[1])
    out = block.out
    draw.nodes[out] = Node(id=out, type=kind, params=params, title=draw.nodes[out].title, shares=shares)
    draw.weights[out] = weights
    draw.edges[:] = [edge for edge in draw.edges if edge.target_node != out]
    draw.edges += [Edge(source=ref, target=f"{out}.{port}") for port, ref in inputs.items()]
    draw.sources[out] = inputs
    for linear in block.linears:
        _rehome(draw, linear)
    return True


def _rehome(draw: Drawing, linear: str) -> None:
    """The first of those that use the weights of a layer that is gone has them from now on."""
    first, *others = [key for key, node in draw.nodes.items() if node.shares == linear] or [""]
    for key in filter(None, [first, *others]):
        draw.nodes[key] = draw.nodes[key].model_copy(update={"shares": None if key == first else first})


def _weights(draw: Drawing, block: Whole, heads: int, kv_heads: int) -> dict[str, Array]:
    """The layer's weights: of heads that several queries share, those of the first of each group."""
    weights: dict[str, Array] = {}
    for name, part in zip("qkv", block.parts, strict=True):
        rows = part.rows
        if name != "q" and kv_heads != heads:
            rows = rows.reshape(kv_heads, heads // kv_heads, -1)[:, 0].reshape(-1)
        for leaf, array in _filled(draw, part.linear, block.biased).items():
            weights[f"{name}.{leaf}"] = np.ascontiguousarray(array[rows] * array.dtype.type(part.factor))
    return weights | {f"out.{leaf}": array for leaf, array in _filled(draw, block.out, block.biased).items()}


def _filled(draw: Drawing, linear: str, biased: bool) -> dict[str, Array]:
    """The weights of a linear layer; files leave out a bias of zeros."""
    weights = draw.weights[linear]
    zeros = {"bias": np.zeros(len(weights["weight"]), weights["weight"].dtype)} if biased else {}
    return zeros | weights


def _shared(rows: Array, heads: int) -> int | None:
    """How many heads there are of which each has rows of its own; None where they do not stand in equal groups."""
    if len(rows) % heads:
        return None
    rows_per_head = rows.reshape(heads, -1)
    first, count = np.unique(rows_per_head[:, 0], return_counts=True)
    groups = len(first)
    if heads % groups or len(set(count)) != 1:
        return None
    grouped = rows_per_head.reshape(groups, heads // groups, -1)
    distinct = len(np.unique(grouped[:, 0])) == groups * rows_per_head.shape[1]
    return groups if distinct and (grouped == grouped[:, :1]).all() else None


def _projection(draw: Drawing, ref: str) -> Projection | None:
    """The rows of a linear layer that a port gives, through what only moves its answer."""
    origin = _moved(draw, ref)
    if origin is None:
        return None
    linear, positions, factor = origin
    width = draw.specs[linear].size(2)
    steps = np.arange(len(positions)).reshape(-1, 1) * width
    rows = positions[0] if positions.ndim == 2 else np.zeros(0, np.int64)
    if len(positions) != draw.specs[linear].size(1) or not np.array_equal(positions, steps + rows):
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
        for tensor_port, constant_port in (("a", "b"), ("b", "a")):
            numbers = known(draw, ports[constant_port])
            origin = _moved(draw, ports[tensor_port]) if numbers is not None and (numbers == 1).all() else None
            if origin is not None:
                return origin[0], np.broadcast_to(origin[1], sizes), origin[2]
        return None
    if node.type == "ScaleShift" and not node.params.get("shift"):
        origin = _moved(draw, ports["in"])
        scale = node.params.get("scale", 1.0)
        return (*origin[:2], origin[2] * float(scale)) if origin and isinstance(scale, int | float) else None
    if node.type not in _MOVES:
        return None
    origin = _moved(draw, ports["in"])
    if origin is None:
        return None
    positions = _step(node, origin[1], port, sizes)
    return None if list(positions.shape) != sizes else (origin[0], positions, origin[2])


def _step(node: Node, positions: Array, port: str, sizes: list[int]) -> Array:
    """Numbers after one layer that only moves them."""
    params: Mapping[str, Any] = node.params
    axis = _inner(params.get("axis", 1))
    result: Array
    if node.type in ("Reshape", "Flatten", "Unsqueeze", "Squeeze"):
        result = positions.reshape(sizes)
    elif node.type == "Permute":
        result = positions.transpose([_inner(part) for part in params["order"]])
    elif node.type == "Transpose":
        result = positions.swapaxes(axis, _inner(params.get("other", 2)))
    elif node.type == "Expand":
        result = np.broadcast_to(positions, sizes)
    elif node.type == "Repeat" and params.get("each"):
        result = np.repeat(positions, params.get("times", 2), axis)
    elif node.type == "Repeat":
        result = np.concatenate([positions] * params.get("times", 2), axis)
    else:
        result = np.take(positions, _chosen(node, positions.shape[axis], port), axis)
    return result


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
        chunk_size = -(-length // int(params.get("count", 2)))
        return list(range(length)[number * chunk_size : (number + 1) * chunk_size])
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
