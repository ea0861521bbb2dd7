"""What components on several pages keep for a tab, and the keys of their widgets."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from netloom.ui.components.page_state import PageState, WidgetKey

# The cells (row, column) that a stroke covers, and its color.
Stroke = tuple[list[tuple[int, int]], str]
# The first and the last step, the channel, what is done there, and by how much.
SeriesEdit = tuple[int, int, int, str, float]


@dataclass(frozen=True)
class Refusal:
    """Why the last change of a widget was refused."""

    key: str
    sentence: str


@dataclass
class FormState(PageState):
    """Widgets that are bound to a project: how often each made a change in this tab, by project and name of widget."""

    typed: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    refusal: Refusal | None = None


def bound_key(project_id: str, generation: int, elsewhere: int, name: str) -> str:
    """The key of a widget that is bound to a project: renewed with each generation of the project's forms, and with
    each change that a widget of this name made in another tab."""
    return f"{project_id}/{generation}.{elsewhere}/{name}"


@dataclass
class BackendState(PageState):
    """Where runs are trained: the number of workers of a cluster; 0 for this machine."""

    workers: int = 0


@dataclass
class ExampleState(PageState):
    """What was painted on pictures and done to series, by the key of the form."""

    strokes: defaultdict[str, list[Stroke]] = field(default_factory=lambda: defaultdict(list))
    edits: defaultdict[str, list[SeriesEdit]] = field(default_factory=lambda: defaultdict(list))

    def forget(self, prefix: str) -> None:
        """Drop what belongs to forms whose keys begin with a prefix."""
        for by_key in (self.strokes, self.edits):
            for key in [key for key in by_key if key.startswith(prefix)]:
                del by_key[key]


class Key(WidgetKey):
    """The keys of components' widgets that are on a page once."""

    ON_CLUSTER = "on a cluster"
    CLUSTER_WORKERS = "cluster workers"
    SWEEP_ON_CLUSTER = "sweep on a cluster"
    CAVEAT = "caveat"
    CURVES = "curves"
    CURVE_X = "curve x"
    CURVE_SMOOTHING = "curve smoothing"
    CURVE_LOG_X = "curve log x"
    CURVE_LOG_Y = "curve log y"
    CURVE_CSV = "csv"
    ERRORS = "errors"
    PANEL = "panel"
    ROC = "rates"
    PRECISION = "precision"


class Part(WidgetKey):
    """The parts of a component that is given a key of its own."""

    BUTTONS = "export"
    CANVAS = "canvas"
    CHANNEL = "channel"
    CHANGE = "do"
    COLOR = "color"
    EDIT = "edit"
    KIND = "kind"
    AMOUNT = "by"
    LEFT_OUT = "left out"
    STEPS = "steps"
    TEXT = "text"
    TOOL = "tool"
    UNDO = "undo"
