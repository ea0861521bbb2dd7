"""Repetitions: consecutive nodes of one network become one node that repeats it."""

from __future__ import annotations

from collections.abc import Mapping

from netloom.compile.importers.torch_export.grouped_node import GroupedNode, source_node_of
from netloom.document.network import SUBNETWORK
from netloom.layers import TensorSpec


def merge_repetitions(
    nodes: dict[str, GroupedNode], specs: dict[str, TensorSpec], everywhere: dict[str, GroupedNode] | None = None
) -> None:
    """Merge consecutive nodes of one network into one node with `repeat`, if no other node reads a tensor between them.

    `everywhere` holds the nodes of the whole network, if `nodes` are only a part of it. Both are changed in place.
    """
    all_nodes = nodes if everywhere is None else everywhere
    for key in list(nodes):
        if key not in nodes:
            continue
        chain = [key]
        while (successor := _successor(chain[-1], nodes, all_nodes, specs)) is not None:
            chain.append(successor)
        if len(chain) < 2:
            continue
        first, last = nodes[chain[0]], nodes[chain[-1]]
        weights = {
            f"{number}.{part}": array
            for number, chained in enumerate(chain)
            for part, array in nodes[chained].weights.items()
        }
        node = last.node.model_copy(update={"params": {**last.node.params, "repeat": len(chain)}})
        # h.0, h.1, … become h
        label = first.label.rpartition(".")[0] if first.label.rpartition(".")[2].isdigit() else first.label
        merged = GroupedNode(node, label, first.reads, weights, last.stack)
        for member in chain[:-1]:
            del nodes[member]
        nodes[chain[-1]] = merged
        if everywhere is not None:
            everywhere[chain[-1]] = merged
            for member in chain[:-1]:
                del everywhere[member]


def _successor(
    key: str, nodes: Mapping[str, GroupedNode], all_nodes: Mapping[str, GroupedNode], specs: Mapping[str, TensorSpec]
) -> str | None:
    """The node that continues a repetition of the same network; None if there is none."""
    item = nodes[key]
    if item.node.type != SUBNETWORK or "repeat" in item.node.params or item.node.shares is not None:
        return None
    readers = [
        reader_key
        for reader_key, reader in all_nodes.items()
        if key in {source_node_of(ref) for ref in reader.reads.values()}
    ]
    if len(readers) != 1 or readers[0] not in nodes:
        return None
    reader = nodes[readers[0]]
    same = reader.node.type == SUBNETWORK and reader.node.params == item.node.params and reader.node.shares is None
    if (
        not same
        or reader.reads.get("in") != key
        or sum(source_node_of(ref) == key for ref in reader.reads.values()) != 1
    ):
        return None
    other_reads = {port: ref for port, ref in item.reads.items() if port != "in"}
    if other_reads != {port: ref for port, ref in reader.reads.items() if port != "in"}:
        return None
    used = any(entry.node.shares in (key, readers[0]) for entry in all_nodes.values())
    # In a repetition, each output is the next input, so that their shapes must be equal.
    return readers[0] if not used and specs[item.reads["in"]] == specs[key] == specs[readers[0]] else None
