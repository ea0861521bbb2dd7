"""Grouping: repeated patterns of a network, such as residual blocks, are replaced by nodes that use subnetworks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netloom.compile.importers.chains import Number, NumberPath, merge_duplicates
from netloom.compile.importers.imported_model import UNTIED, ImportedModel
from netloom.compile.importers.naming import ModuleNames, inner_ids, network_name, parameter_name
from netloom.compile.importers.patterns import Pattern, PatternSearch, Run, expression, independent
from netloom.compile.placement import place
from netloom.document import Edge, Network, Node, Project
from netloom.document.network import SUBNETWORK
from netloom.document.project import MAX_NETWORKS
from netloom.layers import TensorSpec
from netloom.layers.io import input_parameters
from netloom.validation import analyze
from netloom.validation.graph_views import digraph, execution_order

if TYPE_CHECKING:
    import torch

# Networks up to this size are readable without grouping.
MIN_NODES = 12
# Grouping must reduce the nodes to this share, or the network stays flat.
MAX_REMAINING = 0.8
MAX_ROUNDS = 24

Values = Mapping[str, tuple[Number, ...]]


def group_repeats(imported: ImportedModel, *, untie: bool = False) -> ImportedModel:
    """The same network with repeated patterns as subnetworks, or unchanged if that saves too few nodes.

    Outputs and the values of weights do not change; the weights get the names of `module(project).state_dict()`. With
    `untie`, layers of repeated blocks may stop sharing weights: an ONNX file stores equal tensors once, so that the
    newly initialized weights of an untrained network appear to be shared.
    """
    try:
        return _grouped(imported, untie)
    except ValueError:  # grouping is optional: a document that cannot express it stays flat
        return imported


def _grouped(imported: ImportedModel, untie: bool) -> ImportedModel:
    node_count = len(imported.project.main_network.nodes)
    if node_count <= MIN_NODES:
        return imported
    analysis = analyze(imported.project)
    if analysis.network_errors:
        return imported
    specs = {
        key if port == "out" else f"{key}.{port}": spec
        for key, facts in analysis.nodes.items()
        for port, spec in facts.outputs.items()
    }
    merged_project = imported.project.with_network(
        imported.project.main, merge_duplicates(imported.project.main_network)
    )
    grouping = Grouping(merged_project, dict(imported.weights), specs, untie)
    while grouping.rounds < MAX_ROUNDS and grouping.step():
        pass
    if len(grouping.project.main_network.nodes) > MAX_REMAINING * node_count:
        return imported
    project = grouping.project.with_network(grouping.project.main, place(grouping.project.main_network))
    remarks = tuple(dict.fromkeys((*imported.remarks, *((UNTIED,) if grouping.untied else ()))))
    result = ImportedModel(project, grouping.weights, remarks, imported.prepare)
    # The search is heuristic, so that its result is checked as a whole and discarded if anything differs.
    return result if _is_equivalent(result, analysis.totals.parameters + grouping.untied) else imported


def _is_equivalent(grouped_model: ImportedModel, parameters: int) -> bool:
    """Whether a grouped document is valid, has this number of parameters, and its weights match by name and shape."""
    import torch

    from netloom.compile.module import module

    analysis = analyze(grouped_model.project)
    if analysis.network_errors or analysis.totals.parameters != parameters:
        return False
    if not grouped_model.weights:
        return True
    with torch.device("meta"):
        expected = {key: value.shape for key, value in module(grouped_model.project).state_dict().items()}
    missing = [key for key in expected if key not in grouped_model.weights and not key.endswith("num_batches_tracked")]
    return not missing and all(expected.get(key) == value.shape for key, value in grouped_model.weights.items())


@dataclass
class Grouping:
    """A project while it is grouped; `specs` are the tensors of the main network by node or node.port."""

    project: Project
    weights: dict[str, torch.Tensor]
    specs: dict[str, TensorSpec]
    untie: bool = False
    rounds: int = 0
    untied: int = 0

    def __post_init__(self) -> None:
        self.names = ModuleNames(self.project.main_network)

    def step(self) -> bool:
        """Replace the pattern that saves the most nodes by a network. Returns whether there was one."""
        main = self.project.main_network
        if len(main.nodes) <= MIN_NODES or len(self.project.networks) >= MAX_NETWORKS:
            return False
        weighted = frozenset(key.partition(".")[0] for key in self.weights)
        search = PatternSearch(main, self.specs, self.names, weighted, self.untie)
        pattern = search.best()
        if pattern is None:
            return False
        self.rounds += 1
        self._count_untied(pattern)
        wiring, pattern_nodes = search.wiring, set(pattern.first.order)
        first_readers = {key for key in wiring.readers[pattern.first.entries[0]] if key in pattern_nodes}
        skips = any(main.nodes[key].type == "Add" for key in first_readers)
        name = network_name([main.nodes[key] for key in pattern.first.order], skips, self.project.networks)
        order = {key: number for number, key in enumerate(wiring.order)}
        ids = inner_ids(sorted(pattern.first.order, key=order.__getitem__), main, self.names)
        inner_network, values = self._inner_network(pattern, ids)
        outer_network = self._outer_network(
            pattern, name, inner_network, values, [ids[key] for key in pattern.first.order]
        )
        networks = {**self.project.networks, self.project.main: outer_network, name: place(inner_network)}
        self.project = self.project.model_copy(update={"networks": networks})
        return True

    def _count_untied(self, pattern: Pattern) -> None:
        """Count the parameters that the occurrences of a pattern no longer share."""
        nodes = self.project.main_network.nodes
        untied_nodes = {key for key in pattern.tied if nodes[key].shares}
        self.untied += sum(
            value.numel() for key, value in self.weights.items() if key.partition(".")[0] in untied_nodes
        )

    def _outer_network(
        self, pattern: Pattern, name: str, inner_network: Network, values: Values, inner_ids: list[str]
    ) -> Network:
        """The main network with one node in place of each run of a pattern; also renames the weights."""
        main = self.project.main_network
        nodes = dict(main.nodes)
        ports = list(inner_network.ports("Input").values())
        exits: dict[str, str] = {}
        prefixes: dict[str, str] = {}
        entry_edges: list[Edge] = []
        for number, run in enumerate(pattern.runs):
            run_nodes = [key for subgraph in run.subgraphs for key in subgraph.order]
            key, title = self.names.subnetwork_id(run_nodes, name, {**main.nodes, **nodes})
            arguments = {parameter: column[number] for parameter, column in values.items()}
            params = _subnetwork_params(name, run, pattern.shared, arguments)
            nodes[key] = Node.model_validate({"id": key, "type": SUBNETWORK, "params": params, "title": title})
            pairs = zip(run.subgraphs[0].entries, ports, strict=True)
            entry_edges += [Edge(source=reference, target=f"{key}.{port}") for reference, port in pairs]
            exits[run.subgraphs[-1].exit] = key
            self.specs[key] = self.specs[run.subgraphs[-1].exit]
            for repetition, subgraph in enumerate(run.subgraphs):
                prefix = f"{key}.{repetition}" if len(run.subgraphs) > 1 else key
                prefix = "" if pattern.shared and repetition else prefix
                prefixes |= {old: f"{prefix}.{new}" for old, new in zip(subgraph.order, inner_ids, strict=True)}
            self.names.replace(run_nodes, key)
            for old in run_nodes:
                del nodes[old]
        edges = [*(edge for edge in main.edges if edge.target_node in nodes), *entry_edges]
        # Only now, because a run can read the output of a run that is replaced after it
        edges = [Edge(source=exits.get(edge.source, edge.source), target=edge.target) for edge in edges]
        self._rename_weights(prefixes)
        outer = main.with_nodes(nodes, edges)
        return outer.model_copy(update={"nodes": {key: nodes[key] for key in execution_order(digraph(outer))}})

    def _rename_weights(self, prefixes: Mapping[str, str]) -> None:
        """Replace the node names in the weights' names; those with an empty prefix are shared and drop out."""
        renamed = {}
        for key, value in self.weights.items():
            node, dot, parameter = key.partition(".")
            prefix = prefixes.get(node, node)
            if not prefix.startswith("."):
                renamed[f"{prefix}{dot}{parameter}"] = value
        self.weights = renamed

    def _inner_network(self, pattern: Pattern, ids: Mapping[str, str]) -> tuple[Network, Values]:
        """The pattern as a network, and the values of its parameters in each run."""
        main, first = self.project.main_network, pattern.first
        texts, values = self._parameters(pattern)
        input_ids = {entry: f"input_{number}" for number, entry in enumerate(first.entries, 1)}
        nodes = {key: _input_node(key, self.specs[entry]) for entry, key in input_ids.items()}
        positions = {key: number for number, key in enumerate(first.order)}
        for old, key in ids.items():
            params: dict[str, Any] = dict(main.nodes[old].params)
            for (owner, (name, part)), text in texts.items():
                if owner == positions[old]:
                    params[name] = _replace_element(params[name], part, text)
            fields = main.nodes[old].model_dump(mode="json")
            # Weights are shared only between occurrences, which `shared` expresses or `untie` gives up.
            nodes[key] = Node.model_validate({**fields, "id": key, "params": params, "title": "", "shares": None})

        def inner(reference: str) -> str:
            source, _, port = reference.partition(".")
            return input_ids.get(reference) or (f"{ids[source]}.{port}" if port else ids[source])

        nodes["output_1"] = Node(id="output_1", type="Output")
        edges = [
            Edge(source=inner(edge.source), target=f"{ids[edge.target_node]}.{edge.target_port}")
            for edge in main.edges
            if edge.target_node in ids
        ]
        edges.append(Edge(source=inner(first.exit), target="output_1"))
        defaults = {name: column[0] for name, column in values.items()}
        return Network(parameters=defaults, nodes=nodes, edges=tuple(edges)), values

    def _parameters(self, pattern: Pattern) -> tuple[dict[tuple[int, NumberPath], str], Values]:
        """The numbers that differ, as expressions over network parameters, and the parameters' values in each run."""
        columns = [
            tuple(run.values[column_index] for run in pattern.runs) for column_index in range(len(pattern.columns))
        ]
        values: dict[str, tuple[Number, ...]] = {}
        for owner in sorted(independent(columns)):
            _, (name, part) = pattern.columns[owner]
            values[parameter_name(name, part, values)] = columns[owner]
        texts = {
            where: next(
                text for name, column_values in values.items() if (text := expression(name, column_values, column))
            )
            for where, column in zip(pattern.columns, columns, strict=True)
        }
        return texts, values


def _subnetwork_params(name: str, run: Run, shared: bool, values: Mapping[str, Number]) -> dict[str, Any]:
    """The layer parameters of the node that replaces a run."""
    params: dict[str, Any] = {"network": name}
    if len(run.subgraphs) > 1:
        params["repeat"] = len(run.subgraphs)
    if shared:
        params["shared"] = True
    return {**params, "values": dict(values)} if values else params


def _replace_element(value: Any, part: str, text: str) -> Any:
    if isinstance(value, list):
        return [text if str(index) == part else item for index, item in enumerate(value)]
    return {**value, part: text} if isinstance(value, dict) else text


def _input_node(key: str, spec: TensorSpec) -> Node:
    """An Input node for a tensor."""
    return Node(id=key, type="Input", params=input_parameters(spec))
