"""Warnings of a run as data: what is wrong, where, and what to do."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from netloom.store.run_summary import RunNotice, SuggestedEdit
from netloom.training.diagnostics.budget import Budget
from netloom.training.diagnostics.node_modules import LayerModule
from netloom.training.diagnostics.statistics_file import MEASURES

if TYPE_CHECKING:
    from netloom.document import Training

# The number of layer samples that rules can use.
REMEMBERED = 50


@dataclass(frozen=True)
class Notice:
    """A warning. `where` names layers for people; `nodes` is the path of node ids to the first one. `edit` is the fix
    as an edit of the document, if one edit suffices."""

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    fix: str
    where: str = ""
    nodes: tuple[str, ...] = ()
    step: int = 0
    epoch: int = 0
    edit: SuggestedEdit | None = None

    def as_reported(self) -> RunNotice:
        """Return the notice as the summary of a run stores it."""
        return RunNotice.model_validate(vars(self))

    @staticmethod
    def of(value: RunNotice) -> Notice:
        """Return the notice of a summary."""
        return Notice(**dict(value))


@dataclass
class Observations:
    """The observations of a run so far, which the rules read.

    `sizes` are the numbers of weights of the layers, and `matrices` tells which layers have weights of two or more
    dimensions. `rows` is the batch size. `samples` are the latest layer statistics (layers, measures). `losses` are
    mean losses of a few steps each, `train` and `validation` the losses after each epoch. `loss_may_rise` is set for
    adversarial and reinforcement learning, whose losses have no minimum and can rise in a healthy run.
    `is_loss_comparable`: the training loss equals the evaluated loss. `is_pretrained`: the first loss belongs to
    weights that were trained before.
    """

    training: Training
    places: list[LayerModule]
    sizes: list[int]
    matrices: list[bool]
    rows: int
    loss_may_rise: bool = False
    is_loss_comparable: bool = True
    is_pretrained: bool = False
    class_counts: dict[str, int] = field(default_factory=dict)
    samples: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    losses: list[float] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    step: int = 0
    epoch: int = 0
    # The current learning rate, which users can change during a run; 0: that of the document.
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        self.learning_rate = self.learning_rate or self.training.learning_rate

    @property
    def first(self) -> float:
        """The loss before training; NaN if it is unknown."""
        # The first training loss comes from steps that hardly changed the weights. If it is another measure than the
        # evaluated loss, use that of the first epoch.
        losses = self.losses if self.is_loss_comparable else self.train
        return losses[0] if losses and not self.is_pretrained else float("nan")

    def last(self, measure: str, count: int) -> np.ndarray | None:
        """Return a measure in the last samples (count, layers), or None while there are fewer."""
        if len(self.samples) < count or not self.places:
            return None
        rows = list(self.samples)[-count:]
        return np.stack([row[:, MEASURES.index(measure)] for row in rows])

    def named(self, layers: list[int]) -> dict[str, Any]:
        """Return the location fields of a notice: up to three layers, and the path to the first."""
        more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
        return {
            "where": ", ".join(self.places[layer_index].title for layer_index in layers[:3]) + more,
            "nodes": self.places[layers[0]].nodes if layers else (),
        }


Rule = Callable[[Observations], Notice | None]
# Returns whether later observations contradict a notice, which is then withdrawn.
Refuted = Callable[[Observations, Notice], bool]


class Adviser:
    """Checks every rule when there is new data, within a `share` of the time. Each rule warns once per run, and once
    more after its warning was `refuted`."""

    def __init__(
        self,
        rules: dict[str, Rule],
        observations: Observations,
        notices: list[Notice],
        share: float,
        refuted: Mapping[str, Refuted] = MappingProxyType({}),
    ) -> None:
        self._rules, self.observations, self._refuted = rules, observations, refuted
        self.notices = list(notices)
        self._budget = Budget(share)

    def check(self, *, immediately: bool = False) -> None:
        """Check the rules, if the time budget allows or `immediately` is set."""
        if immediately or self._budget.left():
            start = time.process_time()
            self._ask()
            self._budget.spend(time.process_time() - start)

    def _ask(self) -> None:
        self.notices = [
            notice
            for notice in self.notices
            if notice.code not in self._refuted or not self._refuted[notice.code](self.observations, notice)
        ]
        noted_codes = {notice.code for notice in self.notices}
        for code, rule in self._rules.items():
            if code not in noted_codes and (notice_of_rule := rule(self.observations)) is not None:
                self.notices.append(notice_of_rule)
