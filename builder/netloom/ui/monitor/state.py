"""The state of the Monitor page per tab, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netloom.ui.components.page_state import PageState, WidgetKey

if TYPE_CHECKING:
    from netloom.jobs.requests.monitoring import CheckModel, MakeVersion, Version
    from netloom.monitoring import MonitorReport


@dataclass(frozen=True)
class Checked:
    """The last report of a model, what was asked for it, and when, in seconds of `time.monotonic`."""

    request: CheckModel
    report: MonitorReport
    at: float


@dataclass
class MonitorState(PageState):
    """What the page shows, so that it is the same after a visit to another page.

    Attributes:
        checked: The last report, by the name of the model, the id of the run, and the window.
        asked: The check that runs, by the same. Another one starts only after it, however fast the log grows.
        version: The last dataset version.
        making: The dataset version that was asked for.
        page: The page of the list of collected examples, from 0.
    """

    checked: dict[tuple[str, str, int], Checked] = field(default_factory=dict)
    requests: dict[tuple[str, str, int], CheckModel] = field(default_factory=dict)
    version: Version | None = None
    making: MakeVersion | None = None
    page: int = 0


class Key(WidgetKey):
    """The keys of the page's widgets."""

    COLLECT = "monitor collect"
    CONFIDENCE = "monitor confidence"
    DELETE = "monitor delete"
    ERROR = "monitor error"
    LABEL = "monitor label"
    LATENCY = "monitor latency"
    MAKE = "monitor make version"
    MODE = "monitor mode"
    MODEL = "monitor model"
    NEXT = "monitor next"
    PAINT = "monitor paint"
    PREVIOUS = "monitor previous"
    REPORT = "monitor-report"
    RETRAIN = "monitor retrain"
    RUN = "monitor run"
    SUSPECT = "monitor suspect"
    TITLE = "monitor version title"
    WINDOW = "monitor window"
