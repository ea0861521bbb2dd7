"""The state of components on several pages, per tab, and the keys of their widgets."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from netloom.ui.components.keyboard_brush import BrushStrokes
from netloom.ui.components.page_state import PageState, WidgetKey

# The cells (row, column) that a stroke covers, and its color.
Stroke = tuple[list[tuple[int, int]], str]
# The first step, the end, the channel, the operation and its amount.
SeriesEdit = tuple[int, int, int, str, float]


@dataclass(frozen=True)
class Refusal:
    """The error of the last refused change of a widget."""

    key: str
    sentence: str


@dataclass
class FormState(PageState):
    """Widgets bound to a project: the number of changes that each made in this tab, by project and widget name."""

    typed: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    refusal: Refusal | None = None


def bound_key(project_id: str, generation: int, elsewhere: int, name: str) -> str:
    """Return the key of a widget bound to a project.

    It changes with each generation of the project's forms, and with each change of the same widget in another tab, so
    that Streamlit draws the widget with the new value.
    """
    return f"{project_id}/{generation}.{elsewhere}/{name}"


@dataclass
class BackendState(PageState):
    """The execution backend: the number of cluster workers; 0 for this machine."""

    workers: int = 0


@dataclass(frozen=True)
class ReadUpload:
    """The last uploaded file, by the key of its widget and its id: its values, or the error."""

    key: str
    file_id: str
    values: np.ndarray | None
    refusal: str


@dataclass
class ExampleState(PageState):
    """Strokes on images and edits of series, by the key of the form, and the last uploaded file. `brushed` are the
    strokes that the keyboard made.

    `masks` are the masks (H, W) below the strokes, and `uploaded_masks` the ids of the files that they come from.
    """

    strokes: defaultdict[str, list[Stroke]] = field(default_factory=lambda: defaultdict(list))
    brushed: defaultdict[str, BrushStrokes] = field(default_factory=lambda: defaultdict(BrushStrokes))
    edits: defaultdict[str, list[SeriesEdit]] = field(default_factory=lambda: defaultdict(list))
    upload: ReadUpload | None = None
    masks: dict[str, np.ndarray] = field(default_factory=dict)
    uploaded_masks: dict[str, str] = field(default_factory=dict)

    def forget(self, prefix: str) -> None:
        """Drop the edits of forms whose keys begin with a prefix."""
        for by_key in (self.strokes, self.edits):
            for key in [key for key in by_key if key.startswith(prefix)]:
                del by_key[key]


class Key(WidgetKey):
    """The keys of widgets of components that are on a page once."""

    BUTTON_FOCUS = "button focus"
    ON_CLUSTER = "on a cluster"
    CLUSTER_WORKERS = "cluster workers"
    SWEEP_ON_CLUSTER = "sweep on a cluster"
    CARDS = "cards"
    CAVEAT = "caveat"
    COLUMN_ROW = "row"
    CURVES = "curves"
    CURVE_X = "curve x"
    CURVE_SMOOTHING = "curve smoothing"
    CURVE_LOG_X = "curve log x"
    CURVE_LOG_Y = "curve log y"
    CURVE_CSV = "csv"
    ERRORS = "errors"
    EXAMPLE_COLUMNS = "example-columns"
    EXAMPLE_SERIES = "series of an example"
    EXAMPLES = "examples"
    ICON_ONLY = "icon-only"
    PANEL = "panel"
    POPOVERS = "popovers"
    ROC = "rates"
    PRECISION = "precision"


class Part(WidgetKey):
    """The widgets within a component that has a key."""

    BUTTONS = "export"
    CANVAS = "canvas"
    CHANNEL = "channel"
    CHANGE = "do"
    COLOR = "color"
    DRAWING = "drawn"
    EDIT = "edit"
    FILE = "file"
    KIND = "kind"
    AMOUNT = "by"
    BOARD = "board"
    BRUSH = "brush"
    LEFT_OUT = "left out"
    LIVE = "live"
    OUTBOX = "outbox"
    RECORDING = "record"
    SOURCE = "way"
    STEPS = "steps"
    TEXT = "text"
    TOOL = "tool"
    UNDO = "undo"
