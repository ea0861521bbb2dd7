"""Networks inside other networks, and shared weights."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.layers.subnetwork import Subnetwork
from netloom.validation import fixes
from netloom.validation.along_axis import misnamed_ports, with_known_ports
from netloom.validation.context import Context
from netloom.validation.facts import Totals
from netloom.validation.issue import Fix, Issue
from netloom.validation.rule import Rule, Stage


class KnownNetwork(Rule):
    """Every subnetwork node refers to a network of the project, and sets only parameters of this network."""

    stage = Stage.NETWORKS

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key in context.of_type(Subnetwork):
            layer = context.layers[key]
            if not isinstance(layer, Subnetwork):
                continue
            label, networks = context.label(key), context.project.networks
            if layer.network not in networks:
                known = ", ".join(name for name in networks if name not in (context.name, context.project.main))
                reference = (
                    f"the network {layer.network!r}, which is not in this project" if layer.network else "no network"
                )
                message = f"{label} refers to {reference}; choose one of: {known or 'none yet'}."
                yield context.issue("unknown_network", message, key)
                continue
            parameters = networks[layer.network].parameters
            for name in layer.values:
                if name not in parameters:
                    names = ", ".join(parameters) or "none"
                    message = f"{label} sets {name!r}, but the parameters of {layer.network} are: {names}."
                    remaining = {parameter: value for parameter, value in layer.values.items() if parameter != name}
                    fix = fixes.set_params(context.name, key, {"values": remaining}, f"Remove {name}")
                    yield context.issue("unknown_value", message, key, fix=fix)


class Steps(Rule):
    """The inputs and outputs that the settings of a network along an axis name exist."""

    stage = Stage.NETWORKS

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key in context.of_type(Subnetwork):
            layer = context.layers[key]
            if not isinstance(layer, Subnetwork) or not layer.is_loop or layer.network not in context.project.networks:
                continue
            for problem in misnamed_ports(layer):
                fix = fixes.set_params(context.name, key, with_known_ports(layer), "Remove this setting")
                yield context.issue("along_axis", f"{context.label(key)}: {problem}.", key, fix=fix)


class NotInItself(Rule):
    """No network contains itself, directly or through others."""

    stage = Stage.NETWORKS

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        if not context.of_type(Subnetwork):
            return
        import networkx as nx

        project = context.project
        graph: nx.DiGraph[str] = nx.DiGraph((name, used) for name in project.networks for used in project.uses(name))
        for key in context.of_type(Subnetwork):
            layer = context.layers[key]
            if not isinstance(layer, Subnetwork) or layer.network not in graph:
                continue
            if context.name in graph and nx.has_path(graph, layer.network, context.name):
                path = " → ".join([context.name, *nx.shortest_path(graph, layer.network, context.name)])
                message = f"{context.label(key)} would contain itself: {path}. Choose another network."
                yield context.issue(
                    "network_cycle", message, key, fix=fixes.remove(context.name, [key], [], "Remove it")
                )


class Inside(Rule):
    """The network of every subnetwork node can process the inputs of the node."""

    stage = Stage.NETWORKS

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key, inner in context.inner.items():
            layer, measured = context.layers[key], context.measured.get(key)
            # Without a measurement, Netloom failed, which is another issue. A subnetwork is measured without outputs if
            # the measurement inside it did not reach its Outputs.
            if not isinstance(layer, Subnetwork) or measured is None or measured.outputs or measured.refusal:
                continue
            if layer.interface.outputs:
                shapes = " and ".join(map(str, context.specs(key).values()))
                fact = f"the network {inner.name} cannot process {shapes}; open it to see the error"
            else:
                fact = f"the network {inner.name} has no Output; open it and add one"
            yield context.issue("inside", f"{context.label(key)}: {fact}.", key)


class Sharing(Rule):
    """Layers that share weights have weights of the same names and shapes."""

    stage = Stage.NETWORKS

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        nodes = context.network.nodes
        for key, node in nodes.items():
            source = node.shares
            if source is None:
                continue
            label = context.label(key)
            edit = {"kind": "update", "node": key, "shares": None, "network": context.name}
            fix = Fix("Stop sharing weights", edit)
            if source not in nodes or source == key:
                message = f"{label} shares the weights of {source}, which is not another layer of this network."
            elif nodes[source].shares is not None:
                message = (
                    f"{label} shares the weights of {context.label(source)}, which itself shares the "
                    "weights of another layer."
                )
            elif key not in context.measured or source not in context.measured or context.count_tied_parameters(key):
                continue
            else:
                message = (
                    f"{label} and {context.label(source)} cannot share weights, because the names or "
                    "shapes of their weights differ."
                )
            yield context.issue("sharing", message, key, fix=fix)
