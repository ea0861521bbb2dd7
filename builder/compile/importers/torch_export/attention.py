"""Attention: one operator of PyTorch, and the projections around it that make a whole attention layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from builder.compile.importers.onnx.drawing import Array, Constant, Drawing, Refusal, Tensor, Value
from builder.compile.importers.torch_export.table import Aten, aten
from builder.graph import Edge, Node


@aten("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu")
def _attention(op: Aten) -> Any:
    q, k, v = op.value("query"), op.value("key"), op.value("value")
    mask, causal = op.args.get("attn_mask"), op.flag("is_causal")
    if op.flag("enable_gqa"):
        raise Refusal("heads that share keys and values there cannot be drawn; repeat the keys and values yourself")
    if isinstance(mask, Constant) and is_causal(mask.array):
        mask, causal = None, True
    width = (q.shape if isinstance(q, Tensor) else op.tensor("query").shape)[-1]
    scale = op.number("scale", 1 / math.sqrt(width))
    if mask is None and all(isinstance(one, Tensor) and _headed(one) for one in (q, k, v)):
        return _layer(op, q, k, v, scale * math.sqrt(width), causal)  # type: ignore[arg-type]
    return _spelled(op, q, k, v, mask, scale, causal)


def is_causal(mask: Array) -> bool:
    """Whether a mask hides what comes later and nothing else."""
    rows = mask.reshape(-1, *mask.shape[-2:]) if mask.ndim >= 2 else mask[None, None]
    if rows.shape[-1] != rows.shape[-2] or rows.shape[-1] < 2:
        return False
    seen = np.tril(np.ones(rows.shape[-2:], bool))
    return bool((rows == seen).all()) if mask.dtype == bool else bool((rows == np.where(seen, 0, -np.inf)).all())


def _headed(tensor: Tensor) -> bool:
    """(N, heads, T, width) with each axis for itself."""
    return (
        tensor.rank == 4
        and tensor.axes[0] == (0,)
        and all(len(group) == 1 for group in (tensor.axes[2], tensor.axes[3]))
        and len(tensor.axes[1]) < 2
        and tensor.spec.dtype == "float"
    )


def _layer(op: Aten, q: Tensor, k: Tensor, v: Tensor, scale: float, causal: bool) -> list[Value]:
    heads = q.length(1)
    ready = [_flat(op, one) for one in (q, k, v)]
    if abs(scale - 1) > 1e-6:
        ready[0] = op.draw.like(op.draw.draw("ScaleShift", ready[0], "scale", scale=scale), ready[0])
    params = {"causal": True} if causal else {}
    params |= {"heads": heads} if heads > 1 else {}  # type: ignore[dict-item]
    made = op.draw.draw("DotProductAttention", dict(zip("qkv", ready, strict=True)), op.name, **params)
    steps, width = q.length(2), v.length(3)
    apart = op.draw.reshaped(made, [steps, heads, width])
    return [Tensor(apart.ref, apart.spec, ((0,), (2,), (1,), (3,)))]


def _flat(op: Aten, tensor: Tensor) -> Tensor:
    """(N, heads, T, width) as (N, T, heads·width)."""
    order = [tensor.axes[2][0], *tensor.axes[1], tensor.axes[3][0]]
    rest = [axis for axis in range(1, len(tensor.spec.shape)) if axis not in order]
    found = op.draw.permuted(tensor, [*order, *rest])
    return op.draw.reshaped(found, [tensor.length(2), tensor.length(1) * tensor.length(3)])


def _spelled(op: Aten, q: Value, k: Value, v: Value, mask: Any, scale: float, causal: bool) -> Any:
    """Attention as products, a sum with the mask, and a softmax."""
    rank = len(k.shape)
    order = [*range(rank - 2), rank - 1, rank - 2]
    turned = (
        op.layer("Transpose", k, perm=order)[0] if isinstance(k, Tensor) else Constant(np.swapaxes(k.array, -1, -2))
    )
    scores = op.layer("Mul", op.layer("MatMul", q, turned)[0], Constant(np.asarray(scale, np.float32)))[0]
    if causal:
        sizes = (q.shape[-2], k.shape[-2])
        mask = Constant(np.tril(np.ones(sizes, bool)))
    if isinstance(mask, Constant):
        added = np.where(mask.array, 0, -np.inf) if mask.array.dtype == bool else mask.array
        scores = op.layer("Add", scores, Constant(added.astype(np.float32)))[0]
    elif isinstance(mask, Tensor) and mask.boolean:
        scores = op.layer("Where", mask, scores, Constant(np.asarray(-1e9, np.float32)))[0]
    elif isinstance(mask, Tensor):
        scores = op.layer("Add", scores, mask)[0]
    weights = op.layer("Softmax", scores, axis=-1)[0]
    return op.layer("MatMul", weights, v)


@dataclass(frozen=True)
class _Projection:
    """Rows of a linear layer's weights that give queries, keys or values."""

    linear: str
    start: int
    end: int


def gather(draw: Drawing) -> None:
    """Each attention between linear projections of one sequence becomes a layer with its own weights.

    Nodes that lead nowhere have to be gone before.
    """
    for key in [key for key, node in draw.nodes.items() if node.type == "DotProductAttention"]:
        _gather(draw, key)


def _gather(draw: Drawing, key: str) -> None:
    node, ports = draw.nodes[key], draw.sources[key]
    parts = [_projection(draw, ports[port]) for port in "qkv"]
    found = [part for part in parts if part is not None]
    readers = [edge.target_node for edge in draw.edges if edge.source_node == key]
    if len(found) != 3 or len(readers) != 1 or draw.nodes[readers[0]].type != "Linear" or node.shares:
        return
    out = readers[0]
    inputs = {draw.sources[part.linear]["in"] for part in found}
    width = draw.specs[key].size(2)
    weights = [draw.weights[part.linear] for part in found] + [draw.weights[out]]
    biased = {"bias" in one for one in weights}
    if len(inputs) != 1 or len(biased) != 1 or any(part.end - part.start != width for part in found):
        return
    (source,) = inputs
    used = {part.linear for part in found}
    if draw.specs[source].shape[1:] != draw.specs[out].shape[1:] or draw.specs[source].size(2) != width:
        return
    if any(not _only(draw, linear, key) for linear in used) or any(
        other.shares in {*used, out} for other in draw.nodes.values()
    ):
        return
    made: dict[str, Array] = {}
    for name, part, held in zip("qkv", found, weights, strict=False):
        made |= {f"{name}.{leaf}": np.ascontiguousarray(array[part.start : part.end]) for leaf, array in held.items()}
    made |= {f"out.{leaf}": array for leaf, array in draw.weights[out].items()}
    kind = "MultiHeadAttention" if biased == {True} else "SelfAttention"
    params = {"heads": node.params.get("heads", 1)} | ({"causal": True} if node.params.get("causal") else {})
    params |= {} if biased == {True} else {"bias": False}
    draw.nodes[out] = Node(id=out, type=kind, params=params, title=draw.nodes[out].title)
    draw.weights[out] = made
    draw.edges[:] = [edge for edge in draw.edges if edge.target_node != out]
    draw.edges.append(Edge(source=source, target=f"{out}.in"))
    draw.sources[out] = {"in": source}


def _projection(draw: Drawing, ref: str) -> _Projection | None:
    """The rows of a linear layer that a port gives, through what takes its answer apart."""
    key, _, port = ref.partition(".")
    node = draw.nodes[key]
    if node.type == "Linear":
        return None if node.shares else _Projection(key, 0, draw.weights[key]["weight"].shape[0])
    if node.type == "Select":
        apart = draw.sources[key]["in"]
        linear = draw.sources.get(apart, {}).get("in", "")
        shape = draw.specs[apart].shape
        if draw.nodes[apart].type != "Reshape" or linear not in draw.nodes or draw.nodes[linear].type != "Linear":
            return None
        axis, index = node.params.get("axis"), node.params.get("index", 0)
        if len(shape) < 4 or axis != 2 or draw.specs[linear].shape[:2] != shape[:2] or not isinstance(index, int):
            return None
        width = math.prod(size or 1 for size in shape[3:])
        return _Projection(linear, index * width, (index + 1) * width)
    if node.type == "Reshape" or node.type == "Flatten":
        inner = draw.sources[key]["in"]
        found = _projection(draw, inner)
        return found if found and draw.specs[inner].shape[1] == draw.specs[key].shape[1] else None
    if node.type not in ("Chunk", "Split", "Slice"):
        return None
    linear = draw.sources[key]["in"]
    if linear not in draw.nodes or draw.nodes[linear].type != "Linear" or node.params.get("axis") != 2:
        return None
    width = draw.weights[linear]["weight"].shape[0]
    if node.type == "Slice":
        if node.params.get("step", 1) != 1:
            return None
        start, end = node.params.get("start", 0), node.params.get("end") or width
        return _Projection(linear, int(start), int(end))  # type: ignore[arg-type]
    letters = "abcdefghijklmnop"
    place = letters.index(port)
    sizes = [draw.specs[f"{key}.{letter}"].size(2) for letter in letters if f"{key}.{letter}" in draw.specs]
    start = sum(sizes[:place])
    return _Projection(linear, start, start + sizes[place])


def _only(draw: Drawing, linear: str, attention: str) -> bool:
    """Whether all that a linear layer gives goes into one attention, through what takes it apart alone."""
    for edge in draw.edges:
        if edge.source_node == linear and edge.target_node != attention:
            apart = draw.nodes[edge.target_node].type in ("Chunk", "Split", "Slice", "Select", "Reshape", "Flatten")
            if not (apart and _only(draw, edge.target_node, attention)):
                return False
    return True
