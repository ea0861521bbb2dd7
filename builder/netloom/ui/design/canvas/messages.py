"""The messages between Python and the canvas, of which the front end's `core/generated.ts` is made.

Run `python -m netloom.ui.design.canvas.typescript` after a change here. Down comes one `CanvasData` with every answer;
up go `Sync`, `Selection` and `NetworkWish`. What comes up was written by a browser, so it is read with `read`, and its
edits are checked by the editor.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

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


# The document.


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


# What follows from the document.


class Port(TypedDict):
    """`label` is what people call it, where that is another word than its name."""

    name: str
    kinds: list[Kind]
    doc: str
    label: NotRequired[str]


class LayerType(TypedDict):
    """A layer that can be added. Of a network of the project, `network` is the name."""

    type: str
    title: str
    group: str
    summary: str
    keywords: list[str]
    color: str
    inputs: list[Port]
    outputs: list[Port]
    params: Params
    common: Annotated[bool, Field(description="Whether the palette shows it before one asks for more.")]
    network: NotRequired[str]


class NetworkFacts(TypedDict):
    """A network of the project. It may stand in the one that is shown where it would not contain itself."""

    name: str
    used: bool
    may_stand: bool
    inputs: list[Port]
    outputs: list[Port]


class AboutField(TypedDict):
    """A parameter of a layer in words."""

    name: str
    range: str
    default: str
    text: str


class About(TypedDict):
    """What a layer is, in full; sent when it is asked for. `shapes` are those that `node` gives, by port."""

    type: str
    node: str | None
    formula: str
    url: str
    fields: list[AboutField]
    shapes: dict[str, str]


class Fix(TypedDict):
    """What a button says that fixes an issue, and the edit that it makes."""

    title: str
    edit: Edit


class Issue(TypedDict):
    """What is wrong, and where; `node` and `port` are null where it concerns the whole network."""

    code: str
    severity: Severity
    message: str
    network: str
    node: str | None
    port: str | None
    fix: Fix | None


class NodeFacts(TypedDict):
    """What is known of a node. It has ports of its own where they are not those of its type."""

    summary: str
    parameters: int | None
    inputs: NotRequired[list[Port]]
    outputs: NotRequired[list[Port]]


class EdgeFacts(TypedDict):
    """The shape on an edge, and whether it is wrong there."""

    label: str
    kind: Kind | None
    error: bool


class Totals(TypedDict):
    """The size and the cost of the main network."""

    parameters: int
    flops: int
    memory_bytes: int
    layers: int


class Derived(TypedDict):
    """What follows from the document. `data` tells whether a dataset is chosen."""

    nodes: dict[str, NodeFacts]
    edges: dict[str, EdgeFacts]
    issues: list[Issue]
    data: bool
    totals: Totals


class CanvasData(TypedDict):
    """All that the canvas shows."""

    document: str
    epoch: str
    revision: int
    ack: Annotated[dict[str, int], Field(description="By client, the number of the last operation that was applied.")]
    foreign: Annotated[int, Field(description="The last revision that this client did not make itself.")]
    refusals: Annotated[list[str], Field(description="Sentences on edits that were refused, and when that was.")]
    refused_at: float
    shown: Annotated[str, Field(description="The network that is shown, and the number of the wish to see it.")]
    wish: int | None
    network: Graph
    main: str
    networks: list[NetworkFacts]
    derived: Derived
    about: About | None
    palette: Annotated[list[LayerType] | None, Field(description="Null where this browser has this version already.")]
    palette_version: str
    can_undo: bool
    can_redo: bool
    saved: bool
    changes: Annotated[int, Field(description="How often other parts of the page had something else to show.")]
    height: int


# Edits. Those of one network concern the one that is shown where they name none.


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


# What the canvas sends.


class SyncHeader(TypedDict):
    """Who sends operations, and the version of the palette that it has."""

    epoch: str
    client: str
    palette: str


class Sync(SyncHeader):
    """The operations that Python has not acknowledged. `number` makes a message that is sent again another one."""

    ops: list[Edit]
    number: int


class AboutWish(TypedDict):
    """The layer, and perhaps the node, about which people ask."""

    type: str
    node: str | None


class Selection(TypedDict):
    """What is selected in a network, sent again once other parts of the page change: `changes` counts these."""

    network: str
    nodes: list[str]
    edges: list[str]
    about: AboutWish | None
    palette: str
    changes: int


class NetworkWish(TypedDict):
    """The network that people want to see; a later wish has a greater number."""

    name: str
    number: int


Message = TypeVar("Message", SyncHeader, Selection, NetworkWish)
_ADAPTERS: dict[object, TypeAdapter[Any]] = {}


def read(kind: type[Message], message: object) -> Message | None:
    """A message of the canvas; None where there is none, or where it is malformed."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    try:
        checked: Message = _ADAPTERS[kind].validate_python(message, strict=True)
    except ValidationError:
        return None
    return checked
