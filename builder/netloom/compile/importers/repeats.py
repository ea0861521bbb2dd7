"""Networks that repeat a pattern, such as residual blocks, as a few nodes that stand for networks of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netloom.compile.importers.chains import Number, Place, merged
from netloom.compile.importers.imported_model import UNTIED, Imported
from netloom.compile.importers.naming import Names, inner_ids, network_name, parameter_name
from netloom.compile.importers.patterns import Pattern, Run, Search, expression, independent
from netloom.compile.placement import place
from netloom.document import Edge, Network, Node, Project
from netloom.document.project import MAX_NETWORKS, SUBNETWORK
from netloom.layers import TensorSpec
from netloom.validation import analyse
from netloom.validation.graph_views import digraph, execution_order

if TYPE_CHECKING:
    import torch

# Networks of no more nodes than these are easy to see as they are.
SMALL = 12
# At most this part of the nodes may be left, or the network stays as it was.
WORTH = 0.8
MOST_ROUNDS = 24
_KINDS = {1: "vector", 2: "sequence", 3: "image", 4: "volume"}

Values = Mapping[str, tuple[Number, ...]]


def grouped(found: Imported, *, untie: bool = False) -> Imported:
    """The same network with what repeats in it as networks of their own, or unchanged where that gains nothing.

    Outputs and weights stay what they are; the weights are renamed to those of `module(project).state_dict()`. With
    `untie`, layers of repeated blocks may stop sharing weights: files hold equal tensors once, also where a network
    was written before it was trained, so that they tell nothing about what belongs together.
    """
    try:
        return _grouped(found, untie)
    except ValueError:  # a document that cannot be made so stays as it was
        return found


def _grouped(found: Imported, untie: bool) -> Imported:
    before = len(found.project.main_network.nodes)
    if before <= SMALL:
        return found
    analysis = analyse(found.project)
    if analysis.errors:
        return found
    specs = {
        key if port == "out" else f"{key}.{port}": spec
        for key, facts in analysis.nodes.items()
        for port, spec in facts.outputs.items()
    }
    start = found.project.with_network(found.project.main, merged(found.project.main_network))
    work = Grouping(start, dict(found.weights), specs, untie)
    while work.rounds < MOST_ROUNDS and work.step():
        pass
    if len(work.project.main_network.nodes) > WORTH * before:
        return found
    project = work.project.with_network(work.project.main, place(work.project.main_network))
    remarks = tuple(dict.fromkeys((*found.remarks, *((UNTIED,) if work.untied else ()))))
    result = Imported(project, work.weights, remarks, found.prepare)
    return result if _fits(result, analysis.totals.parameters + work.untied) else found


def _fits(made: Imported, parameters: int) -> bool:
    """Whether a grouped document works, has so many parameters, and its weights belong to it by name and shape."""
    import torch

    from netloom.compile.module import module

    analysis = analyse(made.project)
    if analysis.errors or analysis.totals.parameters != parameters:
        return False
    if not made.weights:
        return True
    with torch.device("meta"):
        expected = {key: value.shape for key, value in module(made.project).state_dict().items()}
    missing = [key for key in expected if key not in made.weights and not key.endswith("num_batches_tracked")]
    return not missing and all(expected.get(key) == value.shape for key, value in made.weights.items())


@dataclass
class Grouping:
    """A project on its way from one flat network to several; `specs` are the shapes of main's tensors."""

    project: Project
    weights: dict[str, torch.Tensor]
    specs: dict[str, TensorSpec]
    untie: bool = False
    rounds: int = 0
    untied: int = 0

    def __post_init__(self) -> None:
        self.names = Names(self.project.main_network)

    def step(self) -> bool:
        """Make a network of the pattern that saves most; whether there was any."""
        main = self.project.main_network
        if len(main.nodes) <= SMALL or len(self.project.networks) >= MAX_NETWORKS:
            return False
        weighted = frozenset(key.partition(".")[0] for key in self.weights)
        search = Search(main, self.specs, self.names, weighted, self.untie)
        pattern = search.best()
        if pattern is None:
            return False
        self.rounds += 1
        self._untie(pattern)
        wiring, inside = search.wiring, set(pattern.first.order)
        entering = {key for key in wiring.readers[pattern.first.entries[0]] if key in inside}
        skips = any(main.nodes[key].type == "Add" for key in entering)
        name = network_name([main.nodes[key] for key in pattern.first.order], skips, self.project.networks)
        order = {key: number for number, key in enumerate(wiring.order)}
        ids = inner_ids(sorted(pattern.first.order, key=order.__getitem__), main, self.names)
        made, values = self._network(pattern, ids)
        outer = self._outside(pattern, name, made, values, [ids[key] for key in pattern.first.order])
        networks = {**self.project.networks, self.project.main: outer, name: place(made)}
        self.project = self.project.model_copy(update={"networks": networks})
        return True

    def _untie(self, pattern: Pattern) -> None:
        """Count what is no longer shared by the occurrences of a pattern."""
        nodes = self.project.main_network.nodes
        gone = {key for key in pattern.tied if nodes[key].shares}
        self.untied += sum(value.numel() for key, value in self.weights.items() if key.partition(".")[0] in gone)

    def _outside(self, pattern: Pattern, name: str, made: Network, values: Values, ids: list[str]) -> Network:
        """The main network with a node in the place of each run of a pattern; weights are renamed on the way."""
        main = self.project.main_network
        nodes = dict(main.nodes)
        ports = list(made.ports("Input").values())
        exits: dict[str, str] = {}
        prefixes: dict[str, str] = {}
        entering: list[Edge] = []
        for number, run in enumerate(pattern.runs):
            inside = [key for shape in run.shapes for key in shape.order]
            key, title = self.names.use(inside, name, {**main.nodes, **nodes})
            given = {parameter: column[number] for parameter, column in values.items()}
            params = _use(name, run, pattern.shared, given)
            nodes[key] = Node.model_validate({"id": key, "type": SUBNETWORK, "params": params, "title": title})
            pairs = zip(run.shapes[0].entries, ports, strict=True)
            entering += [Edge(source=ref, target=f"{key}.{port}") for ref, port in pairs]
            exits[run.shapes[-1].exit] = key
            self.specs[key] = self.specs[run.shapes[-1].exit]
            for repetition, shape in enumerate(run.shapes):
                start = f"{key}.{repetition}" if len(run.shapes) > 1 else key
                start = "" if pattern.shared and repetition else start
                prefixes |= {old: f"{start}.{new}" for old, new in zip(shape.order, ids, strict=True)}
            self.names.replace(inside, key)
            for old in inside:
                del nodes[old]
        edges = [*(edge for edge in main.edges if edge.target_node in nodes), *entering]
        edges = [Edge(source=exits.get(edge.source, edge.source), target=edge.target) for edge in edges]
        self._rename(prefixes)
        outer = main.with_nodes(nodes, edges)
        return outer.model_copy(update={"nodes": {key: nodes[key] for key in execution_order(digraph(outer))}})

    def _rename(self, prefixes: Mapping[str, str]) -> None:
        """Put other names before those of weights; those without any are the same once more, and fall away."""
        renamed = {}
        for key, value in self.weights.items():
            node, dot, rest = key.partition(".")
            start = prefixes.get(node, node)
            if not start.startswith("."):
                renamed[f"{start}{dot}{rest}"] = value
        self.weights = renamed

    def _network(self, pattern: Pattern, ids: Mapping[str, str]) -> tuple[Network, Values]:
        """The pattern as a network, and its parameters with what they are in each run."""
        main, first = self.project.main_network, pattern.first
        texts, values = self._parameters(pattern)
        arrives = {entry: f"input_{number}" for number, entry in enumerate(first.entries, 1)}
        nodes = {key: _input(key, self.specs[entry]) for entry, key in arrives.items()}
        places = {key: number for number, key in enumerate(first.order)}
        for old, key in ids.items():
            params: dict[str, Any] = dict(main.nodes[old].params)
            for (owner, (name, part)), text in texts.items():
                if owner == places[old]:
                    params[name] = _put(params[name], part, text)
            plain = main.nodes[old].model_dump(mode="json")
            nodes[key] = Node.model_validate({**plain, "id": key, "params": params, "title": "", "shares": None})

        def inner(ref: str) -> str:
            source, _, port = ref.partition(".")
            return arrives.get(ref) or (f"{ids[source]}.{port}" if port else ids[source])

        nodes["output_1"] = Node(id="output_1", type="Output")
        edges = [
            Edge(source=inner(edge.source), target=f"{ids[edge.target_node]}.{edge.target_port}")
            for edge in main.edges
            if edge.target_node in ids
        ]
        edges.append(Edge(source=inner(first.exit), target="output_1"))
        defaults = {name: column[0] for name, column in values.items()}
        return Network(parameters=defaults, nodes=nodes, edges=tuple(edges)), values

    def _parameters(self, pattern: Pattern) -> tuple[dict[tuple[int, Place], str], Values]:
        """The numbers that differ, as expressions over parameters, and what the parameters are in each run."""
        columns = [tuple(run.values[place] for run in pattern.runs) for place in range(len(pattern.columns))]
        values: dict[str, tuple[Number, ...]] = {}
        for owner in sorted(independent(columns)):
            _, (name, part) = pattern.columns[owner]
            values[parameter_name(name, part, values)] = columns[owner]
        texts = {
            where: next(text for name, own in values.items() if (text := expression(name, own, column)))
            for where, column in zip(pattern.columns, columns, strict=True)
        }
        return texts, values


def _use(name: str, run: Run, shared: bool, values: Mapping[str, Number]) -> dict[str, Any]:
    """The parameters of a node that stands for a run."""
    params: dict[str, Any] = {"network": name}
    if len(run.shapes) > 1:
        params["repeat"] = len(run.shapes)
    if shared:
        params["shared"] = True
    return {**params, "values": dict(values)} if values else params


def _put(value: Any, part: str, text: str) -> Any:
    if isinstance(value, list):
        return [text if str(place) == part else item for place, item in enumerate(value)]
    return {**value, part: text} if isinstance(value, dict) else text


def _input(key: str, spec: TensorSpec) -> Node:
    """An Input for a tensor."""
    shape: list[Any] = [spec.size(axis) for axis in range(1, len(spec.shape))]
    kind = "indices" if spec.dtype == "int" else _KINDS.get(len(shape), "tensor")
    return Node(id=key, type="Input", params={"kind": kind, "shape": shape})
