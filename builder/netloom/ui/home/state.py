"""The state of the Home page per tab, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netloom.ui.components.page_state import PageState, WidgetKey

if TYPE_CHECKING:
    import torch

    from netloom.templates.fitting import FittingNetwork


@dataclass(frozen=True)
class ImportResult:
    """The result of an import: the project, and sentences about it."""

    project_id: str
    sentence: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class WeightsWithoutNetwork:
    """A state dict that was uploaded, and the networks that its tensors fit."""

    name: str
    tensors: dict[str, torch.Tensor]
    networks: list[FittingNetwork]


@dataclass
class HomeState(PageState):
    """The last import, until its project is opened or another import starts, and the lists that are shown in full.

    `weights` are those of an import that waits for the choice of its network.
    """

    imported: ImportResult | None = None
    weights: WeightsWithoutNetwork | None = None
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
