"""The parts of a document as the canvas knows them."""

from __future__ import annotations

from typing import Any

# Python 3.11's own TypedDict does not tell pydantic which keys are required.
from typing_extensions import TypeAliasType, TypedDict

from netloom import layers
from netloom.document import project
from netloom.validation import issue

Params = TypeAliasType("Params", dict[str, Any])
Position = TypeAliasType("Position", tuple[float, float])
Color = TypeAliasType("Color", project.Color)
Kind = TypeAliasType("Kind", layers.Kind)
Severity = TypeAliasType("Severity", issue.Severity)


class NodeRecord(TypedDict):
    """A layer of a network. `shares` names another node of the network whose weights this one uses."""

    type: str
    params: Params
    title: str
    at: Position
    frozen: bool
    shares: str | None
    note: str


class EdgeRecord(TypedDict):
    """A tensor's way between two ports; a port's name is left out where it is the default."""

    source: str
    target: str


class NoteRecord(TypedDict):
    """A comment, or a frame around layers, of which the text is the title. A folded frame hides what lies in it."""

    text: str
    at: Position
    width: float
    height: float
    color: Color
    frame: bool
    folded: bool


class Graph(TypedDict):
    """A network. Edges are keyed by the input port that they lead to, as a port takes one edge."""

    nodes: dict[str, NodeRecord]
    edges: dict[str, EdgeRecord]
    notes: dict[str, NoteRecord]
