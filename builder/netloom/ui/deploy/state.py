"""The state of the Deploy page per tab, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netloom.ui.components.page_state import PageState, WidgetKey

if TYPE_CHECKING:
    from netloom.drift import DriftReport
    from netloom.jobs import RunWeights
    from netloom.jobs.requests.deployment import Optimize
    from netloom.monitoring.promotion import Gate


@dataclass
class DeployState(PageState):
    """What the page shows, so that it is the same after a visit to another page.

    Attributes:
        optimized: The last measurement of variants, by the weights.
        measured_layers: The weights whose layers were measured one by one.
        smaller: What the last smaller run removed, as a sentence, by the weights it was made from.
        cards: The weights whose model card was asked for.
        drift: The drift reports, by the key of their request.
        promotions: The comparisons of runs, by the key of their request; `comparing` is that of the one that runs.
    """

    optimized: dict[RunWeights, Optimize] = field(default_factory=dict)
    measured_layers: set[RunWeights] = field(default_factory=set)
    smaller: dict[RunWeights, str] = field(default_factory=dict)
    cards: set[RunWeights] = field(default_factory=set)
    drift: dict[str, DriftReport] = field(default_factory=dict)
    promotions: dict[str, Gate] = field(default_factory=dict)
    comparing: str = ""


class Key(WidgetKey):
    """The keys of the page's widgets."""

    AXIS = "deploy axis"
    BACKEND = "deploy backend"
    CANARY = "deploy canary"
    CANARY_END = "deploy canary end"
    CANARY_PERCENT = "deploy canary percent"
    CARD_FORM = "deploy card form"
    CARD_PART = "deploy card part"
    CARD_SAVE = "deploy card save"
    CARD_TEXT = "deploy-card"
    DOWNLOAD = "deploy download"
    DRIFT_FILE = "deploy drift file"
    EXIT_AT = "deploy exit at"
    EXIT_TOLERANCE = "deploy exit tolerance"
    LOG_REQUESTS = "deploy log requests"
    MODE = "deploy mode"
    NETWORK = "deploy network"
    OPTIMIZE = "deploy optimize"
    PARETO = "deploy pareto"
    PORT = "deploy port"
    PROMOTE = "deploy promote"
    PROMOTION_AGAIN = "deploy promotion again"
    PROMOTION_COMPARE = "deploy promotion compare"
    PROMOTION_OVER = "deploy promotion over"
    PROMOTION_SERVER = "deploy promotion server"
    ROLLBACK = "deploy rollback"
    SENSITIVITY = "deploy sensitivity"
    SENSITIVITY_GRAPH = "deploy sensitivity graph"
    SENSITIVITY_KIND = "deploy sensitivity kind"
    SHADOW = "deploy shadow"
    SHADOW_END = "deploy shadow end"
    SMALLER_AMOUNT = "deploy smaller amount"
    SMALLER_CRITERION = "deploy smaller criterion"
    SMALLER_EPOCHS = "deploy smaller epochs"
    SMALLER_METHOD = "deploy smaller method"
    SMALLER_OPEN = "deploy smaller open"
    SMALLER_START = "deploy smaller start"
    START = "deploy start"
    STOP = "deploy stop"
