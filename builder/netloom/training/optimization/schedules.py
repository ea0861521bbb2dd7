"""Learning rate schedules by their names in documents."""

from __future__ import annotations

import math
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
            self._plateau.look(loss)

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

    def look(self, loss: float) -> None:
        # `abs`, because losses can be negative, such as minus the return of an agent. The second condition is for the
        # first loss: infinity minus infinity is NaN.
        if loss < self._best - abs(self._best) * self._settings["threshold"] or self._best == math.inf > loss:
            self._best, self._since = loss, 0
            return
        self._since += 1
        if self._since > self._settings["patience"]:
            self.factor = max(self.factor * self._settings["drop"], float(self._settings["end"]))
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
    """Return the factor of a schedule that depends only on the step, before step `step` of `total`.

    `one_cycle` rises and then falls to almost 0, both along half a cosine: https://arxiv.org/abs/1708.07120.
    `cosine_restarts` is that of https://arxiv.org/abs/1608.03983.
    """
    if name == "constant" or total <= 1:  # a single step has the full rate
        return 1.0
    done = min(step / total, 1.0)
    epoch = step // steps_per_epoch
    have = chosen if chosen is not None else dict(SCHEDULES[name].settings)
    if name == "one_cycle":
        rise = have["rise"]
        if done < rise:
            return _between(have["begin"], 1.0, done / rise)
        return _between(1.0, 1e-5, (done - rise) / (1 - rise))
    if name == "linear":
        return float(1 + (have["end"] - 1) * done)
    if name == "step":
        return float(have["drop"] ** (epoch // have["every"]))
    if name == "exponential":
        return float(have["per_epoch"] ** epoch)
    if name == "polynomial":
        return float((1 - done) ** have["curve"])
    if name == "cosine_restarts":
        done = _stretch(step, int(have["first"]) * steps_per_epoch, int(have["longer"]))
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return float(have["end"] + (1 - have["end"]) * cosine)


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
