"""From a drawing to a document: modules that occur repeatedly become networks, weights get their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from netloom.compile.importers.imported_model import ImportedModel, UnreadableModelError
from netloom.compile.importers.onnx.graph_builder import Array, Drawing
from netloom.compile.importers.repeats import group_repeats
from netloom.compile.importers.torch_export.grouping import Grouping, Item, called
from netloom.compile.importers.torch_export.parametrization import free
from netloom.compile.importers.torch_export.program import Module
from netloom.compile.placement import place
from netloom.core.text import plain
from netloom.document import Edge, Network, Node, Project
from netloom.document.project import MAX_NODES, SUBNETWORK
from netloom.validation import analyse


def finished(draw: Drawing, owners: Mapping[str, tuple[Module, ...]], name: str) -> ImportedModel:
    """The document of a drawing, checked, and its weights as tensors.

    Raises:
        UnreadableModelError: it is too large, or no document that works.
    """
    if len(draw.nodes) > MAX_NODES:
        raise UnreadableModelError(
            f"The network has {len(draw.nodes):,} nodes; a document can have at most {MAX_NODES:,}."
        )
    modules = _grouped(draw, owners, name)
    if modules is not None and not analyse(modules[0]).errors:
        return ImportedModel(modules[0], tensors(modules[1]), tuple(dict.fromkeys([*draw.remarks, *modules[2]])))
    network = Network(nodes=dict(draw.nodes), edges=tuple(draw.edges)).ordered(draw.nodes, draw.nodes)
    project = Project(name=name, networks={"main": place(network)})
    weights = {f"{key}.{part}": array for key, parts in draw.weights.items() for part, array in parts.items()}
    errors = analyse(project).errors
    if errors:
        raise UnreadableModelError(f"The imported network is not valid: {plain(errors[0].message)}")
    return group_repeats(ImportedModel(project, tensors(weights), tuple(draw.remarks)))


def _grouped(
    draw: Drawing, owners: Mapping[str, tuple[Module, ...]], name: str
) -> tuple[Project, dict[str, Array], list[str]] | None:
    """The document with a network for each module that occurs repeatedly, or None where there is none."""
    items = {
        key: Item(
            node,
            (node.title or key).removesuffix(".weight"),
            dict(draw.sources[key]),
            draw.weights.get(key, {}),
            owners.get(key, ()),
        )
        for key, node in draw.nodes.items()
    }
    grouping = Grouping(items, draw.specs)
    grouping.group_repeats()
    if not grouping.networks:
        return None
    names: dict[str, str] = {}
    for key, item in items.items():
        single = item.node.type != SUBNETWORK
        taken = dict.fromkeys(names.values())
        kept = single and key not in taken and not item.node.title.endswith(".weight")
        names[key] = key if kept else free(called(item, item.label), taken)
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    weights: dict[str, Array] = {}
    for key, item in items.items():
        own = names[key]
        title = "" if free(called(item, item.label), {}) == own or item.label.isdigit() else plain(item.label)[:200]
        shares = names.get(item.node.shares or "")
        nodes[own] = item.node.model_copy(update={"id": own, "title": title, "shares": shares})
        for port, ref in item.reads.items():
            home, dot, way = ref.partition(".")
            edges.append(Edge(source=f"{names[home]}{dot}{way}", target=f"{own}.{port}"))
        weights |= {f"{own}.{part}": array for part, array in item.weights.items()}
    main = Network(nodes=nodes, edges=tuple(edges)).ordered(nodes, nodes)
    networks = {"main": main, **grouping.networks}
    project = Project(name=name, networks={key: place(network) for key, network in networks.items()})
    return project, weights, grouping.remarks


def tensors(weights: Mapping[str, Array]) -> dict[str, Any]:
    import torch

    return {key: torch.from_numpy(np.array(array, order="C")) for key, array in weights.items()}
