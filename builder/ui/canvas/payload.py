"""What the canvas is told on every run: the document, what follows from it, and what can be added."""

from __future__ import annotations

from typing import Any

from builder.check import Analysis, NodeFacts
from builder.data import Schema
from builder.graph import Edge, wire
from builder.layers import GROUPS, Layer, Port, registry
from builder.ui.live import Live


def payload(live: Live, project_id: str, client: str, refusals: list[str], height: int) -> dict[str, Any]:
    """The component's data; the TypeScript side of it is frontend/src/core/types.ts."""
    editor = live.editor
    with editor.lock:
        return {
            "document": project_id,
            "epoch": editor.epoch,
            "revision": editor.revision,
            "ack": {client: editor.acks.get(client, 0)},
            "foreign": editor.foreign(client),
            "refusals": refusals,
            "network": wire(editor.project),
            "derived": derived(live.analysis()),
            "palette": palette(live.schema()),
            "can_undo": editor.can_undo,
            "can_redo": editor.can_redo,
            "saved": live.saved,
            "height": height,
        }


def derived(analysis: Analysis) -> dict[str, Any]:
    """Facts for nodes and edges, every issue, and the totals."""
    context = analysis.context
    wrong: set[tuple[str | None, str | None]] = {(issue.node, issue.port) for issue in analysis.errors if issue.port}
    totals = analysis.totals
    return {
        "nodes": {key: _node(layer, analysis.nodes.get(key)) for key, layer in context.layers.items()},
        "edges": {edge.target: _edge(analysis, edge, wrong) for edge in context.network.edges},
        "issues": [issue.as_json() for issue in analysis.issues],
        "totals": {
            "parameters": totals.parameters,
            "flops": totals.flops,
            "memory_bytes": totals.memory_bytes,
            "layers": totals.layers,
        },
    }


def palette(schema: Schema | None) -> list[dict[str, Any]]:
    """The catalogue. A new Input reads the first field of the chosen data, and a new Embedding has its vocabulary."""
    return [_layer(name, layer, _fitting(name, schema)) for name, layer in registry().items()]


def _layer(name: str, layer: type[Layer], params: dict[str, Any]) -> dict[str, Any]:
    default = layer()
    return {
        "type": name,
        "title": layer.title,
        "group": layer.group,
        "summary": layer.summary,
        "keywords": list(layer.keywords),
        "color": GROUPS[layer.group],
        "inputs": _ports(default.inputs()),
        "outputs": _ports(default.outputs()),
        "params": params,
    }


def _fitting(name: str, schema: Schema | None) -> dict[str, Any]:
    if schema is None:
        return {}
    field = schema.inputs[0]
    if name == "Input":
        return field.parameters()
    if name == "Embedding" and field.vocabulary:
        return {"vocabulary": field.vocabulary}
    return {}


def _node(layer: Layer, facts: NodeFacts | None) -> dict[str, Any]:
    known: dict[str, Any] = {"summary": layer.brief(), "parameters": facts.parameters if facts else None}
    default = type(layer)()
    if layer.inputs() != default.inputs():
        known["inputs"] = _ports(layer.inputs())
    if layer.outputs() != default.outputs():
        known["outputs"] = _ports(layer.outputs())
    return known


def _edge(analysis: Analysis, edge: Edge, wrong: set[tuple[str | None, str | None]]) -> dict[str, Any]:
    spec = analysis.edge_spec(edge)
    return {
        "label": str(spec) if spec else "",
        "kind": spec.kind if spec else None,
        "error": (edge.target_node, edge.target_port) in wrong,
    }


def _ports(ports: tuple[Port, ...]) -> list[dict[str, Any]]:
    return [{"name": port.name, "kinds": list(port.kinds), "doc": port.doc} for port in ports]
