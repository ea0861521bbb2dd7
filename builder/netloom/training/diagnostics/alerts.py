"""What a run has to tell in words, as data: what is wrong, where, and what to do about it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from netloom.training.diagnostics.budget import Budget
from netloom.training.diagnostics.node_modules import Place
from netloom.training.diagnostics.statistics_file import MEASURES

if TYPE_CHECKING:
    from netloom.document import Training

# How many samples of the layers a rule may look back.
REMEMBERED = 50


@dataclass(frozen=True)
class Notice:
    """One warning. `where` names layers as people do and `nodes` leads to the first of them, network by network."""

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    fix: str
    where: str = ""
    nodes: tuple[str, ...] = ()
    step: int = 0
    epoch: int = 0

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "nodes": list(self.nodes)}

    @staticmethod
    def of(value: dict[str, Any]) -> Notice:
        return Notice(**{**value, "nodes": tuple(value["nodes"])})


@dataclass
class Seen:
    """What is known of a run so far.

    `samples` are the latest numbers of the layers (layers, measures). `losses` are the mean losses of a few steps each,
    `train` and `validation` those after each epoch. `turns` is set where networks learn against each other, or an agent
    by acting: what they lower has no bottom, and rising may be right. `plain`: what is lowered is what is measured.
    `trained`: the first of the losses is of weights that had learned before.
    """

    training: Training
    places: list[Place]
    sizes: list[int]
    matrices: list[bool]
    rows: int
    turns: bool = False
    plain: bool = True
    trained: bool = False
    class_counts: dict[str, int] = field(default_factory=dict)
    samples: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    losses: list[float] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    step: int = 0
    epoch: int = 0
    # The learning rate as it is now, which people change while a run goes on; 0: that of the document.
    rate: float = 0.0

    def __post_init__(self) -> None:
        self.rate = self.rate or self.training.learning_rate

    @property
    def first(self) -> float:
        """The loss at the start, when nothing was learned; NaN where it is not known."""
        known = self.losses if self.plain else self.train
        return known[0] if known and not self.trained else float("nan")

    def last(self, measure: str, count: int) -> np.ndarray | None:
        """A measure in the last samples (count, layers), or None while there are not as many."""
        if len(self.samples) < count or not self.places:
            return None
        rows = list(self.samples)[-count:]
        return np.stack([row[:, MEASURES.index(measure)] for row in rows])

    def named(self, which: list[int]) -> dict[str, Any]:
        """The fields of a notice that say where: up to three layers, and where the first of them lies."""
        more = f" and {len(which) - 3} more" if len(which) > 3 else ""
        return {
            "where": ", ".join(self.places[place].title for place in which[:3]) + more,
            "nodes": self.places[which[0]].nodes if which else (),
        }


Rule = Callable[[Seen], Notice | None]
# Whether what was told has turned out otherwise since.
Refuted = Callable[[Seen, Notice], bool]


class Adviser:
    """Asks every rule when something new is known, within `share` of the time. Each speaks up once in a run, and once
    more where what it said was `refuted`."""

    def __init__(
        self,
        rules: dict[str, Rule],
        seen: Seen,
        known: list[Notice],
        share: float,
        refuted: Mapping[str, Refuted] = MappingProxyType({}),
    ) -> None:
        self._rules, self.seen, self._refuted = rules, seen, refuted
        self.notices = list(known)
        self._budget = Budget(share)

    def look(self, *, now: bool = False) -> None:
        """Ask, if there is time for it or it has to be `now`."""
        if now or self._budget.left():
            start = time.process_time()
            self._ask()
            self._budget.spend(time.process_time() - start)

    def _ask(self) -> None:
        self.notices = [
            notice
            for notice in self.notices
            if notice.code not in self._refuted or not self._refuted[notice.code](self.seen, notice)
        ]
        told = {notice.code for notice in self.notices}
        for code, rule in self._rules.items():
            if code not in told and (found := rule(self.seen)) is not None:
                self.notices.append(found)
