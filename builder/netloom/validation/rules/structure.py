"""The structure of the graph: cycles, ports, and nodes without a connection."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.core.text import natural
from netloom.document import Edge
from netloom.layers.io import Input, Output
from netloom.validation import fixes
from netloom.validation.context import Context
from netloom.validation.facts import Totals
from netloom.validation.graph_views import reachable
from netloom.validation.issue import Issue
from netloom.validation.rule import Rule, Stage

# The number of layers that the message about a cycle names.
NAMED = 20


class Empty(Rule):
    """The network has at least one node."""

    stage = Stage.STRUCTURE

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        if not context.network.nodes:
            yield context.issue("empty", "The network is empty. Drag an Input onto the canvas to start.")


class Acyclic(Rule):
    """No layer feeds itself, directly or through others."""

    stage = Stage.STRUCTURE

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        if not context.cycle_nodes:
            return
        import networkx as nx

        for part in nx.strongly_connected_components(context.graph.subgraph(context.cycle_nodes)):
            # A component is a set; a fixed first node keeps the message the same in every analysis.
            first = min(part, key=natural)
            path = [source for source, _ in nx.find_cycle(context.graph.subgraph(part), first)]
            names = [context.label(node) for node in path]
            if len(names) > NAMED:
                names[NAMED - 1 :] = [f"{len(names) - NAMED + 1} more"]
            circle = " → ".join([*names, names[0]])
            last = next(
                edge for edge in context.network.edges if edge.source_node == path[-1] and edge.target_node == path[0]
            )
            yield context.issue(
                "cycle",
                f"These layers form a cycle: {circle}. Remove one of the edges.",
                path[0],
                fix=fixes.remove(context.name, [], [last.target], f"Remove the edge into {context.label(path[0])}"),
            )


class Ports(Rule):
    """Every edge connects ports that exist."""

    stage = Stage.STRUCTURE

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for edge in context.network.edges:
            source, target = edge.source_node, edge.target_node
            if context.spec(edge) is None and source in context.layers:
                ports = context.layers[source].outputs()
                if edge.source_port not in [port.name for port in ports]:
                    yield self._unknown(context, edge, "output", source, edge.source_port)
            if target in context.layers:
                ports = context.input_ports(target)
                if edge.target_port not in [port.name for port in ports]:
                    yield self._unknown(context, edge, "input", target, edge.target_port)

    def _unknown(self, context: Context, edge: Edge, kind: str, key: str, name: str) -> Issue:
        message = f"{context.label(key)} has no {kind} port {name!r}."
        fix = fixes.remove(context.name, [], [edge.target], "Remove the edge")
        return context.issue("unknown_port", message, key, port=name, fix=fix)


class Inputs(Rule):
    """Every input port is connected."""

    stage = Stage.STRUCTURE

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        for key in context.layers:
            if key in context.measured:
                continue  # which needs all inputs
            ports = context.input_ports(key)
            for port in ports:
                if port.name in context.incoming[key]:
                    continue
                name = f"input {port.name}" if len(ports) > 1 else "input"
                message = f"{context.label(key)}: the {name} is not connected. Drag an edge to it."
                yield context.issue("missing_input", message, key, port=port.name)


class Ends(Rule):
    """The network has an Input and an Output."""

    stage = Stage.STRUCTURE

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        if not context.network.nodes:
            return
        types = {node.type for node in context.network.nodes.values()}  # including nodes with invalid parameters
        if "Input" not in types:
            yield context.issue("no_input", "The network has no Input; add one and connect it to the first layer.")
        if "Output" not in types:
            loose = [node for node in context.order if not context.successors[node]]
            ports = context.layers[loose[-1]].outputs() if loose and loose[-1] in context.layers else ()
            fix = None
            if ports:
                source = f"{loose[-1]}.{ports[0].name}"
                fix = fixes.append(context.name, context.network, source, "Output", {})
            message = "The network has no Output; add one after the last layer."
            yield context.issue("no_output", message, fix=fix)


class OutputNames(Rule):
    """No two outputs share a name."""

    stage = Stage.STRUCTURE

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        nodes_by_name: dict[str, str] = {}
        for key in context.of_type(Output):
            layer = context.layers[key]
            if isinstance(layer, Output) and nodes_by_name.setdefault(layer.name, key) != key:
                earlier = context.label(nodes_by_name[layer.name])
                message = f"{context.label(key)} and {earlier} have the same name {layer.name!r}."
                fix = fixes.set_params(context.name, key, {"name": key}, f"Rename to {key}")
                yield context.issue("duplicate_output", message, key, fix=fix)


class Reachable(Rule):
    """Every layer lies on a path from an Input to an Output."""

    stage = Stage.STRUCTURE

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        inputs, outputs = context.of_type(Input), context.of_type(Output)
        fed = {*inputs, *reachable(inputs, context.successors)}
        used = {*outputs, *reachable(outputs, context.predecessors)}
        for key in context.layers:
            if (key in fed or not inputs) and (key in used or not outputs):
                continue
            if len(context.incoming[key]) < len(context.input_ports(key)) or key in context.cycle_nodes:
                continue  # it has a more specific issue
            if inputs and key not in fed:
                yield self._issue(context, "unreachable", f"{context.label(key)} is not reachable from an Input", key)
            elif outputs and key not in used:
                yield self._issue(context, "dangling", f"{context.label(key)} does not lead to an Output", key)

    def _issue(self, context: Context, code: str, fact: str, key: str) -> Issue:
        message = f"{fact[0].upper()}{fact[1:]}, so it has no effect. Connect it or remove it."
        # Code cannot be generated for a layer that no Input reaches; a layer that no Output needs is only left out.
        severity = "error" if code == "unreachable" else "warning"
        return context.issue(
            code, message, key, severity=severity, fix=fixes.remove(context.name, [key], [], "Remove it")
        )
