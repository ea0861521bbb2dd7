"""The parts of a document that the canvas receives."""

from __future__ import annotations

from typing import Any, NotRequired

# Python 3.11's own TypedDict does not tell pydantic which keys are required.
from typing_extensions import TypeAliasType, TypedDict

from netloom import layers
from netloom.document import network
from netloom.validation import issue

Params = TypeAliasType("Params", dict[str, Any])
Position = TypeAliasType("Position", tuple[float, float])
Color = TypeAliasType("Color", network.Color)
Kind = TypeAliasType("Kind", layers.Kind)
Severity = TypeAliasType("Severity", issue.Severity)


class NodeRecord(TypedDict):
    """A layer of a network. `shares` is the id of the node whose weights this one uses; `initialization` is missing
    if it is that of the network."""

    type: str
    params: Params
    title: str
    at: Position
    frozen: bool
    shares: str | None
    note: str
    initialization: NotRequired[Params]


class EdgeRecord(TypedDict):
    """An edge between two ports, written as `node.port`, or as `node` for the default port."""

    source: str
    target: str


class NoteRecord(TypedDict):
    """A comment, or a frame around layers with `text` as its title. A folded frame hides its content."""

    text: str
    at: Position
    width: float
    height: float
    color: Color
    frame: bool
    folded: bool


class Graph(TypedDict):
    """A network. Edges are keyed by their input port, as a port accepts one edge."""

    nodes: dict[str, NodeRecord]
    edges: dict[str, EdgeRecord]
    notes: dict[str, NoteRecord]
