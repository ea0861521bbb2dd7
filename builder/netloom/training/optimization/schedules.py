"""Learning rate schedules by their names in documents."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netloom.document.optimizer_settings import SCHEDULES
from netloom.document.training_settings import settings

if TYPE_CHECKING:
    from netloom.document import Training


class Schedule:
    """The factor of the learning rate before each step.

    A linear warmup comes first (https://arxiv.org/abs/1706.02677); the schedule covers the remaining steps and counts
    epochs from the end of the warmup.
    All schedules but `plateau` depend only on the step.
    """

    def __init__(self, training: Training, total_steps: int, steps_per_epoch: int) -> None:
        self.name = training.schedule
        self.settings = settings(SCHEDULES[self.name], training.schedule_settings)
        self.warmup = warmup_steps(training.warmup, total_steps)
        self.total = total_steps - self.warmup
        self.steps_per_epoch = steps_per_epoch
        self._plateau = Plateau(self.settings) if self.name == "plateau" else None

    def factor(self, step: int) -> float:
        """Return the factor of the learning rate before step `step`, counted from 0."""
        if step < self.warmup:  # neither 0 in the first step, which would be wasted, nor 1 before the warmup ends
            return (step + 1) / (self.warmup + 1)
        if self._plateau is not None:
            return self._plateau.factor
        return factor(self.name, step - self.warmup, self.total, self.steps_per_epoch, self.settings)

    def on_epoch_end(self, loss: float) -> None:
        """Update after the evaluation of an epoch; `loss` is the validation loss."""
        if self._plateau is not None:
            self._plateau.update(loss)

    def state_dict(self) -> dict[str, float]:
        return self._plateau.state_dict() if self._plateau is not None else {}

    def load_state_dict(self, state: dict[str, float]) -> None:
        if self._plateau is not None and state:
            self._plateau.load_state_dict(state)


class Plateau:
    """Lowers the learning rate if the loss has not improved by a relative threshold for more than `patience` epochs."""

    def __init__(self, chosen: dict[str, Any]) -> None:
        self._settings = chosen
        self.factor, self._best, self._since = 1.0, math.inf, 0

    def update(self, loss: float) -> None:
        # `abs`, because losses can be negative, such as minus the return of an agent. The second condition is for the
        # first loss: infinity minus infinity is NaN.
        if loss < self._best - abs(self._best) * self._settings["threshold"] or self._best == math.inf > loss:
            self._best, self._since = loss, 0
            return
        self._since += 1
        if self._since > self._settings["patience"]:
            self.factor = max(self.factor * self._settings["gamma"], float(self._settings["end_factor"]))
            self._since = 0

    def state_dict(self) -> dict[str, float]:
        return {"factor": self.factor, "best": self._best, "since": self._since}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.factor, self._best, self._since = state["factor"], state["best"], int(state["since"])


def warmup_steps(warmup: float, total: int) -> int:
    """Return the number of warmup steps; a `warmup` below 1 is a share of all steps. At least one step follows."""
    steps = round(warmup * total) if warmup < 1 else round(warmup)
    return max(0, min(steps, total - 1))


def factor(name: str, step: int, total: int, steps_per_epoch: int = 1, chosen: dict[str, Any] | None = None) -> float:
    """Return the factor of a schedule that depends only on the step, before step `step` of `total`."""
    if total <= 1:  # a single step has the full rate
        return 1.0
    position = Position(step, min(step / total, 1.0), steps_per_epoch)
    return float(FACTORS[name](position, chosen if chosen is not None else dict(SCHEDULES[name].settings)))


@dataclass(frozen=True)
class Position:
    """A step, counted from 0, as a share of all steps, and the steps of an epoch."""

    step: int
    done: float
    steps_per_epoch: int

    @property
    def epoch(self) -> int:
        return self.step // self.steps_per_epoch


def _one_cycle(at: Position, settings: dict[str, Any]) -> float:
    """A rise and then a fall to almost 0, both along half a cosine: https://arxiv.org/abs/1708.07120"""
    rise = settings["pct_start"]
    if at.done < rise:
        return _between(settings["start_factor"], 1.0, at.done / rise)
    return _between(1.0, 1e-5, (at.done - rise) / (1 - rise))


def _cosine(at: Position, settings: dict[str, Any]) -> float:
    return _down_to(settings["end_factor"], at.done)


def _cosine_restarts(at: Position, settings: dict[str, Any]) -> float:
    """https://arxiv.org/abs/1608.03983"""
    first, longer = int(settings["first_cycle"]) * at.steps_per_epoch, int(settings["cycle_mult"])
    return _down_to(settings["end_factor"], _stretch(at.step, first, longer))


# The schedules that depend only on the step, by their names in documents.
FACTORS: dict[str, Callable[[Position, dict[str, Any]], float]] = {
    "constant": lambda at, settings: 1.0,
    "linear": lambda at, settings: 1 + (settings["end_factor"] - 1) * at.done,
    "step": lambda at, settings: settings["gamma"] ** (at.epoch // settings["step_size"]),
    "exponential": lambda at, settings: settings["decay_rate"] ** at.epoch,
    "polynomial": lambda at, settings: (1 - at.done) ** settings["power"],
    "one_cycle": _one_cycle,
    "cosine": _cosine,
    "cosine_restarts": _cosine_restarts,
}


def _down_to(end: float, done: float) -> float:
    """Return the value at the share `done` of half a cosine from 1 to `end`."""
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return end + (1 - end) * cosine


def _stretch(step: int, length: int, longer: int) -> float:
    """Return the progress of step `step` in its interval, from 0 to 1."""
    if longer == 1:  # intervals of equal length need no loop
        return step % length / length
    while step >= length:
        step, length = step - length, length * longer
    return step / length


def _between(start: float, end: float, done: float) -> float:
    """Return the value at the share `done` of half a cosine from `start` to `end`."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * done))
