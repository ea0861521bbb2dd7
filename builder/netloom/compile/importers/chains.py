"""Chains of a network: sequences of parts with one input and one output each, which can be compared for equality.

Dominators of the graph, https://en.wikipedia.org/wiki/Dominator_(graph_theory), cut a network where all paths meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

import networkx as nx

from netloom.document import Edge, Network, Node
from netloom.layers import registry
from netloom.layers.form import form
from netloom.validation.graph_views import digraph, execution_order

# A tensor that at least this many layers read one after the other, such as a mask, is a side tensor: it does not belong
# to the main path of the network.
SIDE_READERS = 3
# The largest share of nodes that may depend on side tensors only; beyond it, they are the network.
MAX_APART = 0.3
_MAX_READERS = 64
# Deterministic layers without weights and with one output: equal ones on equal inputs can be merged.
_MOVES = frozenset(
    "Reshape Unsqueeze Squeeze Transpose Permute Flatten Cast Expand ScaleShift Compare Slice Select".split()
)
BOUNDARY = "boundary "  # begins the signatures of Inputs and Outputs, which no pattern may contain
_START, _END = "<", ">"  # not valid as ids of nodes

Number = int | float
NumberPath = tuple[str, str]


def numeric_parameters(node: Node) -> dict[NumberPath, Number]:
    """The numbers among a node's parameters that an expression can replace, by parameter and position within it."""
    kinds = _parameter_kinds(node.type)
    values: dict[NumberPath, Number] = {}
    for name, value in node.params.items():
        if kinds.get(name) in ("int", "float") and _is_number(value):
            values[name, ""] = value  # type: ignore[assignment]
        elif kinds.get(name) == "ints" and isinstance(value, list) and all(map(_is_number, value)):
            values |= {(name, str(position)): part for position, part in enumerate(value)}  # type: ignore[misc]
        elif kinds.get(name) == "values" and isinstance(value, dict):
            values |= {(name, key): part for key, part in value.items() if _is_number(part)}  # type: ignore[misc]
    return values


@cache
def _parameter_kinds(type_name: str) -> dict[str, str]:
    layer = registry().get(type_name)
    return {item.name: item.kind for item in form(layer)} if layer else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 10**9


def node_signature(node: Node, free: Mapping[NumberPath, Number]) -> str:
    """A text that is equal for nodes that differ in their numbers only, so that one network can contain both."""
    fixed_params = {
        name: {key: part for key, part in value.items() if (name, key) not in free} | {"": sorted(value)}
        if isinstance(value, dict)
        else len(value)
        if isinstance(value, list) and (name, "0") in free
        else value
        for name, value in node.params.items()
        if (name, "") not in free
    }
    names = sorted(node.params)
    return repr((node.type, names, sorted(fixed_params.items(), key=lambda item: item[0]), node.frozen))


def merge_duplicates(network: Network) -> Network:
    """The network without nodes that repeat a computation, such as the reshaping of a mask in each layer."""
    wiring = Wiring(network)
    replacement: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    # In execution order, so that duplicates among the inputs are replaced before their readers are compared
    for key in wiring.order:
        node = network.nodes[key]
        if node.type in _MOVES:
            inputs = sorted(
                (port, replacement.get(reference, reference)) for port, reference in wiring.incoming[key].items()
            )
            first = groups.setdefault(repr((node.type, sorted(node.params.items()), inputs)), [])
            first.append(key)
            replacement[key] = first[0]
    duplicates = {key for keys in groups.values() if len(keys) >= SIDE_READERS for key in keys[1:]}
    nodes = {key: node for key, node in network.nodes.items() if key not in duplicates}
    edges = tuple(
        Edge(source=replacement[edge.source] if edge.source in duplicates else edge.source, target=edge.target)
        for edge in network.edges
        if edge.target_node in nodes
    )
    return network.with_nodes(nodes, edges)


@dataclass(frozen=True)
class Atom:
    """A single node of a chain, or all nodes between two of them."""

    nodes: tuple[str, ...]
    is_single: bool
    signature: str


@dataclass(frozen=True)
class Subgraph:
    """Some nodes with their wiring.

    `key` is equal for subgraphs of equal structure, and `order` lists corresponding nodes at equal positions. `entries`
    are the tensors that the subgraph reads, the main one first; `exit` is its output.
    """

    key: tuple[object, ...]
    order: tuple[str, ...]
    entries: tuple[str, ...]
    exit: str


@dataclass
class Wiring:
    """The edges of a network by reader and by source, and properties that grouping derives from them."""

    network: Network
    incoming: dict[str, dict[str, str]] = field(init=False)
    readers: dict[str, list[str]] = field(init=False)
    order: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.incoming = {key: {} for key in self.network.nodes}
        self.readers = {}
        self.sources: dict[str, set[str]] = {key: set() for key in self.network.nodes}
        for edge in self.network.edges:
            self.incoming[edge.target_node][edge.target_port] = edge.source
            self.readers.setdefault(edge.source, []).append(edge.target_node)
            self.sources[edge.source_node].add(edge.source)
        self.order = execution_order(digraph(self.network))
        self.position = {key: position for position, key in enumerate(self.order)}
        self.tie_groups: dict[str, set[str]] = {}
        for key, node in self.network.nodes.items():
            if node.shares:
                self.tie_groups.setdefault(node.shares, {node.shares}).add(key)
        self.tie_groups |= {key: together for together in list(self.tie_groups.values()) for key in together}
        self.boundary_nodes = {key for key, node in self.network.nodes.items() if node.type in ("Input", "Output")}
        self.numeric_parameters = {key: numeric_parameters(node) for key, node in self.network.nodes.items()}
        self.signatures = {
            key: f"{node_signature(node, self.numeric_parameters[key])}{' tied' if key in self.tie_groups else ''}"
            for key, node in self.network.nodes.items()
        }

    @cached_property
    def side_nodes(self) -> set[str]:
        """The nodes that depend on side tensors only."""
        side_nodes: set[str] = set()
        for key in self.order:
            inputs = self.incoming[key].values()
            if inputs and all(
                reference in self._widely_read or reference.partition(".")[0] in side_nodes for reference in inputs
            ):
                side_nodes.add(key)
        side_nodes -= {key for key in side_nodes if self.network.nodes[key].type == "Output"}
        return side_nodes if len(side_nodes) <= MAX_APART * len(self.order) else set()

    @cached_property
    def side_tensors(self) -> set[str]:
        """The tensors outside the main path of the network, which do not count as inputs of a pattern."""
        if self._widely_read and not self.side_nodes and self._would_split_side_nodes():
            return set()
        return self._widely_read | {reference for key in self.side_nodes for reference in self.sources[key]}

    def _would_split_side_nodes(self) -> bool:
        return any(set(self.incoming[key].values()) <= self._widely_read for key in self.order if self.incoming[key])

    @cached_property
    def _widely_read(self) -> set[str]:
        reader_lists = {
            reference: sorted(set(keys), key=self.position.__getitem__) for reference, keys in self.readers.items()
        }
        reader_lists = {
            reference: keys for reference, keys in reader_lists.items() if SIDE_READERS <= len(keys) <= _MAX_READERS
        }
        if not reader_lists:
            return set()
        # A set of nodes is an integer with one bit per position, so that a union is one operation.
        descendants: dict[str, int] = {}
        for key in reversed(self.order):
            descendants[key] = 0
            for reference in self.sources[key]:
                for reader in self.readers[reference]:
                    descendants[key] |= descendants[reader] | 1 << self.position[reader]
        tensors = set()
        for reference, keys in reader_lists.items():
            # The longest chain of readers in which each depends on the one before; parallel readers do not count.
            depth: dict[str, int] = {}
            for key in reversed(keys):
                depth[key] = 1 + max(
                    (depth[descendant] for descendant in depth if descendants[key] >> self.position[descendant] & 1),
                    default=0,
                )
            if max(depth.values()) >= SIDE_READERS:
                tensors.add(reference)
        return tensors

    @cached_property
    def chains(self) -> list[list[Atom]]:
        """The chains of the network and of its parts, each a list of atoms in sequence."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        main_nodes = [key for key in self.order if key not in self.side_nodes]
        graph.add_nodes_from(main_nodes)
        for edge in self.network.edges:
            if edge.source not in self.side_tensors and edge.target_node in graph and edge.source_node in graph:
                graph.add_edge(edge.source_node, edge.target_node)
        exits = [key for key in main_nodes if not graph.out_degree(key)]
        # Dominators need a single root: one before all inputs, and for post-dominators one after all outputs.
        graph.add_edges_from((_START, key) for key in main_nodes if not graph.in_degree(key))
        graph.add_edges_from((key, _END) for key in exits)
        # A node is followed by its immediate post-dominator if it is in turn the immediate dominator of that: all paths
        # from the first lead to the second, and all paths to the second come from the first.
        dominators = nx.immediate_dominators(graph, _START)
        post_dominators = nx.immediate_dominators(graph.reverse(copy=False), _END)
        next_node = {
            key: post_dominators[key]
            for key in main_nodes
            if post_dominators.get(key) in self.position and dominators.get(post_dominators[key]) == key
        }
        dominated = self._dominated_nodes(dominators, main_nodes)
        continued = set(next_node.values())
        return [self._chain(key, next_node, dominated) for key in main_nodes if key not in continued]

    @cached_property
    def inner(self) -> set[str]:
        """The nodes between two single nodes of a chain."""
        return {key for chain in self.chains for atom in chain if not atom.is_single for key in atom.nodes}

    def _dominated_nodes(self, dominators: Mapping[str, str | None], nodes: Iterable[str]) -> dict[str, int]:
        """The positions of the nodes that each node dominates, as bits of an integer."""
        dominated = {key: 1 << self.position[key] for key in nodes}
        # From the end, so that a node is complete before it is added to its dominator
        for key in reversed(list(nodes)):
            parent = dominators.get(key)
            if parent in dominated and parent != key:
                dominated[parent] |= dominated[key]
        return dominated

    def _chain(self, key: str, next_node: Mapping[str, str], dominated: Mapping[str, int]) -> list[Atom]:
        atoms = [self._atom((key,), True)]
        while key in next_node:
            after = next_node[key]
            # The nodes between the two: dominated by the first, but not by the second
            bits = dominated[key] & ~dominated[after] & ~(1 << self.position[key])
            between = []
            while bits:
                low = bits & -bits
                between.append(self.order[low.bit_length() - 1])
                bits ^= low
            if between:
                atoms.append(self._atom(tuple(between), False))
            atoms.append(self._atom((after,), True))
            key = after
        return atoms

    def _atom(self, nodes: tuple[str, ...], is_single: bool) -> Atom:
        if self.boundary_nodes & set(nodes):
            return Atom(nodes, is_single, f"{BOUNDARY}{nodes[0]}")
        return Atom(nodes, is_single, "|".join(sorted(self.signatures[key] for key in nodes)))

    def subgraph(self, nodes: set[str], last: str) -> Subgraph | None:
        """The subgraph of some nodes, whose output is that of `last`; None if it has several main inputs or outputs."""
        exits = {
            reference
            for key in nodes
            for reference in self.sources[key]
            if any(reader not in nodes for reader in self.readers[reference])
        }
        if len(exits) != 1 or next(iter(exits)).partition(".")[0] != last:
            return None
        # Numbered backward from the output in the order of ports, so that equal wiring gives equal numbers
        numbering: dict[str, int] = {last: 0}
        ordered_nodes, rows = [last], []
        entries: dict[str, int] = {}
        for key in ordered_nodes:
            row: list[object] = []
            for port in sorted(self.incoming[key]):
                reference = self.incoming[key][port]
                source, _, port_name = reference.partition(".")
                if source not in nodes:
                    row.append(
                        (port, "entry", entries.setdefault(reference, len(entries)), reference in self.side_tensors)
                    )
                    continue
                if source not in numbering:
                    numbering[source] = len(numbering)
                    ordered_nodes.append(source)
                row.append((port, numbering[source], port_name))
            rows.append((self.signatures[key], tuple(row)))
        main_entries = [reference for reference in entries if reference not in self.side_tensors]
        if len(numbering) != len(nodes) or len(main_entries) != 1:
            return None
        ordered_entries = (main_entries[0], *(reference for reference in entries if reference != main_entries[0]))
        exit_port = next(iter(exits)).partition(".")[2]
        return Subgraph((exit_port, *rows), tuple(ordered_nodes), ordered_entries, next(iter(exits)))
