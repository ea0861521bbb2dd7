"""Conversion of a layer graph to a document: repeated modules become networks, and weights get their names."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from netloom.compile.importers.imported_model import ImportedModel, UnreadableModelError
from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import Array
from netloom.compile.importers.remarks import Remarks
from netloom.compile.importers.repeats import group_repeats
from netloom.compile.importers.torch_export.grouped_node import GroupedNode, node_name
from netloom.compile.importers.torch_export.grouping import Grouping
from netloom.compile.importers.torch_export.parametrization import unused_name
from netloom.compile.importers.torch_export.program import Module
from netloom.compile.importers.validity import check_network
from netloom.compile.placement import place
from netloom.core.text import plain
from netloom.document import Edge, Network, Node, Project
from netloom.document.network import MAX_NODES, SUBNETWORK


def finish(builder: GraphBuilder, owners: Mapping[str, tuple[Module, ...]], name: str) -> ImportedModel:
    """The validated document of a layer graph, and its weights as tensors.

    Raises:
        UnreadableModelError: The network is too large or invalid.
    """
    if len(builder.nodes) > MAX_NODES:
        raise UnreadableModelError(
            f"The network has {len(builder.nodes):,} nodes; a document can have at most {MAX_NODES:,}."
        )
    # By modules if possible, which reproduces the structure of the source; otherwise by repeated patterns
    grouped = _grouped(builder, owners, name)
    if grouped is not None:
        with suppress(UnreadableModelError):  # the flat network may be valid
            unique_remarks = dict.fromkeys([*builder.remarks, *grouped[2], *check_network(grouped[0])])
            return ImportedModel(grouped[0], tensors(grouped[1]), tuple(unique_remarks))
    network = Network(nodes=dict(builder.nodes), edges=tuple(builder.edges)).ordered(builder.nodes, builder.nodes)
    project = Project(name=name, networks={"main": place(network), **builder.used_networks()})
    weights = builder.all_weights()
    remarks = (*builder.remarks, *check_network(project))
    return group_repeats(ImportedModel(project, tensors(weights), remarks))


def _grouped(
    builder: GraphBuilder, owners: Mapping[str, tuple[Module, ...]], name: str
) -> tuple[Project, dict[str, Array], Remarks] | None:
    """The project with a network for each repeated module, its weights and remarks; None if no module is repeated."""
    items = {
        key: GroupedNode(
            node,
            (node.title or key).removesuffix(".weight"),
            dict(builder.sources[key]),
            builder.weights.get(key) or builder.loop_weights.get(key, {}),
            owners.get(key, ()),
        )
        for key, node in builder.nodes.items()
    }
    grouping = Grouping(items, builder.specs)
    grouping.group_modules()
    if not grouping.networks:
        return None
    names: dict[str, str] = {}
    for key, item in items.items():
        single = item.node.type != SUBNETWORK
        used_names = dict.fromkeys(names.values())
        keeps_id = single and key not in used_names and not item.node.title.endswith(".weight")
        names[key] = key if keeps_id else unused_name(node_name(item, item.label), used_names)
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    weights: dict[str, Array] = {}
    for key, item in items.items():
        node_id = names[key]
        # No title if the id expresses the same
        title = (
            ""
            if unused_name(node_name(item, item.label), {}) == node_id or item.label.isdigit()
            else plain(item.label)[:200]
        )
        shares = names.get(item.node.shares or "")
        nodes[node_id] = item.node.model_copy(update={"id": node_id, "title": title, "shares": shares})
        for port, ref in item.reads.items():
            source, dot, source_port = ref.partition(".")
            edges.append(Edge(source=f"{names[source]}{dot}{source_port}", target=f"{node_id}.{port}"))
        weights |= {f"{node_id}.{part}": array for part, array in item.weights.items()}
    main = Network(nodes=nodes, edges=tuple(edges)).ordered(nodes, nodes)
    networks = {"main": main, **grouping.networks, **builder.used_networks()}
    project = Project(name=name, networks={key: place(network) for key, network in networks.items()})
    return project, weights, grouping.remarks


def tensors(weights: Mapping[str, Array]) -> dict[str, Any]:
    """Copies of arrays as contiguous tensors, because arrays can be views of each other."""
    import torch

    return {key: torch.from_numpy(np.array(array, order="C")) for key, array in weights.items()}
