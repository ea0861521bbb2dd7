"""What follows what in a network: its parts with one way in and one way out, and which of them are built alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

import networkx as nx

from netloom.document import Edge, Network, Node
from netloom.layers import registry
from netloom.layers.form import form
from netloom.validation.graph_views import digraph, execution_order

# A tensor that this many layers read one after the other, such as a mask, stands beside the way through the network.
SIDE_READERS = 3
# Which part of a network may hang on such tensors alone.
MOST_APART = 0.3
_MOST_READERS = 64
# Layers that draw nothing by chance and have one output.
_MOVES = frozenset(
    "Reshape Unsqueeze Squeeze Transpose Permute Flatten Cast Expand ScaleShift Compare Slice Select".split()
)
_START, _END = "<", ">"  # no node is called so

Number = int | float
Place = tuple[str, str]


def numbers(node: Node) -> dict[Place, Number]:
    """The numbers among a node's parameters for which an expression may stand, by parameter and place in it."""
    kinds = _kinds(node.type)
    found: dict[Place, Number] = {}
    for name, value in node.params.items():
        if kinds.get(name) in ("int", "float") and _is_number(value):
            found[name, ""] = value  # type: ignore[assignment]
        elif kinds.get(name) == "ints" and isinstance(value, list) and all(map(_is_number, value)):
            found |= {(name, str(place)): part for place, part in enumerate(value)}  # type: ignore[misc]
        elif kinds.get(name) == "values" and isinstance(value, dict):
            found |= {(name, key): part for key, part in value.items() if _is_number(part)}  # type: ignore[misc]
    return found


@cache
def _kinds(type_name: str) -> dict[str, str]:
    layer = registry().get(type_name)
    return {item.name: item.kind for item in form(layer)} if layer else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 10**9


def looks(node: Node, free: Mapping[Place, Number]) -> str:
    """What has to be alike for two nodes to be uses of one: all but the numbers."""
    fixed = {
        name: {key: part for key, part in value.items() if (name, key) not in free} | {"": sorted(value)}
        if isinstance(value, dict)
        else len(value)
        if isinstance(value, list) and (name, "0") in free
        else value
        for name, value in node.params.items()
        if (name, "") not in free
    }
    names = sorted(node.params)
    return repr((node.type, names, sorted(fixed.items(), key=lambda item: item[0]), node.frozen))


def merged(network: Network) -> Network:
    """The network without nodes that move the same numbers in the same way as others, such as a mask in each layer."""
    wiring = Wiring(network)
    instead: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for key in wiring.order:
        node = network.nodes[key]
        if node.type in _MOVES:
            given = sorted((port, instead.get(ref, ref)) for port, ref in wiring.incoming[key].items())
            first = groups.setdefault(repr((node.type, sorted(node.params.items()), given)), [])
            first.append(key)
            instead[key] = first[0]
    gone = {key for keys in groups.values() if len(keys) >= SIDE_READERS for key in keys[1:]}
    nodes = {key: node for key, node in network.nodes.items() if key not in gone}
    edges = tuple(
        Edge(source=instead[edge.source] if edge.source in gone else edge.source, target=edge.target)
        for edge in network.edges
        if edge.target_node in nodes
    )
    return network.with_nodes(nodes, edges)


@dataclass(frozen=True)
class Atom:
    """A node on the way, or all that lies between it and the next."""

    nodes: tuple[str, ...]
    alone: bool
    mark: str


@dataclass(frozen=True)
class Shape:
    """Some nodes as they are wired: `key` is equal for those built alike, `order` lists the nodes in the same order."""

    key: tuple[object, ...]
    order: tuple[str, ...]
    entries: tuple[str, ...]
    exit: str


@dataclass
class Wiring:
    """Who reads what in a network."""

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
        self.place = {key: place for place, key in enumerate(self.order)}
        self.ties: dict[str, set[str]] = {}
        for key, node in self.network.nodes.items():
            if node.shares:
                self.ties.setdefault(node.shares, {node.shares}).add(key)
        self.ties |= {key: together for together in list(self.ties.values()) for key in together}
        self.barred = {key for key, node in self.network.nodes.items() if node.type in ("Input", "Output")}
        self.numbers = {key: numbers(node) for key, node in self.network.nodes.items()}
        self.marks = {
            key: f"{looks(node, self.numbers[key])}{' tied' if key in self.ties else ''}"
            for key, node in self.network.nodes.items()
        }

    @cached_property
    def apart(self) -> set[str]:
        """The nodes that read nothing but tensors that stand beside the way."""
        found: set[str] = set()
        for key in self.order:
            given = self.incoming[key].values()
            if given and all(ref in self._beside or ref.partition(".")[0] in found for ref in given):
                found.add(key)
        found -= {key for key in found if self.network.nodes[key].type == "Output"}
        return found if len(found) <= MOST_APART * len(self.order) else set()

    @cached_property
    def sides(self) -> set[str]:
        """The tensors that stand beside the way through the network."""
        if self._beside and not self.apart and self._all_apart():
            return set()
        return self._beside | {ref for key in self.apart for ref in self.sources[key]}

    def _all_apart(self) -> bool:
        return any(set(self.incoming[key].values()) <= self._beside for key in self.order if self.incoming[key])

    @cached_property
    def _beside(self) -> set[str]:
        many = {ref: sorted(set(keys), key=self.place.__getitem__) for ref, keys in self.readers.items()}
        many = {ref: keys for ref, keys in many.items() if SIDE_READERS <= len(keys) <= _MOST_READERS}
        if not many:
            return set()
        after: dict[str, int] = {}
        for key in reversed(self.order):
            after[key] = 0
            for ref in self.sources[key]:
                for reader in self.readers[ref]:
                    after[key] |= after[reader] | 1 << self.place[reader]
        found = set()
        for ref, keys in many.items():
            depth: dict[str, int] = {}
            for key in reversed(keys):
                depth[key] = 1 + max(
                    (depth[other] for other in depth if after[key] >> self.place[other] & 1), default=0
                )
            if max(depth.values()) >= SIDE_READERS:
                found.add(ref)
        return found

    @cached_property
    def chains(self) -> list[list[Atom]]:
        """The ways through the network and through its parts, as atoms one after the other."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        inside = [key for key in self.order if key not in self.apart]
        graph.add_nodes_from(inside)
        for edge in self.network.edges:
            if edge.source not in self.sides and edge.target_node in graph and edge.source_node in graph:
                graph.add_edge(edge.source_node, edge.target_node)
        ends = [key for key in inside if not graph.out_degree(key)]
        graph.add_edges_from((_START, key) for key in inside if not graph.in_degree(key))
        graph.add_edges_from((key, _END) for key in ends)
        above = nx.immediate_dominators(graph, _START)
        below = nx.immediate_dominators(graph.reverse(copy=False), _END)
        following = {key: below[key] for key in inside if below.get(key) in self.place and above.get(below[key]) == key}
        under = self._under(above, inside)
        started = set(following.values())
        return [self._chain(key, following, under) for key in inside if key not in started]

    @cached_property
    def inner(self) -> set[str]:
        """The nodes that lie between two others of a chain."""
        return {key for chain in self.chains for atom in chain if not atom.alone for key in atom.nodes}

    def _under(self, above: Mapping[str, str | None], inside: Iterable[str]) -> dict[str, int]:
        """By node: the places of those that are reached through it alone, as bits."""
        under = {key: 1 << self.place[key] for key in inside}
        for key in reversed(list(inside)):
            parent = above.get(key)
            if parent in under and parent != key:
                under[parent] |= under[key]
        return under

    def _chain(self, key: str, following: Mapping[str, str], under: Mapping[str, int]) -> list[Atom]:
        atoms = [self._atom((key,), True)]
        while key in following:
            after = following[key]
            bits = under[key] & ~under[after] & ~(1 << self.place[key])
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

    def _atom(self, nodes: tuple[str, ...], alone: bool) -> Atom:
        if self.barred & set(nodes):
            return Atom(nodes, alone, f"barred {nodes[0]}")
        return Atom(nodes, alone, "|".join(sorted(self.marks[key] for key in nodes)))

    def shape(self, nodes: set[str], last: str) -> Shape | None:
        """How some nodes are wired; None where there is more than one way in or out of them."""
        leaving = {
            ref
            for key in nodes
            for ref in self.sources[key]
            if any(reader not in nodes for reader in self.readers[ref])
        }
        if len(leaving) != 1 or next(iter(leaving)).partition(".")[0] != last:
            return None
        number: dict[str, int] = {last: 0}
        waiting, rows = [last], []
        entries: dict[str, int] = {}
        for key in waiting:
            row: list[object] = []
            for port in sorted(self.incoming[key]):
                ref = self.incoming[key][port]
                source, _, out = ref.partition(".")
                if source not in nodes:
                    row.append((port, "entry", entries.setdefault(ref, len(entries)), ref in self.sides))
                    continue
                if source not in number:
                    number[source] = len(number)
                    waiting.append(source)
                row.append((port, number[source], out))
            rows.append((self.marks[key], tuple(row)))
        main = [ref for ref in entries if ref not in self.sides]
        if len(number) != len(nodes) or len(main) != 1:
            return None
        ordered = (main[0], *(ref for ref in entries if ref != main[0]))
        leaves = next(iter(leaving)).partition(".")[2]
        return Shape((leaves, *rows), tuple(waiting), ordered, next(iter(leaving)))
