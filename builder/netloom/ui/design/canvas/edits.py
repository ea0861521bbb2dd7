"""The edits that the canvas sends. Edits of a network without a name apply to the visible network."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field

# Python 3.11's own TypedDict does not tell pydantic which keys are required.
from typing_extensions import TypeAliasType, TypedDict

from netloom.ui.design.canvas.records import Color, EdgeRecord, Params, Position


class _Edit(TypedDict):
    seq: NotRequired[Annotated[int, Field(description="The sequence number of the edit, by client.")]]


class _NetworkEdit(_Edit):
    network: NotRequired[str]


class NewNode(TypedDict):
    """A node to add. Missing fields have their defaults."""

    id: str
    type: str
    params: NotRequired[Params]
    title: NotRequired[str]
    at: NotRequired[Position]
    frozen: NotRequired[bool]
    shares: NotRequired[str | None]
    note: NotRequired[str]
    initialization: NotRequired[Params]


class NewNote(TypedDict):
    """The new state of a note or frame. Missing fields have their defaults."""

    text: str
    at: NotRequired[Position]
    width: NotRequired[float]
    height: NotRequired[float]
    color: NotRequired[Color]
    frame: NotRequired[bool]
    folded: NotRequired[bool]


class AddEdit(_NetworkEdit):
    """Add nodes and edges. `document` is the id of the project that they were copied from, if it is another one."""

    kind: Literal["add"]
    nodes: list[NewNode]
    edges: NotRequired[list[EdgeRecord]]
    document: NotRequired[str]


class RemoveEdit(_NetworkEdit):
    """Remove nodes with their edges, and other edges by their input ports."""

    kind: Literal["remove"]
    nodes: list[str]
    edges: list[str]


class MoveEdit(_NetworkEdit):
    """Move nodes and notes."""

    kind: Literal["move"]
    at: dict[str, Position]


class ConnectEdit(_NetworkEdit):
    """Connect an output to an input, which replaces the previous edge of the input."""

    kind: Literal["connect"]
    source: str
    target: str


class ParamsEdit(_NetworkEdit):
    """Change parameters of a node."""

    kind: Literal["set"]
    node: str
    params: Params


class UpdateEdit(_NetworkEdit):
    """Change the title or the note of a node, or freeze, share or initialize its weights."""

    kind: Literal["update"]
    node: str
    title: NotRequired[str]
    frozen: NotRequired[bool]
    shares: NotRequired[str | None]
    note: NotRequired[str]
    initialization: NotRequired[Params | None]


class NoteEdit(_NetworkEdit):
    """Add, change or remove a note or frame; null removes it."""

    kind: Literal["note"]
    id: str
    note: NewNote | None


class OrderEdit(_NetworkEdit):
    """Reorder the Inputs or Outputs of a network."""

    kind: Literal["order"]
    inputs: NotRequired[list[str]]
    outputs: NotRequired[list[str]]


class GroupEdit(_NetworkEdit):
    """Replace nodes by a subnetwork that contains them. `inputs` are the parameters of its Inputs, by source port."""

    kind: Literal["group"]
    nodes: list[str]
    name: str
    inputs: NotRequired[dict[str, Params]]


class UnpackEdit(_NetworkEdit):
    """Replace a subnetwork node by the layers of its network."""

    kind: Literal["unpack"]
    node: str


class CreateNetwork(_Edit):
    """Add a network."""

    kind: Literal["create_network"]
    name: str
    content: NotRequired[dict[str, Any]]


class DeleteNetwork(_Edit):
    """Remove a network that no other network contains."""

    kind: Literal["delete_network"]
    name: str


class ReplaceNetwork(_Edit):
    """Replace the content of a network."""

    kind: Literal["replace_network"]
    name: str
    content: dict[str, Any]


class InsertNetworks(_Edit):
    """Add the networks of a bundle, which is a document."""

    kind: Literal["insert_networks"]
    bundle: dict[str, Any]


class RenameNetwork(_Edit):
    """Rename a network, also in the nodes that refer to it."""

    kind: Literal["rename_network"]
    name: str
    to: str


class ParametersEdit(_Edit):
    """Replace the parameters that a network exposes."""

    kind: Literal["parameters"]
    network: str
    values: dict[str, float]


class RenameParameter(_Edit):
    """Rename a parameter of a network, also in expressions. `numbers` are the numeric parameters, by type of layer."""

    kind: Literal["rename_parameter"]
    network: str
    name: str
    to: str
    numbers: dict[str, list[str]]


class ProjectEdit(_Edit):
    """Change the name or the notes of the project, or settings of its data and training."""

    kind: Literal["project"]
    name: NotRequired[str]
    notes: NotRequired[str]
    data: NotRequired[Params]
    training: NotRequired[Params]


class BatchEdit(_Edit):
    """Apply several edits as one undo step. Batches cannot be nested."""

    kind: Literal["batch"]
    edits: list[Edit]


class UndoEdit(_Edit):
    """Undo the last step."""

    kind: Literal["undo"]


class RedoEdit(_Edit):
    """Redo the step that was undone last."""

    kind: Literal["redo"]


Edit = TypeAliasType(
    "Edit",
    Annotated[
        AddEdit
        | RemoveEdit
        | MoveEdit
        | ConnectEdit
        | ParamsEdit
        | UpdateEdit
        | NoteEdit
        | OrderEdit
        | GroupEdit
        | UnpackEdit
        | CreateNetwork
        | DeleteNetwork
        | ReplaceNetwork
        | InsertNetworks
        | RenameNetwork
        | RenameParameter
        | ParametersEdit
        | ProjectEdit
        | BatchEdit
        | UndoEdit
        | RedoEdit,
        Field(discriminator="kind"),
    ],
)
