"""The data of the canvas on every run: the document, its analysis, and the layers that can be added."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import cache, lru_cache, partial
from hashlib import blake2b
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from netloom.data import Schema
from netloom.document import Edge, Network, Project, canvas_network
from netloom.editing.live import Live
from netloom.layers import GROUPS, Layer, Port, TensorSpec, registry
from netloom.layers.subnetwork import Subnetwork, interface
from netloom.ui.design.canvas import messages
from netloom.ui.design.canvas.about import about
from netloom.ui.design.canvas.messages import (
    AboutWish,
    CanvasData,
    Derived,
    EdgeFacts,
    LayerType,
    NetworkFacts,
    Totals,
)
from netloom.ui.design.canvas.records import Graph, Params
from netloom.ui.design.networks import standing, users
from netloom.ui.design.state import VisibleNetwork
from netloom.validation import Analysis, Context, Issue, NodeFacts
from netloom.validation.faults import fault

Part = TypeVar("Part")
# The data of a node or an edge that was sent last, after the values that it was computed from.
CachedNode = tuple[tuple[Layer | None, int | None], messages.NodeFacts]
CachedEdge = tuple[tuple[TensorSpec | None, bool], EdgeFacts]


def payload(
    live: Live,
    visible: VisibleNetwork,
    client: str,
    refusals: list[str],
    height: int,
    palettes: Collection[str] = (),
    wish: AboutWish | None = None,
    refused_at: float = 0.0,
    changes: int = 0,
) -> CanvasData:
    """Return the component's data.

    Args:
        palettes: The versions of the palette that the browser has. It is by far the largest part, and rarely changes.
        wish: The layer whose help is requested.
        refused_at: The time of the refusals, by which the browser knows which ones it has shown.
        changes: A counter of changes of the other parts of the page, which the browser then requests.
    """
    view = live.view
    project, state = view.project, view.state
    analysis = live.analysis(project)
    # Another tab may have removed the network since this one decided what to show.
    name = visible.name if visible.name in project.networks else project.main
    parts, before = _Parts(name), _cache_of(live, name)
    catalogue: tuple[list[LayerType], str] = ([], "")
    layers, version = parts.get("list the layers", lambda: palette(live.schema(project)), catalogue)
    network_facts = parts.get("list the networks", lambda: networks(project, name), _bare(project))
    help_text = parts.get(
        "describe the layer", lambda: about(analysis.networks.get(name, analysis.context), wish), None
    )
    facts = parts.get(
        "show the sizes of the layers", lambda: derived(analysis, name, parts, before), _nothing(analysis)
    )
    facts["issues"] += map(_issue, parts.faults)
    for issue in parts.faults:
        live.log("canvas", issue.detail)
    return {
        "document": live.id,
        "epoch": state.epoch,
        "revision": state.revision,
        "ack": {client: state.acks.get(client, 0)},
        "foreign": state.foreign_revision(client),
        "refusals": refusals,
        "refused_at": refused_at,
        "shown": name,
        "wish": visible.wish,
        "network": before.graph_of(project),
        "main": project.main,
        "networks": network_facts,
        "derived": facts,
        "about": help_text,
        "palette": None if version in palettes else layers,
        "palette_version": version,
        "can_undo": state.can_undo,
        "can_redo": state.can_redo,
        "saved": view.saved,
        "changes": changes,
        "height": height,
    }


class NetworkCache:
    """The last sent data of a network.

    An edit changes few nodes, and the data of the others is reused: documents are immutable, so the same object has not
    changed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: dict[str, CachedNode] = {}
        self.edges: dict[str, CachedEdge] = {}
        self._graph: tuple[Network, Graph] | None = None

    def graph_of(self, project: Project) -> Graph:
        """Return the network in the format of the canvas."""
        network, before = project.networks[self.name], self._graph
        if before is None or before[0] is not network:
            reused = (before[0].nodes, cast("Mapping[str, dict[str, Any]]", before[1]["nodes"])) if before else None
            graph = cast("Graph", canvas_network(project, self.name, reused))
            self._graph = before = (network, graph)
        return before[1]


# By project and network. An entry is removed with its project when that is closed.
_memory: WeakKeyDictionary[Live, dict[str, NetworkCache]] = WeakKeyDictionary()


def _cache_of(live: Live, name: str) -> NetworkCache:
    """Return the cache of a network, which all tabs share."""
    by_network = _memory.setdefault(live, {})
    for gone in by_network.keys() - live.project.networks.keys():
        by_network.pop(gone, None)
    return by_network.setdefault(name, NetworkCache(name))


class _Parts:
    """Computes the parts of the data besides the document. If one fails, the canvas shows the others."""

    def __init__(self, network: str) -> None:
        self.network = network
        self.faults: list[Issue] = []

    def get(self, doing: str, make: Callable[[], Part], otherwise: Part) -> Part:
        try:
            return make()
        except Exception as error:
            self.faults.append(fault(error, doing, self.network))
            return otherwise


def _bare(project: Project) -> list[NetworkFacts]:
    """Return the networks with only their names."""
    return [{"name": name, "used": True, "may_stand": False, "inputs": [], "outputs": []} for name in project.networks]


def _nothing(analysis: Analysis) -> Derived:
    """Return the issues without shapes, for a failed analysis."""
    totals: Totals = {"parameters": 0, "flops": 0, "memory_bytes": 0, "layers": 0}
    return {"nodes": {}, "edges": {}, "issues": [*map(_issue, analysis.issues)], "data": False, "totals": totals}


def _issue(issue: Issue) -> messages.Issue:
    return cast("messages.Issue", issue.as_json())


def networks(project: Project, visible: str) -> list[NetworkFacts]:
    """Every network, main first: its ports, whether it is a node somewhere, and whether it can be one in the visible
    network."""
    table, may_stand = users(project), set(standing(project, visible))
    blank = Subnetwork.model_validate({})
    entries: list[NetworkFacts] = []
    for name in sorted(project.networks, key=lambda name: name != project.main):
        layer = blank.with_interface(interface(project.networks[name]))
        inputs, outputs = _ports(layer.inputs()), _ports(layer.outputs())
        used, fits = bool(table[name]), name in may_stand
        entries.append({"name": name, "used": used, "may_stand": fits, "inputs": inputs, "outputs": outputs})
    return entries


def derived(analysis: Analysis, visible: str, parts: _Parts, before: NetworkCache) -> Derived:
    """Facts about the nodes and edges of the visible network, the issues of all networks, and the totals of main."""
    context = analysis.networks.get(visible, analysis.context)
    wrong: set[tuple[str | None, str | None]] = {
        (issue.node, issue.port) for issue in analysis.errors if issue.port and issue.network == context.name
    }
    totals = analysis.totals
    # Replaced as a whole, as other tabs may be reading the previous ones.
    before.nodes = nodes = {
        key: _cached_node(context, key, layer, parts, before.nodes.get(key)) for key, layer in context.layers.items()
    }
    before.edges = edges = {
        edge.target: _cached_edge(context, edge, wrong, before.edges.get(edge.target)) for edge in context.network.edges
    }
    return {
        "nodes": {key: entry for key, (_, entry) in nodes.items()},
        "edges": {key: entry for key, (_, entry) in edges.items()},
        "issues": [*map(_issue, analysis.issues)],
        "data": bool(analysis.context.project.data.dataset),
        "totals": {
            "parameters": totals.parameters,
            "flops": totals.flops,
            "memory_bytes": totals.memory_bytes,
            "layers": totals.layers,
        },
    }


def _cached_node(context: Context, key: str, layer: Layer, parts: _Parts, before: CachedNode | None) -> CachedNode:
    facts = context.nodes.get(key)
    parameters = facts.parameters if facts else None
    if before is not None and before[0][0] is layer and before[0][1] == parameters:
        return before
    failed = len(parts.faults)
    node_facts = parts.get(f"describe {context.label(key)}", partial(_node, layer, facts), _plain(facts))
    # A failed description is not cached: None never is the layer of the next call
    return (layer if len(parts.faults) == failed else None, parameters), node_facts


def _cached_edge(
    context: Context, edge: Edge, wrong: set[tuple[str | None, str | None]], before: CachedEdge | None
) -> CachedEdge:
    spec, is_wrong = context.spec(edge), bool(wrong) and (edge.target_node, edge.target_port) in wrong
    if before is not None and before[0][0] is spec and before[0][1] == is_wrong:
        return before
    edge_facts: EdgeFacts = {"label": str(spec) if spec else "", "kind": spec.kind if spec else None, "error": is_wrong}
    return (spec, is_wrong), edge_facts


def palette(schema: Schema | None) -> tuple[list[LayerType], str]:
    """Return the layers of the palette, and their version.

    A new Input reads the first field of the chosen data, and a new Embedding has its vocabulary.
    """
    refused = tuple(name for name in _restricted() if registry()[name].refusal())
    return _palette(refused, json.dumps(_fitting(schema)))


@cache
def _restricted() -> tuple[str, ...]:
    """Return the layers that are not available on every machine; every edit asks whether they are."""
    return tuple(name for name, layer in registry().items() if layer.is_restricted())


@lru_cache(maxsize=16)
def _palette(refused: tuple[str, ...], fitting: str) -> tuple[list[LayerType], str]:
    params = json.loads(fitting)
    offered = [name for name in registry() if name not in refused]
    layers: list[LayerType] = [{**_layer(name), "params": params.get(name, {})} for name in offered]
    return layers, blake2b(json.dumps(layers).encode(), digest_size=8).hexdigest()


@cache
def _layer(name: str) -> LayerType:
    layer = registry()[name]
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
        "params": {},
        "common": layer.is_common,
    }


def _fitting(schema: Schema | None) -> dict[str, Params]:
    """Return the parameters that new layers begin with, by type, where they are not the defaults."""
    if schema is None:
        return {}
    field = schema.inputs[0]
    vocabularies: dict[str, Params] = {
        name: {"vocabulary": field.vocabulary}
        for name, layer in registry().items()
        if field.vocabulary and layer.is_embedding and "vocabulary" in layer.model_fields
    }
    return {"Input": field.parameters(), **vocabularies}


def _plain(facts: NodeFacts | None) -> messages.NodeFacts:
    return {"summary": "", "parameters": facts.parameters if facts else None}


def _node(layer: Layer, facts: NodeFacts | None) -> messages.NodeFacts:
    description: messages.NodeFacts = {**_plain(facts), "summary": layer.brief()}
    default = _layer(type(layer).__name__)
    inputs, outputs = _ports(layer.inputs()), _ports(layer.outputs())
    if inputs != default["inputs"]:
        description["inputs"] = inputs
    if outputs != default["outputs"]:
        description["outputs"] = outputs
    return description


def _ports(ports: tuple[Port, ...]) -> list[messages.Port]:
    return [_port(port) for port in ports]


def _port(port: Port) -> messages.Port:
    description: messages.Port = {"name": port.name, "kinds": list(port.kinds), "doc": port.doc}
    if port.label:
        description["label"] = port.label
    return description
