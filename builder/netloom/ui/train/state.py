"""The state of the Train page per tab, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from netloom.training.diagnostics import History, Predictions
from netloom.ui.components.curves.curve import Curves
from netloom.ui.components.page_state import PageState, WidgetKey

if TYPE_CHECKING:
    from netloom.jobs import RunWeights
    from netloom.jobs.requests.learning_rate import LearningRateRangeTest

T = TypeVar("T")
# The title of the tab with the worst examples, to which the Explain page links back.
WORST_TAB = "Errors"
EXPORT_TAB = "Export"


@dataclass(frozen=True)
class RunRefusal:
    """The error of a run that could not be resumed."""

    run_id: str = ""
    sentence: str = ""


@dataclass
class KnownPoints:
    """The points of a run that were read, up to row `last`.

    A resume may delete points, so they are identified by the run and its start time.
    """

    run: tuple[str, str] = ("", "")
    curves: Curves = field(default_factory=Curves)
    last: int = 0


@dataclass(frozen=True)
class ReadFile(Generic[T]):
    """The content of a file of a run, and the stamp of the file when it was read."""

    stamp: object = None
    content: T | None = None


@dataclass(frozen=True)
class BuiltFile:
    """The last exported file: the network, the format, the content, and the result of the comparison."""

    weights: RunWeights
    format: str
    content: bytes
    name: str
    verdict: str
    with_runtime: bool = False


@dataclass
class TrainState(PageState):
    """The data of the monitored runs of a tab; `epochs` are the chosen epochs of predictions, by run."""

    lr_searches: dict[str, LearningRateRangeTest] = field(default_factory=dict)
    refusal: RunRefusal = RunRefusal()
    points: KnownPoints = field(default_factory=KnownPoints)
    layer_history: ReadFile[History] = ReadFile()
    predictions: ReadFile[Predictions] = ReadFile()
    epochs: dict[str, int | None] = field(default_factory=dict)
    built: BuiltFile | None = None


class Key(WidgetKey):
    """The keys of the train page's widgets."""

    BUILD = "prepare"
    CARD = "train-card"
    CONFUSION = "confusion"
    CONTINUE = "continue"
    DATA = "data and objective"
    CONTROLS = "controls"
    DELETE = "delete"
    EXTEND = "extend"
    EXTEND_EPOCHS = "more"
    EMBEDDING = "embedding"
    EPISODES = "episodes"
    FIX = "fix"
    FORMAT = "format"
    GROUP = "recipe"
    INCLUDE_RUNTIME = "include runtime"
    LAYERS = "layers"
    MAIN_SETTINGS = "main settings"
    METRICS = "test-metrics"
    LAYER_HEATMAP = "heatmap"
    LAYER_LINES = "layer lines"
    LR_CHART = "rates"
    LR_FIND = "find"
    LR_FINDER = "finder"
    LR_USE = "use rate"
    SETTING = "setting"
    MORE_WARNINGS = "more warnings"
    NEXT_RUN = "next run"
    NOTICE = "notice train"
    PAGE = "train-page"
    PAUSE = "pause"
    PREDICTIONS = "said"
    RATE = "rate"
    RATE_SET = "set rate"
    RESIDUALS = "residuals"
    RESULTS = "results"
    RESUME = "resume"
    RETURNS = "returns"
    RUN_ROW = "run-row"
    RUNS = "runs"
    SCHEDULE = "schedule"
    SCHEDULE_SET = "set schedule"
    STATUS = "run-status"
    STOP = "stop"
    SUGGESTED = "suggested edit"
    WATCHED = "watched"
