"""Small networks for tests, written as chains and edges."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from netloom.data import Schema
from netloom.data.builtin_registry import builtin
from netloom.document import DataChoice, Edge, Network, Node, Project, Training

IMAGE = ("Input", {"field": "image", "kind": "image", "shape": [1, 8, 8]})
TABLE = ("Input", {"field": "features", "kind": "vector", "shape": [30]})
TOKENS = ("Input", {"field": "text", "kind": "tokens", "shape": [12], "vocabulary": 50})


def project(nodes: dict[str, tuple[str, dict[str, Any]]], edges: list[tuple[str, str]], **rest: Any) -> Project:
    """A project of nodes `{id: (type, params)}` and edges `(source, target)`."""
    typed_nodes = {key: Node(id=key, type=kind, params=params) for key, (kind, params) in nodes.items()}
    network = Network(nodes=typed_nodes, edges=tuple(Edge(source=source, target=target) for source, target in edges))
    return Project(name=rest.pop("name", "Test"), networks={"main": network}, **rest)


def chain(*layers: tuple[str, dict[str, Any]], output: bool = True, **rest: Any) -> Project:
    """A project with a sequential network, with an Output after the last layer."""
    steps = [*layers, ("Output", {})] if output else list(layers)
    nodes: dict[str, tuple[str, dict[str, Any]]] = {}
    for kind, params in steps:
        number = sum(name.rpartition("_")[0] == kind.lower() for name in nodes) + 1
        nodes[f"{kind.lower()}_{number}"] = (kind, params)
    ids = list(nodes)
    return project(nodes, list(pairwise(ids)), **rest)


def with_rows(document: Project, rows: int) -> Project:
    """The document with fewer rows of its built-in dataset, if that can have fewer."""
    data = document.data
    if "rows" not in builtin()[data.dataset].model_fields:
        return document
    return document.model_copy(update={"data": data.model_copy(update={"options": {**data.options, "rows": rows}})})


def digits_mlp(**training: Any) -> Project:
    """A small multi-layer perceptron on the digits."""
    return chain(
        IMAGE,
        ("Flatten", {}),
        ("Linear", {"units": 64}),
        ("ReLU", {}),
        ("Linear", {"units": 10}),
        name="Digits",
        data=DataChoice(dataset="digits"),
        training=Training(**{"epochs": 3, **training}),
    )


def network(
    nodes: dict[str, tuple[str, dict[str, Any]]], edges: list[tuple[str, str]] | None = None, **parameters: float
) -> Network:
    """A network of nodes `{id: (type, params)}` with exposed parameters; without edges each node feeds the next."""
    typed_nodes = {key: Node(id=key, type=kind, params=params) for key, (kind, params) in nodes.items()}
    connections = edges if edges is not None else list(pairwise(nodes))
    all_edges = tuple(Edge(source=source, target=target) for source, target in connections)
    return Network(nodes=typed_nodes, edges=all_edges, parameters=parameters)


def networks(**by_name: Network) -> Project:
    """A project of several networks, one of them called main."""
    return Project(name="Test", networks=by_name)


def of_every_field(schema: Schema, outputs: int, **rest: Any) -> Project:
    """A network that reads every field of the data: features directly, tokens through an embedding."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {}
    edges: list[tuple[str, str]] = []
    for number, field in enumerate(schema.inputs):
        nodes[f"input_{number}"] = ("Input", field.parameters())
        end = f"input_{number}"
        if field.kind == "tokens":
            nodes[f"embedding_{number}"] = ("Embedding", {"vocabulary": field.vocabulary, "dim": 3})
            nodes[f"flatten_{number}"] = ("Flatten", {})
            edges += [(end, f"embedding_{number}"), (f"embedding_{number}", f"flatten_{number}")]
            end = f"flatten_{number}"
        edges.append((end, f"concat.{'abcdef'[number]}"))
    nodes["concat"] = ("Concat", {"axis": 1, "count": len(schema.inputs)})
    nodes |= {"head": ("Linear", {"units": outputs}), "y": ("Output", {})}
    edges += [("concat", "head"), ("head", "y")]
    return project(nodes, edges, **rest)
