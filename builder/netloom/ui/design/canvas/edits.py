"""The edits that the canvas sends. Those of one network concern the one that is shown where they name none."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field

# Python 3.11's own TypedDict does not tell pydantic which keys are required.
from typing_extensions import TypeAliasType, TypedDict

from netloom.ui.design.canvas.records import Color, EdgeRecord, Params, Position


class _Edit(TypedDict):
    seq: NotRequired[Annotated[int, Field(description="Its number among the operations of a client.")]]


class _NetworkEdit(_Edit):
    network: NotRequired[str]


class NewNode(TypedDict):
    """A node to add; what is left out is as by default."""

    id: str
    type: str
    params: NotRequired[Params]
    title: NotRequired[str]
    at: NotRequired[Position]
    frozen: NotRequired[bool]
    shares: NotRequired[str | None]
    note: NotRequired[str]


class NewNote(TypedDict):
    """A note or a frame to put in place; what is left out is as by default."""

    text: str
    at: NotRequired[Position]
    width: NotRequired[float]
    height: NotRequired[float]
    color: NotRequired[Color]
    frame: NotRequired[bool]
    folded: NotRequired[bool]


class AddEdit(_NetworkEdit):
    """Add nodes, and edges. `document` is the project from which they were copied, if it is another one."""

    kind: Literal["add"]
    nodes: list[NewNode]
    edges: NotRequired[list[EdgeRecord]]
    document: NotRequired[str]


class RemoveEdit(_NetworkEdit):
    """Remove nodes with their edges, and the edges that lead to some ports."""

    kind: Literal["remove"]
    nodes: list[str]
    edges: list[str]


class MoveEdit(_NetworkEdit):
    """Put nodes and notes in other places."""

    kind: Literal["move"]
    at: dict[str, Position]


class ConnectEdit(_NetworkEdit):
    """Lead an output to an input, in the place of what led there."""

    kind: Literal["connect"]
    source: str
    target: str


class ParamsEdit(_NetworkEdit):
    """Change parameters of a node."""

    kind: Literal["set"]
    node: str
    params: Params


class UpdateEdit(_NetworkEdit):
    """Change what is said of a node, and what its weights do."""

    kind: Literal["update"]
    node: str
    title: NotRequired[str]
    frozen: NotRequired[bool]
    shares: NotRequired[str | None]
    note: NotRequired[str]


class NoteEdit(_NetworkEdit):
    """Put a note or a frame in place; null removes it."""

    kind: Literal["note"]
    id: str
    note: NewNote | None


class OrderEdit(_NetworkEdit):
    """Put Inputs or Outputs in another order."""

    kind: Literal["order"]
    inputs: NotRequired[list[str]]
    outputs: NotRequired[list[str]]


class GroupEdit(_NetworkEdit):
    """Make a network of nodes. `inputs` are parameters of its Inputs, by what comes in."""

    kind: Literal["group"]
    nodes: list[str]
    name: str
    inputs: NotRequired[dict[str, Params]]


class UnpackEdit(_NetworkEdit):
    """Put the layers of a network in the place of a node that stands for it."""

    kind: Literal["unpack"]
    node: str


class CreateNetwork(_Edit):
    """Add a network."""

    kind: Literal["create_network"]
    name: str
    content: NotRequired[dict[str, Any]]


class DeleteNetwork(_Edit):
    """Remove a network that stands nowhere."""

    kind: Literal["delete_network"]
    name: str


class ReplaceNetwork(_Edit):
    """Put another content in the place of a network's."""

    kind: Literal["replace_network"]
    name: str
    content: dict[str, Any]


class InsertNetworks(_Edit):
    """Add the networks of a bundle, which is a document."""

    kind: Literal["insert_networks"]
    bundle: dict[str, Any]


class RenameNetwork(_Edit):
    """Give a network another name, wherever it stands."""

    kind: Literal["rename_network"]
    name: str
    to: str


class ParametersEdit(_Edit):
    """Exchange the parameters that a network exposes."""

    kind: Literal["parameters"]
    network: str
    values: dict[str, float]


class RenameParameter(_Edit):
    """Give a parameter of a network another name. `numbers` are, by type of layer, the parameters that are numbers."""

    kind: Literal["rename_parameter"]
    network: str
    name: str
    to: str
    numbers: dict[str, list[str]]


class ProjectEdit(_Edit):
    """Change the name of the project, or fields of its data and training."""

    kind: Literal["project"]
    name: NotRequired[str]
    notes: NotRequired[str]
    data: NotRequired[Params]
    training: NotRequired[Params]


class BatchEdit(_Edit):
    """Several edits as one step; it holds no other batch."""

    kind: Literal["batch"]
    edits: list[Edit]


class UndoEdit(_Edit):
    """Take the last step back."""

    kind: Literal["undo"]


class RedoEdit(_Edit):
    """Make the step again that was taken back last."""

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
