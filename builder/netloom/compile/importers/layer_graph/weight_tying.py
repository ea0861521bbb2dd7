"""Weight tying: nodes whose weights are the same array in the file share them in the document."""

from __future__ import annotations

from collections.abc import Mapping

from netloom.compile.importers.layer_graph.array_views import Array, MemoryKey, memory_key
from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder

# Statistics of the inputs of a node, which are never shared
STATISTICS = ("running_", "num_batches")
# With at least this many values, a matrix does not equal a transposed one by chance.
_MIN_SIZE = 4


def tie_weights(builder: GraphBuilder) -> None:
    """Let nodes with the same weights share them, also if one uses them transposed."""
    owners: dict[tuple[str, MemoryKey], str] = {}
    for key, parts in builder.weights.items():
        learned = {part: array for part, array in parts.items() if not part.startswith(STATISTICS)}
        if builder.nodes[key].shares is None and _transpose_tied(builder, key, learned, owners):
            learned = builder.weights[key]
        keys = {part: memory_key(array) for part, array in learned.items()}
        sources = {
            owners[part, part_key]
            for part, part_key in keys.items()
            if (part, part_key) in owners and learned[part].size > 1
        }
        if builder.nodes[key].shares is None and len(sources) == 1:
            (source,) = sources
            other_weights = builder.weights[source]
            # The node shares all parameters of equal names and shapes, so that all of them must be the same arrays.
            common = {
                part for part in learned if part in other_weights and other_weights[part].shape == learned[part].shape
            }
            if all(memory_key(other_weights[part]) == keys[part] for part in common):
                update = {"shares": builder.nodes[source].shares or source}
                builder.nodes[key] = builder.nodes[key].model_copy(update=update)
            else:
                builder.remark(
                    "they share weights in the file; after the import, each has its own.", f"{key} and {source}"
                )
        for part, key_ in keys.items():
            owners.setdefault((part, key_), key)
    _flatten_chains(builder)
    _report_other_parts(builder)


def _report_other_parts(builder: GraphBuilder) -> None:
    """Remark arrays that are different parts of a layer or of two, such as both matrices of a recurrent layer."""
    owners: dict[MemoryKey, tuple[str, str]] = {}
    for key, parts in builder.weights.items():
        for part, array in parts.items() if builder.nodes[key].shares is None else ():
            owner, other_part = owners.setdefault(memory_key(array), (key, part))
            if array.size > 1 and part != other_part:
                builder.remark(
                    f"its {part} is {other_part} of {owner} in the file; after the import, each has its own values.",
                    key,
                )


def _flatten_chains(builder: GraphBuilder) -> None:
    """Let nodes that share the weights of a node, which itself shares them, share those of its owner."""
    for key, node in builder.nodes.items():
        source = node.shares
        while source is not None and (further := builder.nodes[source].shares) is not None:
            source = further
        if source != node.shares:
            builder.nodes[key] = node.model_copy(update={"shares": source})


def _transpose_tied(
    builder: GraphBuilder, key: str, learned: Mapping[str, Array], owners: Mapping[tuple[str, MemoryKey], str]
) -> bool:
    """Turn a Linear with the transposed weight of another node into a TransposedLinear. Returns whether it did."""
    weight = learned.get("weight")
    if builder.nodes[key].type != "Linear" or weight is None or weight.size < _MIN_SIZE or min(weight.shape) < 2:
        return False
    owner = owners.get(("weight", memory_key(weight.T)))
    if owner is None or ("weight", memory_key(weight)) in owners:
        return False
    if "bias" in learned and _same_shape(builder.weights[owner].get("bias"), learned["bias"]):
        # Nodes share all parameters of equal names and shapes, hence the bias as well.
        builder.remark(
            "one has the transposed weights of the other in the file; after the import, each has its own.",
            f"{key} and {owner}",
        )
        return False
    builder.nodes[key] = builder.nodes[key].model_copy(update={"type": "TransposedLinear"})
    builder.weights[key] = {**builder.weights[key], "weight": weight.T}
    return True


def _same_shape(first: Array | None, second: Array) -> bool:
    return first is not None and first.shape == second.shape
