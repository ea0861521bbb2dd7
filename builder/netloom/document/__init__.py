"""The document: projects, networks, nodes and edges; edits and their history; files. Imports no torch."""

from netloom.document.augmentation_settings import Augment
from netloom.document.data_choice import DataChoice, ImageNormalization, Preparation
from netloom.document.editor import Editor, EditorState, canvas_network
from netloom.document.edits import Edit, EditError, apply, updated
from netloom.document.field_types import Value, is_identifier
from netloom.document.files import (
    DocumentError,
    checked,
    compact,
    dumps,
    loads,
    parse,
    read,
    to_json,
    write,
    write_bytes,
)
from netloom.document.network import SUBNETWORK, Edge, Network, Node, Note
from netloom.document.project import Project, blank
from netloom.document.training_settings import Training

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
    "ImageNormalization",
    "Network",
    "Node",
    "Note",
    "Preparation",
    "Project",
    "Training",
    "Value",
    "apply",
    "blank",
    "canvas_network",
    "checked",
    "compact",
    "dumps",
    "is_identifier",
    "loads",
    "parse",
    "read",
    "to_json",
    "updated",
    "write",
    "write_bytes",
]
