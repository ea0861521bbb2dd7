"""The learning rate range test: tries all learning rates in one short run (https://arxiv.org/abs/1506.01186).

The rate grows with each step. The loss stays constant at too small rates, decreases at good ones and increases at too
large ones. The suggestion is the rate at which it decreases fastest.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from netloom.compile import CompileError, source
from netloom.document import Project
from netloom.runs.history.comparison import smoothed
from netloom.tasks import task
from netloom.training.errors import DivergedError
from netloom.training.trainer import Callback, Trainer
from netloom.training.trainers.registry import build_trainer
from netloom.validation import analyze
from netloom.validation.applied_fixes import with_auto_sizes

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared

LOWEST, HIGHEST = 1e-6, 10.0
# About 20 rates per decade, and at most a minute, as the result is only a starting point.
STEPS, LIMIT_S = 140, 60.0
# Batch losses are noisy, so the test uses an exponential moving average, and stops when it exceeds four times its
# minimum.
SMOOTHING, ENOUGH = 0.9, 4.0
# The slope at a rate is that of a line fitted to this many rates on each side. A smaller relative decrease does not
# count.
AROUND, FALLS = 4, 0.02


@dataclass(frozen=True)
class Rates:
    """The `losses` of steps at `rates`; `smooth` is their moving average."""

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    done: bool = False

    @property
    def smooth(self) -> list[float]:
        """Return exponential moving averages of the losses, corrected for their bias toward 0."""
        return smoothed(self.losses, SMOOTHING)

    @property
    def suggested(self) -> float | None:
        """Return the rate at which the loss decreases fastest, rounded to two digits; None if it does not decrease."""
        smooth, logs = np.array(self.smooth), np.log10(np.array(self.rates))
        if len(smooth) < 4 * AROUND:
            return None
        lowest = int(smooth.argmin())
        if smooth[: lowest + 1].max() - smooth[lowest] < FALLS * abs(smooth[: lowest + 1].max()):
            return None
        positions = range(AROUND, max(min(lowest + 1, len(smooth) - AROUND), AROUND + 1))
        slopes = [
            np.polyfit(logs[at - AROUND : at + AROUND + 1], smooth[at - AROUND : at + AROUND + 1], 1)[0]
            for at in positions
        ]
        return float(f"{self.rates[positions[int(np.argmin(slopes))]]:.1e}")


class _RangeTest(Callback):
    """Raises the learning rate after each step, until the loss increases."""

    def __init__(self, tell: Callable[[float, float], None], limit_s: float) -> None:
        self._tell, self._until = tell, time.monotonic() + limit_s
        self._losses: list[float] = []
        self._rate = LOWEST

    def on_step_end(self, trainer: Trainer, loss: torch.Tensor) -> None:
        self._losses.append(float(loss))

    def should_continue(self, trainer: Trainer) -> bool:
        if not self._losses or not math.isfinite(self._losses[-1]):
            return False
        self._tell(self._rate, self._losses[-1])
        smooth = Rates(losses=self._losses).smooth
        # The average of the first few losses varies too much. The difference instead of the ratio, for negative losses.
        worse = len(smooth) > 10 and smooth[-1] - min(smooth) > (ENOUGH - 1) * abs(min(smooth))
        if len(self._losses) >= STEPS or worse or time.monotonic() > self._until:
            return False
        self._rate = trainer.learning_rate = LOWEST * (HIGHEST / LOWEST) ** (len(self._losses) / (STEPS - 1))
        return True


def refusal(project: Project) -> str:
    """Return why a range test is not possible for a project; "" if it is."""
    if task(project.training.objective).environment:
        return "An agent learns from what it does, whose loss says little about the learning rate."
    return "" if project.data.dataset else "Choose data first."


def find_rate(
    project: Project, data: Prepared, tell: Callable[[float, float], None] | None = None, limit_s: float = LIMIT_S
) -> Rates:
    """Run the range test on the training rows of a project. Calls `tell` with each rate and its loss. Discards the
    weights.

    Raises:
        CompileError: the network has errors, or does not match the data.
        TrainingError: a setting does not match.
    """
    project = with_auto_sizes(project, data.schema)
    analysis = analyze(project, data.schema)
    if analysis.errors:
        raise CompileError(analysis.errors)
    fixed = {"schedule": "constant", "schedule_settings": {}, "warmup": 0, "early_stopping": None}
    fixed |= {"compile": "off", "cuda_graphs": "off"}
    if project.training.precision == "auto":  # which would try bf16 first
        fixed["precision"] = "float32"
    applicable = {key: value for key, value in fixed.items() if key in type(project.training).model_fields}
    # As many epochs as steps, as an epoch can have a single step
    training = project.training.model_copy(
        update={**applicable, "learning_rate": LOWEST, "epochs": STEPS, "initial_weights": "", "ema_decay": None}
    )
    trainer = build_trainer(project.model_copy(update={"training": training}), source(project, analysis), data)
    rates, losses = list[float](), list[float]()

    def take(rate: float, loss: float) -> None:
        rates.append(rate)
        losses.append(loss)
        if tell is not None:
            tell(rate, loss)

    with contextlib.suppress(DivergedError):  # a result, too: the largest rates are expected to diverge
        trainer.fit(_RangeTest(take, limit_s))
    return Rates(rates, losses, done=True)
