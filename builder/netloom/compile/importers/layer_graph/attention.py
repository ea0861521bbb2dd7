"""Fusion of attention: MatMul, Softmax and MatMul become one DotProductAttention layer.

Attention Is All You Need, https://arxiv.org/abs/1706.03762: softmax(Q Kᵀ / sqrt(d)) V.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import Array, Tensor, UnsupportedOperatorError
from netloom.document import Node

# Masks add a number at most this large to the scores of hidden steps; the softmax of such a score is 0 in float32.
HIDDEN_SCORE = -1e4


@dataclass(frozen=True)
class Mask:
    """A mask and its effect: "add" adds it to the scores, "keep" keeps scores where it is 1, "hide" where it is 0."""

    ref: str
    how: str


@dataclass(frozen=True)
class Scores:
    """The factors of attention scores: queries times transposed keys, times a number, with masks."""

    q: Tensor
    transposed_k: Tensor
    scale: float = 1.0
    masks: tuple[Mask, ...] = ()


@dataclass(frozen=True)
class Heads:
    """The inputs of attention: (N, heads, T, width) each; the heads may be several axes or none."""

    q: Tensor
    k: Tensor
    v: Tensor
    scale: float = 1.0
    causal: bool = False
    dropout: float = 0.0
    mask: Tensor | None = None


def match_attention(builder: GraphBuilder, weights: Tensor, values: Tensor, name: str) -> Tensor | None:
    """The attention layer for a product of attention weights and values; None if the product is not attention."""
    try:
        heads = _heads(builder, weights, values)
        return None if heads is None else add_attention(builder, heads, weights, name)
    except UnsupportedOperatorError:
        return None  # nodes that were added for it are not read, so that pruning removes them


def add_attention(builder: GraphBuilder, heads: Heads, like: Tensor, name: str) -> Tensor:
    """Add a DotProductAttention layer; its output has the axes of `like`, except for the width of the values.

    Raises:
        UnsupportedOperatorError: The axes do not match those of attention.
    """
    parts = head_axes(heads.q)
    sizes = [heads.q.size(part) for part in parts]
    inputs_qkv = [merge_heads(builder, tensor) for tensor in (heads.q, heads.k, heads.v)]
    width = heads.q.length(-1)
    # The layer divides by √width itself; what remains of the scale is applied to the queries.
    factor = heads.scale * math.sqrt(width)
    if abs(factor - 1) > 1e-6:
        inputs_qkv[0] = builder.with_axes_of(
            builder.add_layer("ScaleShift", inputs_qkv[0], "scale", scale=factor), inputs_qkv[0]
        )
    inputs = dict(zip("qkv", inputs_qkv, strict=True))
    params: dict[str, Any] = {"heads": math.prod(sizes)} if math.prod(sizes) > 1 else {}
    params |= {"causal": True} if heads.causal else {}
    params |= {"dropout": heads.dropout} if heads.dropout else {}
    if heads.mask is not None:
        inputs["mask"], params["masked"] = heads.mask, True
    attention = builder.add_layer("DotProductAttention", inputs, name, **params)
    steps, value_width = heads.q.length(-2), heads.v.length(-1)
    separated = builder.reshape(attention, [steps, *sizes, value_width]) if sizes else attention
    numbers = iter(range(2, 2 + len(sizes)))
    front = [tuple(0 if part == 0 else next(numbers) for part in group) for group in like.axes[:-2]]
    return Tensor(separated.ref, separated.spec, (*front, (1,), (2 + len(sizes),)))


def head_axes(tensor: Tensor) -> list[int]:
    """The port's axes in all but the last two axes of the file, without the batch."""
    return [part for group in tensor.axes[:-2] for part in group if part != 0]


def merge_heads(builder: GraphBuilder, tensor: Tensor) -> Tensor:
    """(N, heads, T, width) as (N, T, heads·width).

    Raises:
        UnsupportedOperatorError: Its steps or features are not single axes, or it is not a float tensor.
    """
    row, column = tensor.axes[-2:]
    if len(row) != 1 or len(column) != 1 or tensor.spec.dtype != "float":
        raise UnsupportedOperatorError("its axes do not match those of attention")
    order = [row[0], *head_axes(tensor), column[0]]
    other_axes = [axis for axis in range(1, len(tensor.spec.shape)) if axis not in order]
    ordered = builder.permute(tensor, [*order, *other_axes])
    width = math.prod(tensor.size(axis) for axis in order[1:])
    return builder.reshape(ordered, [tensor.length(-2), width])


def is_causal(mask: Array) -> bool:
    """Whether a mask hides exactly the later steps of each step."""
    rows = mask.reshape(-1, *mask.shape[-2:]) if mask.ndim >= 2 else mask[None, None]
    if rows.shape[-1] != rows.shape[-2] or rows.shape[-1] < 2:
        return False
    visible = np.tril(np.ones(rows.shape[-2:], bool))
    if mask.dtype == bool:
        return bool((rows == visible).all())
    return bool(
        (np.where(visible, rows, 0) == 0).all() and (np.where(visible, HIDDEN_SCORE, rows) <= HIDDEN_SCORE).all()
    )


def _heads(builder: GraphBuilder, weights: Tensor, values: Tensor) -> Heads | None:
    """The inputs from which attention weights are computed; None if they are not attention weights."""
    last = len(weights.spec.shape) - 1
    if weights.axes[-2:] != ((last - 1,), (last,)):
        return None
    ref, dropout = _without_dropout(builder, _without_nan_guard(builder, weights.ref))
    node = _node(builder, ref)
    if node.type != "Softmax" or node.params.get("axis", -1) not in (-1, last):
        return None
    scores = _scores(builder, builder.sources[ref]["in"])
    if scores is None:
        return None
    # (N, heads, width, S) -> (N, heads, S, width)
    k = replace(
        scores.transposed_k,
        axes=(*scores.transposed_k.axes[:-2], scores.transposed_k.axes[-1], scores.transposed_k.axes[-2]),
    )
    q, q_factor = _without_scale(builder, scores.q)
    k, k_factor = _without_scale(builder, k)
    heads = Heads(q, k, values, scores.scale * q_factor * k_factor, dropout=dropout)
    if not _has_same_layout(weights, heads):
        return None
    return _masked(builder, heads, scores.masks, last)


def _has_same_layout(weights: Tensor, heads: Heads) -> bool:
    """Whether batch and heads have the same axes in weights, queries, keys and values."""

    def front(tensor: Tensor) -> list[int]:
        return [tensor.size(part) for group in tensor.axes[:-2] for part in group]

    q, k, v = heads.q, heads.k, heads.v
    steps = q.length(-2) == weights.length(-2) and k.length(-2) == v.length(-2) == weights.length(-1)
    return steps and q.length(-1) == k.length(-1) and front(q) == front(k) == front(v) == front(weights)


def _masked(builder: GraphBuilder, heads: Heads, masks: Sequence[Mask], last: int) -> Heads | None:
    """The heads with masks added; None if the layer cannot express them."""
    steps, key_steps = heads.q.length(-2), heads.k.length(-2)
    remaining = []
    for mask in masks:
        values = constant_values(builder, mask.ref)
        if values is None:
            remaining.append(mask)
            continue
        if mask.how != "add":
            values = (values == 0) if mask.how == "hide" else (values != 0)
        broadcast = np.broadcast_to(values, np.broadcast_shapes(values.shape, (steps, key_steps)))
        if is_causal(broadcast):
            # Constant masks that hide exactly the later steps become the `causal` option.
            heads = replace(heads, causal=True)
        # A mask that hides nothing and adds nothing has no effect.
        elif not broadcast.all() if mask.how != "add" else broadcast.any():
            remaining.append(mask)
    if len(remaining) > 1:
        return None
    return replace(heads, mask=_visibility_mask(builder, remaining[0], steps, key_steps)) if remaining else heads


def _visibility_mask(builder: GraphBuilder, mask: Mask, steps: int, key_steps: int) -> Tensor:
    """A mask in the form that attention takes, (N, S) or (N, T, S): 1 where a step is visible, 0 where it is hidden."""
    spec = builder.specs[mask.ref]
    tensor = Tensor(mask.ref, spec, tuple((axis,) for axis in range(len(spec.shape))))
    sizes = [spec.size(axis) for axis in range(1, len(spec.shape))]
    rows = sizes[-2] if len(sizes) > 1 else 1
    if sizes[-1] != key_steps or math.prod(sizes[:-2]) != 1 or rows not in (1, steps):
        raise UnsupportedOperatorError("the mask differs between heads")
    # Reshapes of one mask in several layers count as the same mask.
    root = mask.ref
    while _node(builder, root).type in ("Reshape", "Unsqueeze", "Squeeze", "Flatten"):
        root = builder.sources[root]["in"]
    sizes_after = [key_steps] if rows == 1 else [steps, key_steps]
    cache_key = (root, mask.how, *sizes_after)
    if cache_key not in builder.attention_masks:  # the layers of a network share their mask
        builder.attention_masks[cache_key] = _as_visibility(builder, builder.reshape(tensor, sizes_after), mask.how)
    return builder.attention_masks[cache_key]


def _as_visibility(builder: GraphBuilder, tensor: Tensor, how: str) -> Tensor:
    """A mask as floats: 1 where a step is visible."""
    if tensor.spec.dtype == "int":
        tensor = builder.add_layer("Cast", tensor, "cast", to="float")
    if how == "keep":
        return tensor
    if how == "add":  # attention adds the logarithm of its mask
        return builder.add_layer("Function", tensor, "shown", function="exp")
    return builder.add_layer("ScaleShift", tensor, "shown", scale=-1.0, shift=1.0)


def _scores(builder: GraphBuilder, ref: str) -> Scores | None:
    """The product from which scores are computed, with its scale and masks; None if there is none."""
    if ref in builder.products:
        return Scores(*builder.products[ref])
    node, ports = _node(builder, ref), builder.sources[ref.partition(".")[0]]
    if node.type == "ScaleShift":
        scores = _scores(builder, ports["in"])
        # A scale after a mask would scale the mask as well, which the layer cannot express.
        if scores is None or scores.masks or node.params.get("shift", 0):
            return None
        return replace(scores, scale=scores.scale * _number(node, "scale", 1.0))
    if node.type == "Add" and len(ports) == 2:
        for score_port, mask_port in (("a", "b"), ("b", "a")):
            scores = _scores(builder, ports[score_port])
            if scores is not None:
                return replace(scores, masks=(*scores.masks, Mask(ports[mask_port], "add")))
    if node.type == "Where":
        for mode, score_port, mask_port in (("keep", "a", "b"), ("hide", "b", "a")):
            scores, fill = _scores(builder, ports[score_port]), constant_values(builder, ports[mask_port])
            if scores is not None and fill is not None and (fill <= HIDDEN_SCORE).all():
                return replace(scores, masks=(*scores.masks, Mask(ports["condition"], mode)))
    return None


def _without_nan_guard(builder: GraphBuilder, ref: str) -> str:
    """The tensor before a guard that replaces NaN by 0, which exporters add for rows in which all steps are hidden."""
    ports = builder.sources[ref.partition(".")[0]]
    if _node(builder, ref).type != "Where":
        return ref
    compared_refs, zero = builder.sources[ports["condition"]], constant_values(builder, ports["a"])
    compared = _node(builder, ports["condition"])
    is_nan_test = compared.type == "Compare" and compared.params.get("relation") == "!="
    guarded = ports["b"]
    return (
        guarded
        if is_nan_test and set(compared_refs.values()) == {guarded} and zero is not None and not zero.any()
        else ref
    )


def _without_dropout(builder: GraphBuilder, ref: str) -> tuple[str, float]:
    node = _node(builder, ref)
    if node.type != "Dropout":
        return ref, 0.0
    return builder.sources[ref]["in"], _number(node, "rate", 0.5)


def _without_scale(builder: GraphBuilder, tensor: Tensor) -> tuple[Tensor, float]:
    """A tensor before its multiplication by a number, and the number."""
    node = _node(builder, tensor.ref)
    if node.type != "ScaleShift" or node.params.get("shift", 0):
        return tensor, 1.0
    return replace(tensor, ref=builder.sources[tensor.ref]["in"]), _number(node, "scale", 1.0)


def _node(builder: GraphBuilder, ref: str) -> Node:
    return builder.nodes[ref.partition(".")[0]]


def _number(node: Node, name: str, default: float) -> float:
    value = node.params.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def constant_values(builder: GraphBuilder, ref: str) -> Array | None:
    """The constant values of a port for one example; None if they depend on inputs."""
    key = ref.partition(".")[0]
    node = builder.nodes[key]
    sizes = [builder.specs[ref].size(axis) for axis in range(1, len(builder.specs[ref].shape))]
    if node.type == "Constant":
        numbers = np.array([float(text) for text in str(node.params["values"]).split(",")])
        return np.broadcast_to(numbers, sizes) if numbers.size == 1 else numbers.reshape(sizes)
    if node.type == "Learned":
        return builder.weights[key]["weight"].reshape(sizes)
    if node.type not in ("Reshape", "Unsqueeze", "Squeeze", "Flatten", "ScaleShift", "Cast"):
        return None
    values = constant_values(builder, builder.sources[key]["in"])
    if values is None or node.type in ("ScaleShift", "Cast"):
        scale, shift = _number(node, "scale", 1.0), _number(node, "shift", 0.0)
        return values if values is None or node.type == "Cast" else values * scale + shift
    return values.reshape(sizes)


__all__ = [
    "HIDDEN_SCORE",
    "Heads",
    "add_attention",
    "constant_values",
    "head_axes",
    "is_causal",
    "match_attention",
    "merge_heads",
]
