"""The state of the Try it page per tab, and the keys of its widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netloom.ui.components.page_state import PageState, WidgetKey

if TYPE_CHECKING:
    from netloom.jobs.requests.predictions import BatchResult


@dataclass(frozen=True)
class Written:
    """A text that a run generated: what it continues, "" for an answer, the text, and whether it is complete."""

    prompt: str
    text: str
    ended: bool


@dataclass(frozen=True)
class Batch:
    """The predictions for a file, by the key of their request."""

    key: str
    result: BatchResult


@dataclass
class TryItState(PageState):
    """What the page shows, so that it is the same after a visit to another page.

    Attributes:
        rows: The row from which the input starts, by the id of the run.
        resets: How often the input of each run was reset, so that its widgets are drawn anew.
        compared: The id of the second run; "" for none.
        written: The last generated text, by the id of the run.
        batch: The last predictions for a file.
    """

    rows: dict[str, int] = field(default_factory=dict)
    resets: dict[str, int] = field(default_factory=dict)
    compared: str = ""
    written: dict[str, Written] = field(default_factory=dict)
    batch: Batch | None = None


class Key(WidgetKey):
    """The keys of the page's widgets."""

    ANOTHER_ROW = "try another row"
    BATCH_FILE = "try batch file"
    BATCH_ROWS = "try batch rows"
    COLLECT = "try collect"
    COLLECT_NOW = "try collect now"
    DOWNLOAD = "try download"
    EDITOR = "try-editor"
    EXPLAIN = "try explain"
    GENERATE = "try generate"
    LABEL = "try label"
    LATENT = "try latent"
    LATENT_IMAGES = "try-latent-images"
    LATENT_NEXT = "try latent next"
    LATENT_SEED = "try latent seed"
    LENGTH = "try length"
    MODE = "try mode"
    PLOT = "try plot"
    RESET = "try reset"
    RESULT = "try-result"
    ROW = "try row"
    SEED = "try seed"
    STOP = "try stop"
    TEMPERATURE = "try temperature"
    TOP_K = "try top k"
    TOP_P = "try top p"
