"""The state of the Monitor page per tab, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netloom.ui.components.page_state import PageState, WidgetKey

if TYPE_CHECKING:
    from netloom.jobs.monitoring import CheckModel
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
    """

    checked: dict[tuple[str, str, int], Checked] = field(default_factory=dict)
    asked: dict[tuple[str, str, int], CheckModel] = field(default_factory=dict)


class Key(WidgetKey):
    """The keys of the page's widgets."""

    CONFIDENCE = "monitor confidence"
    ERROR = "monitor error"
    LATENCY = "monitor latency"
    MODE = "monitor mode"
    MODEL = "monitor model"
    REPORT = "monitor-report"
    RUN = "monitor run"
    WINDOW = "monitor window"
