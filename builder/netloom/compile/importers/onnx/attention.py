"""Attention that a file spells out as products and a softmax, as the one layer that it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netloom.compile.importers.onnx.graph_builder import Array, Drawing, Refusal, Tensor
from netloom.document import Node

# From here on down, a number that is added to a score hides the step.
HIDDEN = -1e4


@dataclass(frozen=True)
class Mask:
    """What a mask does to the scores: `add` adds to them, `keep` leaves them where it is 1, `hide` where it is 0."""

    ref: str
    how: str


@dataclass(frozen=True)
class Scores:
    """How scores came about: queries times turned keys, times a number, with masks."""

    q: Tensor
    turned: Tensor
    scale: float = 1.0
    masks: tuple[Mask, ...] = ()


@dataclass(frozen=True)
class Heads:
    """What attention works with: (N, heads, T, width) each, the heads perhaps as several axes or as none."""

    q: Tensor
    k: Tensor
    v: Tensor
    scale: float = 1.0
    causal: bool = False
    dropout: float = 0.0
    mask: Tensor | None = None


def attended(draw: Drawing, weights: Tensor, values: Tensor, name: str) -> Tensor | None:
    """The layer for a product of weights and values, or None where this is no attention that a layer stands for."""
    try:
        found = _heads(draw, weights, values)
        return None if found is None else layer(draw, found, weights, name)
    except Refusal:
        return None  # what was drawn for it leads nowhere, and goes


def layer(draw: Drawing, heads: Heads, like: Tensor, name: str) -> Tensor:
    """Attention as a layer; what comes out has the axes of `like`, the last of which is as wide as the values.

    Raises:
        Refusal: its axes do not match those of attention.
    """
    parts = inner(heads.q)
    sizes = [heads.q.size(part) for part in parts]
    ready = [flat(draw, one) for one in (heads.q, heads.k, heads.v)]
    width = heads.q.length(-1)
    factor = heads.scale * math.sqrt(width)
    if abs(factor - 1) > 1e-6:
        ready[0] = draw.like(draw.draw("ScaleShift", ready[0], "scale", scale=factor), ready[0])
    given = dict(zip("qkv", ready, strict=True))
    params: dict[str, Any] = {"heads": math.prod(sizes)} if math.prod(sizes) > 1 else {}
    params |= {"causal": True} if heads.causal else {}
    params |= {"dropout": heads.dropout} if heads.dropout else {}
    if heads.mask is not None:
        given["mask"], params["masked"] = heads.mask, True
    made = draw.draw("DotProductAttention", given, name, **params)
    steps, wide = heads.q.length(-2), heads.v.length(-1)
    apart = draw.reshaped(made, [steps, *sizes, wide]) if sizes else made
    numbers = iter(range(2, 2 + len(sizes)))
    front = [tuple(0 if part == 0 else next(numbers) for part in group) for group in like.axes[:-2]]
    return Tensor(apart.ref, apart.spec, (*front, (1,), (2 + len(sizes),)))


def inner(tensor: Tensor) -> list[int]:
    """The port's axes before the last two of the file, without the batch."""
    return [part for group in tensor.axes[:-2] for part in group if part != 0]


def flat(draw: Drawing, tensor: Tensor) -> Tensor:
    """(N, heads, T, width) as (N, T, heads·width).

    Raises:
        Refusal: its steps or features are not an axis of their own, or are no real numbers.
    """
    row, column = tensor.axes[-2:]
    if len(row) != 1 or len(column) != 1 or tensor.spec.dtype != "float":
        raise Refusal("its axes do not match those of attention")
    order = [row[0], *inner(tensor), column[0]]
    rest = [axis for axis in range(1, len(tensor.spec.shape)) if axis not in order]
    found = draw.permuted(tensor, [*order, *rest])
    width = math.prod(tensor.size(axis) for axis in order[1:])
    return draw.reshaped(found, [tensor.length(-2), width])


def is_causal(mask: Array) -> bool:
    """Whether a mask hides what comes later and nothing else."""
    rows = mask.reshape(-1, *mask.shape[-2:]) if mask.ndim >= 2 else mask[None, None]
    if rows.shape[-1] != rows.shape[-2] or rows.shape[-1] < 2:
        return False
    seen = np.tril(np.ones(rows.shape[-2:], bool))
    if mask.dtype == bool:
        return bool((rows == seen).all())
    return bool((np.where(seen, rows, 0) == 0).all() and (np.where(seen, HIDDEN, rows) <= HIDDEN).all())


def _heads(draw: Drawing, weights: Tensor, values: Tensor) -> Heads | None:
    """What went into the weights; None where they are no attention."""
    last = len(weights.spec.shape) - 1
    if weights.axes[-2:] != ((last - 1,), (last,)):
        return None
    ref, dropout = _dropped(draw, _unguarded(draw, weights.ref))
    node = _node(draw, ref)
    if node.type != "Softmax" or node.params.get("axis", -1) not in (-1, last):
        return None
    found = _scores(draw, draw.sources[ref]["in"])
    if found is None:
        return None
    k = replace(found.turned, axes=(*found.turned.axes[:-2], found.turned.axes[-1], found.turned.axes[-2]))
    q, one = _unscaled(draw, found.q)
    k, other = _unscaled(draw, k)
    heads = Heads(q, k, values, found.scale * one * other, dropout=dropout)
    if not _alike(weights, heads):
        return None
    return _masked(draw, heads, found.masks, last)


def _alike(weights: Tensor, heads: Heads) -> bool:
    """Whether batch and heads lie alike in all that attention works with."""

    def front(tensor: Tensor) -> list[int]:
        return [tensor.size(part) for group in tensor.axes[:-2] for part in group]

    q, k, v = heads.q, heads.k, heads.v
    steps = q.length(-2) == weights.length(-2) and k.length(-2) == v.length(-2) == weights.length(-1)
    return steps and q.length(-1) == k.length(-1) and front(q) == front(k) == front(v) == front(weights)


def _masked(draw: Drawing, heads: Heads, masks: Sequence[Mask], last: int) -> Heads | None:
    """The heads with what the masks hide; None where that cannot be said to a layer."""
    steps, seen = heads.q.length(-2), heads.k.length(-2)
    others = []
    for mask in masks:
        numbers = known(draw, mask.ref)
        if numbers is None:
            others.append(mask)
            continue
        if mask.how != "add":
            numbers = (numbers == 0) if mask.how == "hide" else (numbers != 0)
        full = np.broadcast_to(numbers, np.broadcast_shapes(numbers.shape, (steps, seen)))
        if is_causal(full):
            heads = replace(heads, causal=True)
        elif not full.all() if mask.how != "add" else full.any():
            others.append(mask)
    if len(others) > 1:
        return None
    return replace(heads, mask=_shown(draw, others[0], steps, seen)) if others else heads


def _shown(draw: Drawing, mask: Mask, steps: int, seen: int) -> Tensor:
    """A mask as attention takes it, (N, S) or (N, T, S): 1 where a step is seen, 0 where not."""
    spec = draw.specs[mask.ref]
    whole = Tensor(mask.ref, spec, tuple((axis,) for axis in range(len(spec.shape))))
    sizes = [spec.size(axis) for axis in range(1, len(spec.shape))]
    rows = sizes[-2] if len(sizes) > 1 else 1
    if sizes[-1] != seen or math.prod(sizes[:-2]) != 1 or rows not in (1, steps):
        raise Refusal("the mask differs between heads")
    root = mask.ref
    while _node(draw, root).type in ("Reshape", "Unsqueeze", "Squeeze", "Flatten"):
        root = draw.sources[root]["in"]
    wanted = [seen] if rows == 1 else [steps, seen]
    known_as = (root, mask.how, *wanted)
    if known_as not in draw.shown:  # once for all layers
        draw.shown[known_as] = _turned(draw, draw.reshaped(whole, wanted), mask.how)
    return draw.shown[known_as]


def _turned(draw: Drawing, found: Tensor, how: str) -> Tensor:
    """1 where a step is seen, as real numbers."""
    if found.spec.dtype == "int":
        found = draw.draw("Cast", found, "cast", to="float")
    if how == "keep":
        return found
    if how == "add":  # attention adds the logarithm of its mask
        return draw.draw("Function", found, "shown", function="exp")
    return draw.draw("ScaleShift", found, "shown", scale=-1.0, shift=1.0)


def _scores(draw: Drawing, ref: str) -> Scores | None:
    """The product from which scores were made, and how."""
    if ref in draw.products:
        return Scores(*draw.products[ref])
    node, ports = _node(draw, ref), draw.sources[ref.partition(".")[0]]
    if node.type == "ScaleShift":
        found = _scores(draw, ports["in"])
        if found is None or found.masks or node.params.get("shift", 0):
            return None
        return replace(found, scale=found.scale * _number(node, "scale", 1.0))
    if node.type == "Add" and len(ports) == 2:
        for one, other in (("a", "b"), ("b", "a")):
            found = _scores(draw, ports[one])
            if found is not None:
                return replace(found, masks=(*found.masks, Mask(ports[other], "add")))
    if node.type == "Where":
        for way, one, other in (("keep", "a", "b"), ("hide", "b", "a")):
            found, hidden = _scores(draw, ports[one]), known(draw, ports[other])
            if found is not None and hidden is not None and (hidden <= HIDDEN).all():
                return replace(found, masks=(*found.masks, Mask(ports["condition"], way)))
    return None


def _unguarded(draw: Drawing, ref: str) -> str:
    """What stands behind a guard that puts 0 where a number is none."""
    ports = draw.sources[ref.partition(".")[0]]
    if _node(draw, ref).type != "Where":
        return ref
    guard, zero = draw.sources[ports["condition"]], known(draw, ports["a"])
    compared = _node(draw, ports["condition"])
    asks = compared.type == "Compare" and compared.params.get("relation") == "!="
    behind = ports["b"]
    return behind if asks and set(guard.values()) == {behind} and zero is not None and not zero.any() else ref


def _dropped(draw: Drawing, ref: str) -> tuple[str, float]:
    node = _node(draw, ref)
    if node.type != "Dropout":
        return ref, 0.0
    return draw.sources[ref]["in"], _number(node, "rate", 0.5)


def _unscaled(draw: Drawing, tensor: Tensor) -> tuple[Tensor, float]:
    """A tensor before it was multiplied by a number, and the number."""
    node = _node(draw, tensor.ref)
    if node.type != "ScaleShift" or node.params.get("shift", 0):
        return tensor, 1.0
    return replace(tensor, ref=draw.sources[tensor.ref]["in"]), _number(node, "scale", 1.0)


def _node(draw: Drawing, ref: str) -> Node:
    return draw.nodes[ref.partition(".")[0]]


def _number(node: Node, name: str, default: float) -> float:
    found = node.params.get(name, default)
    return float(found) if isinstance(found, int | float) else default


def known(draw: Drawing, ref: str) -> Array | None:
    """The fixed numbers that a port gives each example, without the batch; None where they are computed."""
    key = ref.partition(".")[0]
    node = draw.nodes[key]
    sizes = [draw.specs[ref].size(axis) for axis in range(1, len(draw.specs[ref].shape))]
    if node.type == "Constant":
        numbers = np.array([float(text) for text in str(node.params["values"]).split(",")])
        return np.broadcast_to(numbers, sizes) if numbers.size == 1 else numbers.reshape(sizes)
    if node.type == "Learned":
        return draw.weights[key]["weight"].reshape(sizes)
    if node.type not in ("Reshape", "Unsqueeze", "Squeeze", "Flatten", "ScaleShift", "Cast"):
        return None
    found = known(draw, draw.sources[key]["in"])
    if found is None or node.type in ("ScaleShift", "Cast"):
        scale, shift = _number(node, "scale", 1.0), _number(node, "shift", 0.0)
        return found if found is None or node.type == "Cast" else found * scale + shift
    return found.reshape(sizes)


__all__ = ["HIDDEN", "Heads", "attended", "flat", "inner", "is_causal", "known", "layer"]
