"""Weights that are the same numbers in a file: which node uses those of another."""

from __future__ import annotations

from collections.abc import Mapping

from netloom.compile.importers.layer_graph.array_views import Array, Mark, mark
from netloom.compile.importers.layer_graph.graph_builder import Drawing

# Numbers that no one learns: they say what came in at a node's own place.
_COUNTED = ("running_", "num_batches")
# From so many numbers on, a matrix that is another one turned is no chance.
_LEAST = 4


def share(draw: Drawing) -> None:
    """Let nodes that use the very same weights share them, also where one uses them transposed."""
    owners: dict[tuple[str, Mark], str] = {}
    for key, parts in draw.weights.items():
        learned = {part: array for part, array in parts.items() if not part.startswith(_COUNTED)}
        if draw.nodes[key].shares is None and _turned(draw, key, learned, owners):
            learned = draw.weights[key]
        keys = {part: mark(array) for part, array in learned.items()}
        sources = {owners[part, own] for part, own in keys.items() if (part, own) in owners and learned[part].size > 1}
        if draw.nodes[key].shares is None and len(sources) == 1:
            (other,) = sources
            other_weights = draw.weights[other]
            common = {
                part for part in learned if part in other_weights and other_weights[part].shape == learned[part].shape
            }
            if all(mark(other_weights[part]) == keys[part] for part in common):
                update = {"shares": draw.nodes[other].shares or other}
                draw.nodes[key] = draw.nodes[key].model_copy(update=update)
            else:
                draw.remark(f"{key} and {other} share weights in the file; after the import, each has its own.")
        for part, key_ in keys.items():
            owners.setdefault((part, key_), key)


def _turned(draw: Drawing, key: str, learned: Mapping[str, Array], owners: Mapping[tuple[str, Mark], str]) -> bool:
    """Make a linear layer whose weights are those of another node transposed one that multiplies by the very same."""
    weight = learned.get("weight")
    if draw.nodes[key].type != "Linear" or weight is None or weight.size < _LEAST or min(weight.shape) < 2:
        return False
    other = owners.get(("weight", mark(weight.T)))
    if other is None or ("weight", mark(weight)) in owners:
        return False
    if "bias" in learned and _same_shape(draw.weights[other].get("bias"), learned["bias"]):
        # Sharing goes by names, and would take the other's bias, too.
        draw.remark(f"{key} has the transposed weights of {other} in the file; after the import, each has its own.")
        return False
    draw.nodes[key] = draw.nodes[key].model_copy(update={"type": "TransposedLinear"})
    draw.weights[key] = {**draw.weights[key], "weight": weight.T}
    return True


def _same_shape(first: Array | None, second: Array) -> bool:
    return first is not None and first.shape == second.shape
