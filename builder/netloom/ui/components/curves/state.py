"""The view settings of curves, and the points that were sent to the browser of a tab."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from netloom.ui.components.page_state import PageState

Axis = Literal["Epoch", "Step", "Time"]


@dataclass(frozen=True)
class View:
    """The view settings of curves. `smoothing` is from 0 (none) to below 1."""

    x: Axis = "Epoch"
    smoothing: float = 0.0
    log_x: bool = False
    log_y: bool = False


@dataclass
class Sent:
    """The points of a run that were sent: in `counts`, for each of the last reruns, the number of points of each curve.

    `sends` is the number of full sends.
    """

    run: str = ""
    sends: int = 0
    counts: deque[dict[str, int]] = field(default_factory=deque)


@dataclass
class CurvesState(PageState):
    """The view settings of the curves, and their sent points, per tab."""

    view: View = View()
    sent: Sent = field(default_factory=Sent)
