"""The state of the Data page per tab, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass, field

from netloom.sandbox import FileInspection
from netloom.ui.components.page_state import PageState, WidgetKey


@dataclass(frozen=True)
class Fixed:
    """The last applied fix, and the revision of the project after it."""

    project_id: str
    revision: int
    title: str


@dataclass(frozen=True)
class Fetched:
    """A downloaded file with the interface of Streamlit's `UploadedFile`."""

    name: str
    file_id: str
    content: bytes

    def getvalue(self) -> bytes:
        return self.content


@dataclass
class UploadState(PageState):
    """The upload form: how often it was opened, the downloaded files with their address, and the inspected files."""

    opened: int = 0
    address: str = ""
    fetched: list[Fetched] = field(default_factory=list)
    files: str = ""
    inspection: FileInspection | None = None

    def begin(self) -> None:
        """Start a new form, so that a refused file of a closed form does not appear beside the next one."""
        self.opened += 1
        self.forget()

    def forget(self) -> None:
        """Drop the inspected files."""
        self.files, self.inspection = "", None


@dataclass
class DataState(PageState):
    """The requested dataset, the one drawn last, the last fix, and counters that renew widgets."""

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
    COUNTS = "counts"
    DATASETS = "datasets"
    DATASET_LIST = "dataset-list"
    DATASET_USE = "dataset-use"
    FILTER_KIND = "filter kind"
    FILTER_SIZE = "filter size"
    FILTER_TASK = "filter task"
    FILTER_TEXT = "filter text"
    FIX = "mend"
    IMAGES = "images"
    IMAGE_PAIR = "image pair"
    KIND = "kind"
    NAME = "name"
    ODD = "odd"
    PLOT = "plot"
    SECTION = "data section"
    START = "start"
    UPLOADED = "uploaded"
