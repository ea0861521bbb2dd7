"""The nodes of a running network by path, including those in subnetworks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netloom.document import SUBNETWORK
from netloom.explain.core.errors import UnknownChoiceError
from netloom.tasks import task

if TYPE_CHECKING:
    from torch import nn

    from netloom.document import Network, Project


@dataclass(frozen=True)
class InnerNode:
    """A node of the graph.

    `path` is the path of its module: `conv2d_1`, `block_1.linear_1` in a subnetwork, or `block_1.1.linear_1` in the
    second of several repetitions. `cut`: all information about the input passes through it.
    """

    path: str
    key: str
    network: str
    type: str
    title: str
    cut: bool


def inner_nodes(project: Project, model: nn.Module) -> list[InnerNode]:
    """Return all nodes that lead to the output, in execution order; a subnetwork precedes its nodes."""
    # A reconstruction error reads the input directly, bypassing every node.
    cut = not task(project.training.objective).reconstructs_input
    return list(_walk(project, project.main, model, "", cut=cut))


def _walk(project: Project, name: str, model: nn.Module, prefix: str, *, cut: bool) -> Iterator[InnerNode]:
    import networkx as nx

    from netloom import layers
    from netloom.compile import output_nodes
    from netloom.compile.loop_class import is_loop
    from netloom.validation.graph_views import digraph, execution_order

    network = project.networks[name]
    graph = digraph(network)
    ends = {kind: [key for key, node in network.nodes.items() if node.type == kind] for kind in ("Input", "Output")}
    if not prefix:
        # The first output is explained, unless the objective joins all outputs.
        ends["Output"] = output_nodes(project)[: None if task(project.training.objective).joins_outputs else 1]
    used = set(ends["Output"]).union(*(nx.ancestors(graph, end) for end in ends["Output"]))
    for key in execution_order(graph):
        node, module = network.nodes[key], getattr(model, key, None)
        if node.type in ("Input", "Output") or module is None or key not in used:
            continue
        # A node is a cut if no output is reachable from an input without it.
        without = graph.copy()
        without.remove_node(key)
        reachable = {node_id for source in ends["Input"] for node_id in nx.descendants(without, source) | {source}}
        # A hook reads one output of a node, so a node with two used outputs is not a cut.
        is_cut = cut and not reachable.intersection(ends["Output"]) and len(_used_ports(network, key)) < 2
        yield InnerNode(f"{prefix}{key}", key, name, node.type, layers.label(node), is_cut)
        # The activations of a network that runs once for each step are ambiguous.
        if node.type == SUBNETWORK and not is_loop(node):
            inner = str(node.params.get("network", ""))
            for number, repetition in _repetitions(module):
                yield from _walk(project, inner, repetition, f"{prefix}{key}.{number}", cut=is_cut)


def _repetitions(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the networks inside a node; none if one network runs several times, because its activations are
    ambiguous."""
    if type(module).__name__ != "Repeated":
        return [("", module)]
    if getattr(module, "times", 1) > 1:
        return []
    # Each repetition has weights of its own.
    return [(f"{number}.", repetition) for number, repetition in module.named_children()]


def top_level_nodes(project: Project, model: nn.Module) -> list[InnerNode]:
    """Return the nodes of the main network up to the logits.

    The removed output activation and the nodes after it are excluded.
    """
    import networkx as nx

    from netloom.compile.logit_network import RemovedActivation
    from netloom.validation.graph_views import digraph

    nodes = [node for node in inner_nodes(project, model) if "." not in node.path]
    graph = digraph(project.main_network)
    left_out = {node.key for node in nodes if isinstance(getattr(model, node.key), RemovedActivation)}
    excluded = left_out.union(*(nx.descendants(graph, key) for key in left_out))
    return [node for node in nodes if node.key not in excluded]


def find_node(project: Project, model: nn.Module, path: str) -> InnerNode:
    """Return the node with a path.

    Raises:
        ExplainError: The node does not exist.
    """
    nodes = {node.path: node for node in inner_nodes(project, model)}
    if path not in nodes:
        listed = ", ".join(list(nodes)[:20])
        raise UnknownChoiceError(f"There is no layer {path[:120]!r} in this network; choose one of {listed}.")
    return nodes[path]


def output_port(project: Project, node: InnerNode) -> int:
    """Return the index of the explained output of a node: the first that another node reads."""
    from netloom.layers import parse, registry
    from netloom.layers.subnetwork import Subnetwork, interface

    network = project.networks[node.network]
    layer_class, used = registry().get(node.type), _used_ports(network, node.key)
    if layer_class is None:
        return 0
    params: dict[str, Any] = dict(network.nodes[node.key].params)
    layer = layer_class.model_construct(**params)
    if node.type == SUBNETWORK:
        layer = parse(network.nodes[node.key], network.parameters)
        if isinstance(layer, Subnetwork):
            layer = layer.with_interface(interface(project.networks[layer.network]))
    names = [output.name for output in layer.outputs()]
    return next((index for index, name in enumerate(names) if name in used), 0)


def _used_ports(network: Network, key: str) -> set[str]:
    """Return the ports of a node that another node reads."""
    return {edge.source_port for edge in network.edges if edge.source_node == key}
