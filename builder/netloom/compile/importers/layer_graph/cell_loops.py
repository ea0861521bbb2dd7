"""Loops over the steps of a sequence, which a program writes out as one recurrent cell after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.document import Node

_LAYERS = {"LSTMCell": "LSTM", "GRUCell": "GRU", "RNNCell": "RNN"}
# The ports of a cell that carry its state to the next step: the output of one step by the input of the next
_CARRIED = {"state": "", "memory": ".new_memory"}
_INITIAL = {"state": "initial_state", "memory": "initial_memory"}


@dataclass(frozen=True)
class _Loop:
    """The cells of a loop in the order of the steps, and the sequence (N, T, D) whose steps they read."""

    cells: tuple[str, ...]
    sequence: str


def merge_cell_loops(builder: GraphBuilder) -> dict[str, str]:
    """Replace cells with shared weights, one for each step of a sequence, by a recurrent layer.

    Returns:
        The cell whose place a new node takes, by the id of the new node.
    """
    replaced: dict[str, str] = {}
    tried: set[str] = set()
    # One at a time: the steps that a second cell reads may be outputs of the first loop.
    while (loop := next(_loops(builder, tried), None)) is not None:
        tried.add(loop.cells[0])
        replaced |= _merge(builder, loop)
    return replaced


def _loops(builder: GraphBuilder, tried: set[str]) -> Iterator[_Loop]:
    groups: dict[str, list[str]] = {}
    for key, node in builder.nodes.items():
        if node.type in _LAYERS:
            groups.setdefault(node.shares or key, []).append(key)
    for cells in groups.values():
        chain = _chain(builder, cells)
        steps = [_step(builder, builder.sources[cell]["in"]) for cell in chain]
        sequences = {source for source, _ in steps}
        if len(chain) < 2 or chain[0] in tried or len(sequences) != 1:
            continue
        (sequence,) = sequences
        if len(builder.specs[sequence].shape) == 3 and [step for _, step in steps] == list(
            range(builder.specs[sequence].size(1))
        ):
            loop = _Loop(tuple(chain), sequence)
            if not _reads_inner_memory(builder, loop):
                yield loop


def _chain(builder: GraphBuilder, cells: Sequence[str]) -> list[str]:
    """The cells in an order in which each one reads the state of the one before; empty if there is none."""
    chain = list(cells[:1])
    for cell in cells[1:]:
        reads = builder.sources[cell]
        if any(reads[port] != f"{chain[-1]}{output}" for port, output in _CARRIED.items() if port in reads):
            return []
        chain.append(cell)
    return chain


def _step(builder: GraphBuilder, ref: str) -> tuple[str, int | None]:
    """The sequence that an input is a step of, and the index of the step."""
    node = builder.nodes.get(ref)
    if node is None or node.type != "Select" or node.params.get("axis", 1) != 1 or node.params.get("keep"):
        return ref, None
    index = node.params.get("index", 0)
    return builder.sources[ref]["in"], index if isinstance(index, int) else None


def _reads_inner_memory(builder: GraphBuilder, loop: _Loop) -> bool:
    """Whether anything but the next step reads a memory cell before the last, which no layer returns."""
    inner = {f"{cell}.new_memory" for cell in loop.cells[:-1]}
    return any(
        ref in inner and not (key in loop.cells and port == "memory")
        for key, reads in builder.sources.items()
        if key in builder.nodes
        for port, ref in reads.items()
    )


def _merge(builder: GraphBuilder, loop: _Loop) -> dict[str, str]:
    first, last = loop.cells[0], loop.cells[-1]
    cell, order = builder.nodes[first], list(builder.nodes)
    inputs = {"in": builder.tensor(loop.sequence)}
    carried = {port: ref for port, ref in builder.sources[first].items() if port in _CARRIED}
    if not all(_is_zero(builder, ref) for ref in carried.values()):
        inputs |= {_INITIAL[port]: builder.tensor(ref) for port, ref in carried.items()}
    readers = [(key, port, ref) for key in order for port, ref in builder.sources[key].items()]
    params: dict[str, Any] = {**cell.params, "hidden_size": builder.specs[first].size(1)}
    params |= {"initial_state": True} if len(inputs) > 1 else {}
    params |= {"final_states": True} if any(ref == f"{last}.new_memory" for _, _, ref in readers) else {}
    weights = {f"{part}_l0": array for part, array in builder.weights[first].items()}
    key = builder.add_node(
        _LAYERS[cell.type], inputs, f"{cell.title or first} loop", weights=weights, frozen=cell.frozen, **params
    )
    refs = {f"{last}.new_memory": f"{key}.memories"}
    refs |= {concat: key for concat in order if _steps_joined(builder, concat) == list(loop.cells)}
    steps = {state: step_index for step_index, state in enumerate(loop.cells)}
    for reader, port, ref in readers:
        if reader in loop.cells:
            continue
        # A cell that reads a step of this loop may itself be part of a loop, which reads steps of a sequence.
        if ref == last and not (builder.nodes[reader].type in _LAYERS and port == "in"):
            builder.reconnect(reader, port, f"{key}.state")
        elif ref in steps:
            step = builder.add_layer("Select", builder.output(key), f"{key} step", axis=1, index=steps[ref])
            builder.reconnect(reader, port, step.ref)
        elif ref in refs:
            builder.reconnect(reader, port, refs[ref])
    new = [node for node in builder.nodes if node not in order]
    position = order.index(first)
    order = [*order[:position], *new, *(node for node in order[position:] if node not in loop.cells)]
    builder.nodes = {node: builder.nodes[node] for node in order}
    builder.edges[:] = [edge for edge in builder.edges if edge.target_node in builder.nodes]
    for removed in loop.cells:
        del builder.weights[removed]
    builder.prune()
    return dict.fromkeys(new, first)


def _steps_joined(builder: GraphBuilder, ref: str) -> list[str]:
    """The states (N, H) that a tensor (N, T, H) joins along the steps, in order."""
    node = builder.nodes.get(ref)
    if node is None:
        return []
    reads = list(builder.sources[ref].values())
    if _is_unsqueeze(builder, node):
        return reads
    if node.type != "Concat" or node.params.get("axis", 1) != 1 or len(builder.specs[ref].shape) != 3:
        return []
    parts = [_steps_joined(builder, part) for part in reads]
    return [state for part in parts for state in part] if all(parts) else []


def _is_unsqueeze(builder: GraphBuilder, node: Node) -> bool:
    """Whether a node turns (N, H) into (N, 1, H)."""
    if node.type != "Unsqueeze" or node.params.get("axis", 1) != 1:
        return False
    return len(builder.specs[builder.sources[node.id]["in"]].shape) == 2


def _is_zero(builder: GraphBuilder, ref: str) -> bool:
    node = builder.nodes.get(ref)
    return node is not None and node.type == "Constant" and set(str(node.params["values"]).split(", ")) == {"0"}
