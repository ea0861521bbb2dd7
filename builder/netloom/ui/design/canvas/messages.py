"""The messages between Python and the canvas, of which the front end's `core/generated.ts` is made.

Run `python -m netloom.ui.design.canvas.typescript` after a change here, in `edits.py` or in `records.py`. Down comes
one `CanvasData` with every answer; up go `Sync`, `Selection` and `NetworkWish`. What comes up was written by a browser,
so it is read with `read`, and its edits are checked by the editor.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

# Python 3.11's own TypedDict does not tell pydantic which keys are required.
from typing_extensions import TypedDict

from netloom.ui.design.canvas.edits import Edit
from netloom.ui.design.canvas.records import Graph, Kind, Params, Severity


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
    """Return a message of the canvas; None where there is none, or where it is malformed."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    try:
        checked: Message = _ADAPTERS[kind].validate_python(message, strict=True)
    except ValidationError:
        return None
    return checked
