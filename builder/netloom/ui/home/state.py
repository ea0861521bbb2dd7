"""The state of the Home page per tab, and the keys of its widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netloom.jobs.requests.imports import SavedImport
from netloom.ui.components.page_state import PageState, WidgetKey


@dataclass(frozen=True)
class UploadedWeights:
    """Uploaded weights without a network, the question for which network they are, and the descriptions of the networks
    that they fit, by name."""

    files: Mapping[str, bytes]
    question: str
    networks: dict[str, str]


@dataclass
class HomeState(PageState):
    """The last import, until its project is opened or another import starts, and the lists that are shown in full.

    `weights` are those of an import that waits for the choice of its network.
    """

    imported: SavedImport | None = None
    weights: UploadedWeights | None = None
    expanded: tuple[str, ...] = ()


class Key(WidgetKey):
    """The keys of the home page's widgets."""

    COPY = "copy"
    DELETE = "delete"
    IMPORT_CREATE = "create from weights"
    IMPORT_FILE = "model file"
    IMPORT_NETWORK = "network of the weights"
    IMPORT_OPEN = "open what was brought"
    NAME = "name"
    NEW_NAME = "new name"
    OLDER = "older"
    OPEN = "open"
    PROJECT_SEARCH = "project search"
    RENAME = "rename"
    SAVE = "save"
    SEARCH = "search"
    SHARED_CLOSE = "open/close"
    SHARED_TAKE = "open/take"
    SHOW_ALL = "show all"
    SIZE = "size"
    SURE = "sure"
    TASK = "task"
    TEMPLATE = "template"
    TOPIC = "topic"
