"""The state of the Deploy page per tab, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netloom.ui.components.page_state import PageState, WidgetKey

if TYPE_CHECKING:
    from netloom.drift import DriftReport
    from netloom.jobs import RunWeights


@dataclass
class DeployState(PageState):
    """What the page shows, so that it is the same after a visit to another page.

    Attributes:
        optimized: The weights whose variants were asked for.
        carded: The weights whose model card was asked for.
        drift: The drift reports, by the key of their request.
    """

    optimized: set[RunWeights] = field(default_factory=set)
    carded: set[RunWeights] = field(default_factory=set)
    drift: dict[str, DriftReport] = field(default_factory=dict)


class Key(WidgetKey):
    """The keys of the page's widgets."""

    BACKEND = "deploy backend"
    CARD_FORM = "deploy card form"
    CARD_PART = "deploy card part"
    CARD_SAVE = "deploy card save"
    DOWNLOAD = "deploy download"
    DRIFT_FILE = "deploy drift file"
    MODE = "deploy mode"
    OPTIMIZE = "deploy optimize"
    PARETO = "deploy pareto"
    PORT = "deploy port"
    START = "deploy start"
    STOP = "deploy stop"
