"""The document: projects, networks, nodes and edges; edits and their history; files. Imports no torch."""

from builder.graph.augmenting import Augment
from builder.graph.document import (
    SUBNETWORK,
    DataChoice,
    Edge,
    Moments,
    Network,
    Node,
    Note,
    Preparation,
    Project,
    Value,
    blank,
    is_identifier,
)
from builder.graph.editor import Editor, EditorState, wire
from builder.graph.edits import Edit, EditError, apply
from builder.graph.files import DocumentError, checked, dumps, loads, parse, read, to_json, write, write_bytes
from builder.graph.training import Training

__all__ = [
    "SUBNETWORK",
    "Augment",
    "DataChoice",
    "DocumentError",
    "Edge",
    "Edit",
    "EditError",
    "Editor",
    "EditorState",
    "Moments",
    "Network",
    "Node",
    "Note",
    "Preparation",
    "Project",
    "Training",
    "Value",
    "apply",
    "blank",
    "checked",
    "dumps",
    "is_identifier",
    "loads",
    "parse",
    "read",
    "to_json",
    "wire",
    "write",
    "write_bytes",
]
