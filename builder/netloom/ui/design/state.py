"""What the design page keeps for a tab, what its canvas has sent, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from netloom.document import Network, Project
from netloom.ui.components.page_state import PageState, WidgetKey, value_of
from netloom.ui.design.canvas.messages import NetworkWish, Selection, SyncHeader, read


@dataclass(frozen=True)
class VisibleNetwork:
    """The network that a tab shows; `wish` is the number of the wish of the canvas that it answers, if it does.

    `content` is what it was when it was last seen, among the networks `beside` it: by these it is found again after it
    was given another name.
    """

    name: str
    wish: int | None = None
    content: Network | None = None
    beside: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Refusals:
    """Edits of the canvas that were refused, as sentences, and when that was."""

    sentences: tuple[str, ...] = ()
    at: float = 0.0


@dataclass(frozen=True)
class LibraryMessage:
    """What came of the last click in the library."""

    kind: Literal["done", "error"] = "done"
    sentence: str = ""


@dataclass(frozen=True)
class NameTaken:
    """A network that was to be published under a name that the library has already."""

    network: str
    name: str


@dataclass
class LibraryState(PageState):
    """The library's dialog."""

    message: LibraryMessage = LibraryMessage()
    taken: NameTaken | None = None


class Part(StrEnum):
    """The parts of the page, each a fragment of this name; see `netloom.ui.design.parts`."""

    CANVAS = "design canvas"
    HEADER = "design header"
    SIDE_PANEL = "design side panel"


@dataclass
class DesignState(PageState):
    """By project: the network that is shown, the one whose formula is open, how many versions are listed, the content
    of each part when it was drawn last, and how often the document changed in more than positions."""

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
    """The edits that the canvas of a project sent last, for `Live.sync`, which checks them."""
    return _sent(project_id, "sync")


def sent_header(project_id: str) -> SyncHeader | None:
    """Who sent these edits, and with which palette."""
    return read(SyncHeader, _sent(project_id, "sync"))


def sent_selection(project_id: str) -> Selection | None:
    """What is selected on the canvas of a project, and the layer about which people ask."""
    return read(Selection, _sent(project_id, "selection"))


def sent_wish(project_id: str) -> NetworkWish | None:
    """The network that people want to see on the canvas of a project."""
    return read(NetworkWish, _sent(project_id, "network"))


def _sent(project_id: str, name: str) -> object:
    return value_of(Key.CANVAS.of(project_id), {}).get(name)
