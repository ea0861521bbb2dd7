"""Fusion of attention and the linear layers around it into one layer, which replaces the output projection."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.compile.importers.imported_model import UNTIED
from netloom.compile.importers.layer_graph.attention import constant_values
from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import Array
from netloom.document import Edge, Node

_LETTERS = "abcdefghijklmnop"
# Layers that only move values.
_MOVES = frozenset(
    "Reshape Flatten Unsqueeze Squeeze Permute Transpose Select Slice Chunk Split IndexSelect Repeat Expand".split()
)


@dataclass(frozen=True)
class Projection:
    """The rows of a Linear's weight that produce each feature of an attention's input, times a number."""

    linear: str
    rows: Array
    factor: float = 1.0


@dataclass(frozen=True)
class AttentionBlock:
    """Attention with the linear layers around it: `source` is the input of the queries, `memory` of keys and values."""

    key: str
    out: str
    parts: tuple[Projection, ...]
    source: str
    memory: str
    biased: bool

    @property
    def linears(self) -> tuple[str, ...]:
        return (*(part.linear for part in self.parts), self.out)


def merge_projections(builder: GraphBuilder, untie: bool = False) -> dict[str, str]:
    """Merge each attention and its projections into one layer, which keeps the id of the output projection.

    Prune the graph first, because unused readers prevent the fusion. With `untie`, linear layers may stop sharing
    weights with layers elsewhere. Returns the common module path of the linear layers, by the id of the new node.
    """
    matches = [_match_block(builder, key) for key, node in builder.nodes.items() if node.type == "DotProductAttention"]
    blocks = [whole for whole in matches if whole is not None]
    names = {
        whole.out: _common_module([builder.nodes[name].title or name for name in whole.linears]) for whole in blocks
    }
    by_weights: dict[tuple[object, ...], list[AttentionBlock]] = {}
    for block in blocks:
        by_weights.setdefault(_weight_signature(builder, block), []).append(block)
    merged: dict[str, str] = {}
    for group in by_weights.values():
        if not _owns_weights(builder, group):
            if not untie:
                continue
            builder.remark(UNTIED)
        for index, block in enumerate(group):
            if _replace(builder, block, group[0].out if index else None):
                merged[block.out] = names[block.out]
    return merged


def _weight_owner(builder: GraphBuilder, linear: str) -> str:
    """The node that owns the weights of a linear layer."""
    return builder.nodes[linear].shares or linear


def _weight_signature(builder: GraphBuilder, block: AttentionBlock) -> tuple[object, ...]:
    """A key that is equal only for attentions that share all their weights."""
    rows = [(_weight_owner(builder, part.linear), part.rows.tobytes(), part.factor) for part in block.parts]
    node = builder.nodes[block.key]
    out_owner = _weight_owner(builder, block.out)
    return (*rows, out_owner, repr(sorted(node.params.items())), block.memory == block.source)


def _owns_weights(builder: GraphBuilder, group: list[AttentionBlock]) -> bool:
    """Whether only these attentions use the weights of their linear layers."""
    members = {linear for whole in group for linear in whole.linears}
    owners = {_weight_owner(builder, linear) for linear in members}
    return all(key in members for key, node in builder.nodes.items() if key in owners or node.shares in owners)


def _match_block(builder: GraphBuilder, key: str) -> AttentionBlock | None:
    """The linear layers around an attention; None if other layers are between them, or other nodes read them."""
    ports = builder.sources[key]
    parts = [_projection(builder, ports[port]) for port in "qkv"]
    projections = tuple(part for part in parts if part is not None)
    readers = [edge.target_node for edge in builder.edges if edge.source_node == key]
    if len(projections) != 3 or len(readers) != 1 or builder.nodes[readers[0]].type != "Linear":
        return None
    out, linears = readers[0], {part.linear for part in projections}
    biased = {"bias" in builder.weights[linear] for linear in {*linears, out}}
    source, *memories = (builder.sources[part.linear]["in"] for part in projections)
    # Keys and values must have one source; a Linear that others read must stay.
    if len(set(memories)) != 1 or not all(_feeds_only(builder, linear, key) for linear in linears):
        return None
    # A layer with biases for some projections only does not exist; more biases would be more parameters.
    return AttentionBlock(key, out, projections, source, memories[0], True in biased) if len(biased) == 1 else None


def _replace(builder: GraphBuilder, block: AttentionBlock, shares: str | None) -> bool:
    """Replace the block by one layer, which may share the weights of another. Returns whether a layer exists for it."""
    node = builder.nodes[block.key]
    heads = int(node.params.get("heads", 1))  # type: ignore[arg-type]
    input_spec, inner_width = builder.specs[block.source], builder.specs[block.key].size(2)
    kv_heads = [_kv_heads(part.rows, heads) for part in block.parts]
    # The layer projects a sequence to heads of equal width and back to the width of its input.
    if (
        len(input_spec.shape) != 3
        or builder.specs[block.out].shape[1:] != input_spec.shape[1:]
        or kv_heads[0] != heads
        or kv_heads[1] is None
        or kv_heads[1] != kv_heads[2]
        or len({len(part.rows) for part in block.parts}) != 1
    ):
        return False
    cross, causal, masked = (
        block.memory != block.source,
        bool(node.params.get("causal")),
        "mask" in builder.sources[block.key],
    )
    if cross and (causal or len(builder.specs[block.memory].shape) != 3):
        return False
    params: dict[str, Any] = {"heads": heads} | ({"causal": True} if causal else {})
    params |= {"kv_heads": kv_heads[1]} if kv_heads[1] != heads else {}
    params |= {"head_width": inner_width // heads} if inner_width != input_spec.size(2) else {}
    params |= {"bias": False} if not block.biased else {}
    params |= {"masked": True} if masked else {}
    # MultiHeadAttention has only these options and dropout.
    is_standard = set(params) <= {"heads", "causal"}
    kind = "CrossAttention" if cross else "MultiHeadAttention" if is_standard else "SelfAttention"
    params |= {"dropout": node.params["dropout"]} if node.params.get("dropout") else {}
    inputs = {"in": block.source} | ({"memory": block.memory} if cross else {})
    inputs |= {"mask": builder.sources[block.key]["mask"]} if masked else {}
    weights = _weights(builder, block, heads, kv_heads[1])
    out = block.out
    # In place of the output projection, whose id the readers refer to
    builder.nodes[out] = Node(id=out, type=kind, params=params, title=builder.nodes[out].title, shares=shares)
    builder.weights[out] = weights
    builder.edges[:] = [edge for edge in builder.edges if edge.target_node != out]
    builder.edges += [Edge(source=ref, target=f"{out}.{port}") for port, ref in inputs.items()]
    builder.sources[out] = inputs
    for linear in block.linears:
        _pass_on_weights(builder, linear)
    return True


def _pass_on_weights(builder: GraphBuilder, linear: str) -> None:
    """Make the first node that shared the weights of a removed layer their owner."""
    first, *other_users = [key for key, node in builder.nodes.items() if node.shares == linear] or [""]
    for key in filter(None, [first, *other_users]):
        builder.nodes[key] = builder.nodes[key].model_copy(update={"shares": None if key == first else first})


def _weights(builder: GraphBuilder, block: AttentionBlock, heads: int, kv_heads: int) -> dict[str, Array]:
    """The weights of the layer, with one copy of key and value heads that several query heads share."""
    weights: dict[str, Array] = {}
    for name, part in zip("qkv", block.parts, strict=True):
        rows = part.rows
        if name != "q" and kv_heads != heads:
            rows = rows.reshape(kv_heads, heads // kv_heads, -1)[:, 0].reshape(-1)
        for leaf, array in _with_bias(builder, part.linear, block.biased).items():
            weights[f"{name}.{leaf}"] = np.ascontiguousarray(array[rows] * array.dtype.type(part.factor))
    return weights | {f"out.{leaf}": array for leaf, array in _with_bias(builder, block.out, block.biased).items()}


def _with_bias(builder: GraphBuilder, linear: str, biased: bool) -> dict[str, Array]:
    """The weights of a linear layer, with a bias of zeros if it has none but the attention layer needs one."""
    weights = builder.weights[linear]
    zeros = {"bias": np.zeros(len(weights["weight"]), weights["weight"].dtype)} if biased else {}
    return zeros | weights


def _kv_heads(rows: Array, heads: int) -> int | None:
    """The number of heads with distinct rows; None if heads are not repeated in groups of equal size."""
    if len(rows) % heads:
        return None
    rows_per_head = rows.reshape(heads, -1)  # (heads, width of a head)
    first, count = np.unique(rows_per_head[:, 0], return_counts=True)
    groups = len(first)
    if heads % groups or len(set(count)) != 1:
        return None
    grouped = rows_per_head.reshape(groups, heads // groups, -1)  # (groups, heads per group, width of a head)
    distinct = len(np.unique(grouped[:, 0])) == groups * rows_per_head.shape[1]
    return groups if distinct and (grouped == grouped[:, :1]).all() else None


def _projection(builder: GraphBuilder, ref: str) -> Projection | None:
    """The rows of a linear layer that a port outputs, through layers that only move values; None if it is not such."""
    origin = _trace(builder, ref)
    if origin is None:
        return None
    linear, positions, factor = origin
    width = builder.specs[linear].size(2)
    # In every step t, the position of feature i must be t · width + rows[i].
    steps = np.arange(len(positions)).reshape(-1, 1) * width
    rows = positions[0] if positions.ndim == 2 else np.zeros(0, np.int64)
    if len(positions) != builder.specs[linear].size(1) or not np.array_equal(positions, steps + rows):
        return None  # steps are mixed or moved, so that this is not a projection of each step
    return Projection(linear, rows, factor)


def _trace(builder: GraphBuilder, ref: str) -> tuple[str, Array, float] | None:
    """A linear layer, the position in its output from which each value of a port comes, and a common factor.

    Tracing positions recognizes every order of layers that splits features into heads, without a list of patterns.
    """
    key, _, port = ref.partition(".")
    node = builder.nodes[key]
    sizes = [builder.specs[ref].size(axis) for axis in range(1, len(builder.specs[ref].shape))]
    if node.type == "Linear":
        if len(sizes) != 2:
            return None
        return key, np.arange(math.prod(sizes)).reshape(sizes), 1.0
    ports = builder.sources[key]
    # Broadcasting is a product with ones, see `reshaping.broadcast_to`.
    if node.type == "Multiply" and len(ports) == 2:
        for tensor_port, constant_port in (("a", "b"), ("b", "a")):
            numbers = constant_values(builder, ports[constant_port])
            origin = _trace(builder, ports[tensor_port]) if numbers is not None and (numbers == 1).all() else None
            if origin is not None:
                return origin[0], np.broadcast_to(origin[1], sizes), origin[2]
        return None
    if node.type == "ScaleShift" and not node.params.get("shift"):
        origin = _trace(builder, ports["in"])
        scale = node.params.get("scale", 1.0)
        return (*origin[:2], origin[2] * float(scale)) if origin and isinstance(scale, int | float) else None
    if node.type not in _MOVES:
        return None
    origin = _trace(builder, ports["in"])
    if origin is None:
        return None
    positions = _apply_move(node, origin[1], port, sizes)
    return None if list(positions.shape) != sizes else (origin[0], positions, origin[2])


def _apply_move(node: Node, positions: Array, port: str, sizes: list[int]) -> Array:
    """The positions after a layer that only moves values."""
    params: Mapping[str, Any] = node.params
    axis = _without_batch(params.get("axis", 1))
    result: Array
    if node.type in ("Reshape", "Flatten", "Unsqueeze", "Squeeze"):
        result = positions.reshape(sizes)
    elif node.type == "Permute":
        result = positions.transpose([_without_batch(part) for part in params["order"]])
    elif node.type == "Transpose":
        result = positions.swapaxes(axis, _without_batch(params.get("other", 2)))
    elif node.type == "Expand":
        result = np.broadcast_to(positions, sizes)
    elif node.type == "Repeat" and params.get("each"):
        result = np.repeat(positions, params.get("times", 2), axis)
    elif node.type == "Repeat":
        result = np.concatenate([positions] * params.get("times", 2), axis)
    else:
        result = np.take(positions, _selected_indices(node, positions.shape[axis], port), axis)
    return result


def _without_batch(axis: int) -> int:
    """An axis of a tensor as an axis of one example, without the batch."""
    return axis - 1 if axis > 0 else axis


def _selected_indices(node: Node, length: int, port: str) -> int | list[int]:
    """The indices of an axis that a layer selects."""
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


def _feeds_only(builder: GraphBuilder, linear: str, attention: str) -> bool:
    """Whether one attention is the only consumer of a linear layer, through layers that only move values."""
    for edge in builder.edges:
        if edge.source_node == linear and edge.target_node != attention:
            moves = builder.nodes[edge.target_node].type in {*_MOVES, "ScaleShift", "Multiply"}
            if not (moves and _feeds_only(builder, edge.target_node, attention)):
                return False
    return True


def _common_module(titles: list[str]) -> str:
    """The common path of modules such as h.0.attn.query and h.0.attn.value; "" if they have no paths."""
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
