"""The state of the Runs page per tab, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass, field

from netloom.calibration import CalibrationSettings
from netloom.runs.history.run_search import RunSearch
from netloom.runs.history.run_table import ColumnFilter
from netloom.ui.components.page_state import PageState, WidgetKey, has_value, set_value, value_of


class Key(WidgetKey):
    """The keys of the runs page's widgets."""

    ACTIONS = "actions"
    AGAIN = "again"
    BASELINE = "baseline"
    BRANCH = "branch"
    BRANCH_AT = "at"
    BRANCH_EPOCHS = "branch epochs"
    BRANCH_RATE = "branch rate"
    CALIBRATE_ABSTAIN = "calibrate abstain"
    CALIBRATE_APPLY = "calibrate apply"
    CALIBRATE_BINS = "calibrate bins"
    CALIBRATE_CONFORMAL = "calibrate conformal"
    CALIBRATE_DATASET = "calibrate dataset"
    CALIBRATE_ENSEMBLE = "calibrate ensemble"
    CALIBRATE_FORM = "calibrate form"
    CALIBRATE_METHOD = "calibrate method"
    CALIBRATE_OOD = "calibrate scores"
    CALIBRATE_PASSES = "calibrate passes"
    CALIBRATE_RELIABILITY = "calibrate reliability"
    CALIBRATE_RESET = "calibrate reset"
    CALIBRATE_RISK = "calibrate risk"
    CALIBRATE_ROW = "calibrate row"
    CALIBRATE_SCORE = "calibrate score"
    CALIBRATE_SETS = "calibrate sets"
    CALIBRATE_SIZES = "calibrate sizes"
    CALIBRATE_VALUE = "calibrate value"
    CALIBRATE_WORSE = "calibrate worse"
    CALIBRATION = "calibration"
    CHOICES = "choices"
    COLUMNS = "columns"
    CONDITIONS = "conditions"
    COUNT = "count"
    CURVE_AXIS = "over"
    CURVE_LOG = "log"
    CURVE_OF = "curve of"
    CURVE_ROWS = "rows"
    CURVE_SMOOTHING = "smoothing"
    DESCRIBE = "describe"
    FILTER_PROJECT = "of"
    FILTER_STATE = "state of"
    FILTER_TAG = "tag of"
    FILTER_TEXT = "text of"
    FROM = "from"
    GO_ON = "go on"
    GROUPS = "groups"
    GROUP_BY = "group by"
    HIGH = "high"
    HISTORY = "sweep history"
    IMPORTANCE = "importance"
    IMPORTANCE_OF = "importance of"
    LOG = "log of"
    LOW = "low"
    METRIC = "sweep metric"
    MORE_TRIALS = "more trials"
    NOTICE = "notice runs"
    ONE_OF = "one of"
    OPEN = "open"
    OTHER = "other"
    OVERLAY = "overlay"
    PARALLEL = "parallel"
    SCROLL = "scroll"
    PART = "runs part"
    PATHS = "sweep paths"
    POINTS = "points"
    PRUNER = "pruner"
    RUN_IMPORTANCE = "run importance"
    SAMPLER = "sampler"
    STOP_SWEEP = "stop sweep"
    SWEEP = "sweeps"
    SWEEP_DELETE = "delete sweep"
    SWEEP_KIND = "sweep kind"
    SWEEP_PARALLEL = "sweep parallel"
    TABLE = "all runs"
    TO = "to"
    TRIALS = "trials"
    TRIALS_OF = "trials of"
    USE_BEST = "use best"
    WORST = "worst"


@dataclass(frozen=True)
class Filters(RunSearch):
    """The filters of runs as values of widgets; by default, all runs are listed."""

    def values(self) -> dict[Key, str | list[str]]:
        """Return the value of each widget."""
        return {
            Key.FILTER_PROJECT: self.project,
            Key.FILTER_STATE: list(self.states),
            Key.FILTER_TAG: list(self.tags),
            Key.FILTER_TEXT: self.text,
        }

    def show(self) -> None:
        """Set all widgets to these filters."""
        for key, value in self.values().items():
            set_value(key, value)

    def restore(self) -> None:
        """Set the widgets that lost their values on another page."""
        for key, value in self.values().items():
            if not has_value(key):
                set_value(key, value)

    @classmethod
    def typed(cls) -> Filters:
        """Return the filters from the values of the widgets."""
        return cls(
            value_of(Key.FILTER_PROJECT),
            tuple(value_of(Key.FILTER_STATE)),
            tuple(value_of(Key.FILTER_TAG)),
            value_of(Key.FILTER_TEXT),
        )


@dataclass
class RunsState(PageState):
    """The selected runs, the run of the link that was followed last, the baseline, the sweep, the filters, the columns
    of the table (None: the first ones), and the settings of the calibration that was measured last, by run."""

    chosen: list[str] = field(default_factory=list)
    linked: str = ""
    baseline: str | None = None
    sweep: str | None = None
    filters: Filters = Filters()
    columns: tuple[str, ...] | None = None
    conditions: tuple[ColumnFilter, ...] = ()
    group_by: str = ""
    calibrations: dict[str, CalibrationSettings] = field(default_factory=dict)
