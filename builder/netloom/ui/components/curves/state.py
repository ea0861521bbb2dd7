"""How people want to see curves, and which points a tab's browser was sent."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from netloom.ui.components.page_state import PageState

Axis = Literal["Epoch", "Step", "Time"]


@dataclass(frozen=True)
class View:
    """How curves are drawn. `smoothing` is from 0 (not at all) to below 1."""

    x: Axis = "Epoch"
    smoothing: float = 0.0
    log_x: bool = False
    log_y: bool = False


@dataclass
class Sent:
    """What the browser was sent of a run: by look, the number of points of each curve; `times` counts full sends."""

    run: str = ""
    times: int = 0
    looks: deque[dict[str, int]] = field(default_factory=deque)


@dataclass
class CurvesState(PageState):
    """The view of the curves, which stays with the tab, and what was sent of them."""

    view: View = View()
    sent: Sent = field(default_factory=Sent)
