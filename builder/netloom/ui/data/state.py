"""What the data page keeps for a tab, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass, field

from netloom.sandbox import FileInspection
from netloom.ui.components.page_state import PageState, WidgetKey


@dataclass(frozen=True)
class Fixed:
    """A fix that was made by a click, and the revision of the project that it led to."""

    project_id: str
    revision: int
    title: str


@dataclass(frozen=True)
class Fetched:
    """A file that came from the web, as an uploader would give it."""

    name: str
    file_id: str
    content: bytes

    def getvalue(self) -> bytes:
        return self.content


@dataclass
class UploadState(PageState):
    """The upload form: how often it was opened, what was fetched from which address, and what was dropped, by files."""

    opened: int = 0
    address: str = ""
    fetched: list[Fetched] = field(default_factory=list)
    files: str = ""
    inspection: FileInspection | None = None

    def begin(self) -> None:
        """Open the form anew: a file that was refused and closed away must not stand beside the next one."""
        self.opened += 1
        self.forget()

    def forget(self) -> None:
        """Drop what was looked at."""
        self.files, self.inspection = "", None


@dataclass
class DataState(PageState):
    """The dataset that is asked for, the one drawn last, the last fix, and how often things were drawn anew."""

    dataset: str | None = None
    drawn: str | None = None
    fixed: Fixed | None = None
    augmentation_seed: int = 0
    column_tables: int = 0


class Key(WidgetKey):
    """The keys of the data page's widgets."""

    ADDRESS = "address"
    ASK = "ask"
    AUGMENTED = "augmented"
    AUGMENT_ADD = "add augmentation"
    AUGMENT_REMOVE = "remove"
    AUGMENT_ROW = "augment row"
    COLUMN = "column"
    COLUMNS = "columns"
    DATASETS = "datasets"
    FIX = "mend"
    KIND = "kind"
    NAME = "name"
    ODD = "odd"
    PLOT = "plot"
    SECTION = "data section"
    START = "start"
    UPLOADED = "uploaded"
