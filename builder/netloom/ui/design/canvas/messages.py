"""The messages between Python and the canvas. The front end's `core/generated.ts` is generated from them.

Run `python -m netloom.ui.design.canvas.typescript` after a change here, in `edits.py` or in `records.py`. Python sends
one `CanvasData` per run of the page; the canvas sends `Sync`, `Selection` and `NetworkWish`. Messages of the canvas
come from a browser and are not trusted: `read` validates them, and the editor checks their edits.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

# Python 3.11's own TypedDict does not tell pydantic which keys are required.
from typing_extensions import TypedDict

from netloom.ui.design.canvas.edits import Edit
from netloom.ui.design.canvas.records import Graph, Kind, Params, Severity


class Port(TypedDict):
    """An input or output of a layer. `label` is its display name, if that differs from `name`."""

    name: str
    kinds: list[Kind]
    doc: str
    label: NotRequired[str]


class LayerType(TypedDict):
    """A layer of the palette. `network` is the name of the network if the layer is a subnetwork of the project."""

    type: str
    title: str
    group: str
    summary: str
    keywords: list[str]
    color: str
    inputs: list[Port]
    outputs: list[Port]
    params: Params
    common: Annotated[bool, Field(description="Whether the palette shows it before it is expanded.")]
    network: NotRequired[str]


class NetworkFacts(TypedDict):
    """A network of the project. `may_stand` is false if the visible network would then contain itself."""

    name: str
    used: bool
    may_stand: bool
    inputs: list[Port]
    outputs: list[Port]


class AboutField(TypedDict):
    """The documentation of a parameter of a layer."""

    name: str
    range: str
    default: str
    text: str


class About(TypedDict):
    """The help of a layer, sent on request. `shapes` are the output shapes of `node`, by port."""

    type: str
    node: str | None
    formula: str
    url: str
    fields: list[AboutField]
    shapes: dict[str, str]


class Fix(TypedDict):
    """A fix of an issue: the title of its button, and its edit."""

    title: str
    edit: Edit


class Issue(TypedDict):
    """An issue and its location. `node` and `port` are null if it concerns the whole network."""

    code: str
    severity: Severity
    message: str
    network: str
    node: str | None
    port: str | None
    fix: Fix | None


class NodeFacts(TypedDict):
    """The derived properties of a node. `inputs` and `outputs` are set if its ports differ from those of its type."""

    summary: str
    parameters: int | None
    inputs: NotRequired[list[Port]]
    outputs: NotRequired[list[Port]]


class EdgeFacts(TypedDict):
    """The shape of the tensor on an edge, and whether it is an error there."""

    label: str
    kind: Kind | None
    error: bool


class Totals(TypedDict):
    """The size and the computational cost of the main network."""

    parameters: int
    flops: int
    memory_bytes: int
    layers: int


class Derived(TypedDict):
    """The results of validation. `data` is whether a dataset is chosen."""

    nodes: dict[str, NodeFacts]
    edges: dict[str, EdgeFacts]
    issues: list[Issue]
    data: bool
    totals: Totals


class CanvasData(TypedDict):
    """Everything that the canvas shows."""

    document: str
    epoch: str
    revision: int
    ack: Annotated[dict[str, int], Field(description="The sequence number of the last applied edit, by client.")]
    foreign: Annotated[int, Field(description="The last revision by another client.")]
    refusals: Annotated[list[str], Field(description="The messages of refused edits; `refused_at` is their time.")]
    refused_at: float
    shown: Annotated[str, Field(description="The visible network; `wish` is the number of the request for it.")]
    wish: int | None
    network: Graph
    main: str
    networks: list[NetworkFacts]
    derived: Derived
    about: About | None
    palette: Annotated[list[LayerType] | None, Field(description="Null if the browser has this version already.")]
    palette_version: str
    can_undo: bool
    can_redo: bool
    saved: bool
    changes: Annotated[int, Field(description="A counter of changes of the other parts of the page.")]
    height: int


# What the canvas sends.


class SyncHeader(TypedDict):
    """The client that sends edits, and its version of the palette."""

    epoch: str
    client: str
    palette: str


class Sync(SyncHeader):
    """The edits that Python has not acknowledged. `number` distinguishes a message that is sent again."""

    ops: list[Edit]
    number: int


class AboutWish(TypedDict):
    """A request for the help of a layer, and optionally of its node."""

    type: str
    node: str | None


class Selection(TypedDict):
    """The selection in a network. It is sent again when `changes` increases, so that the page reruns."""

    network: str
    nodes: list[str]
    edges: list[str]
    about: AboutWish | None
    palette: str
    changes: int


class NetworkWish(TypedDict):
    """A request to show a network; a later request has a greater number."""

    name: str
    number: int


Message = TypeVar("Message", SyncHeader, Selection, NetworkWish)
_ADAPTERS: dict[object, TypeAdapter[Any]] = {}


def read(kind: type[Message], message: object) -> Message | None:
    """Return a message of the canvas; None if it is missing or malformed."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    try:
        checked: Message = _ADAPTERS[kind].validate_python(message, strict=True)
    except ValidationError:
        return None
    return checked
