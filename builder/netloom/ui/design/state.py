"""The state of the Design page per tab, the messages of its canvas, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from netloom.document import Network, Project
from netloom.ui.components.page_state import PageState, WidgetKey, value_of
from netloom.ui.design.canvas.messages import NetworkWish, Selection, SyncHeader, read


@dataclass(frozen=True)
class VisibleNetwork:
    """The network that a tab shows.

    Attributes:
        wish: The number of the canvas's request for it, if there was one.
        content: Its last content, by which it is found after it was renamed.
        beside: The names of all networks at that time.
    """

    name: str
    wish: int | None = None
    content: Network | None = None
    beside: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Refusals:
    """The errors of refused edits of the canvas, and their time in seconds since 1970."""

    sentences: tuple[str, ...] = ()
    at: float = 0.0


@dataclass(frozen=True)
class LibraryMessage:
    """The result of the last action in the library."""

    kind: Literal["done", "error"] = "done"
    sentence: str = ""


@dataclass(frozen=True)
class NameTaken:
    """A network that could not be published, because its name is taken."""

    network: str
    name: str


@dataclass
class LibraryState(PageState):
    """The state of the library's dialog."""

    message: LibraryMessage = LibraryMessage()
    name_taken: NameTaken | None = None


class Part(StrEnum):
    """The parts of the page, each a fragment of this name; see `netloom.ui.design.parts`."""

    CANVAS = "design canvas"
    HEADER = "design header"
    SIDE_PANEL = "design side panel"


@dataclass
class DesignState(PageState):
    """By project: the visible network, the network whose code dialog is open, the number of listed versions, the
    content of each part when it was last drawn, and a counter of the changes of the document other than positions."""

    shown: dict[str, VisibleNetwork] = field(default_factory=dict)
    formula: dict[str, str] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    drawn: dict[tuple[str, Part], object] = field(default_factory=dict)
    revisions: dict[str, tuple[int, Project]] = field(default_factory=dict)
    refusals: Refusals = Refusals()
    # The content of the header and the side panel, and how often it changed.
    other_parts: object = None
    changes: int = 0


class Key(WidgetKey):
    """The keys of the design page's widgets."""

    ABOUT = "about"
    CANVAS = "canvas"
    EXPORT = "export"
    EXPORT_CODE = "export code"
    EXPORT_DOCUMENT = "export document"
    EXPORT_RUN = "export run"
    DEPLOY = "deploy"
    FIELDS = "fields"
    FORMULA = "typing"
    FORMULA_LINES = "typing lines"
    FORMULA_NAME = "typing name"
    FORMULA_WHAT = "typing what"
    LIBRARY_CALLED = "library/called"
    LIBRARY_DELETE = "library/delete"
    LIBRARY_NAME = "library/name"
    LIBRARY_NEWER = "library/newer"
    LIBRARY_PUBLISH = "library/publish"
    LIBRARY_RENAME = "library/rename"
    LIBRARY_REPLACE = "library/replace"
    LIBRARY_RESTORE = "library/restore"
    LIBRARY_TAKE = "use"
    LIBRARY_USE = "library/use"
    LIBRARY_WHICH = "library/which"
    RESTORE = "restore"
    TABS = "beside"
    VERSION = "version"


def sent_sync(project_id: str) -> object:
    """Return the last edits from the canvas of a project, for `Live.sync`, which validates them."""
    return _sent(project_id, "sync")


def sent_header(project_id: str) -> SyncHeader | None:
    """Return the client that sent these edits and its version of the palette; None if they are malformed."""
    return read(SyncHeader, _sent(project_id, "sync"))


def sent_selection(project_id: str) -> Selection | None:
    """Return the selection on the canvas of a project, and the layer whose help is requested."""
    return read(Selection, _sent(project_id, "selection"))


def sent_wish(project_id: str) -> NetworkWish | None:
    """Return the request to see another network on the canvas of a project."""
    return read(NetworkWish, _sent(project_id, "network"))


def _sent(project_id: str, name: str) -> object:
    return value_of(Key.CANVAS.of(project_id), {}).get(name)
