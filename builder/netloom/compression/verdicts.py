"""Verdicts on variants: whether their predictions are as good as those of the original, and which one to use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.compression.method import CompressionError
from netloom.compression.report import MIN_SHRINKAGE, MIN_SPEEDUP, Measured, Verdict
from netloom.training.uncertainty import MIN_UNITS, blocks_of, jackknife_reach, wilson

if TYPE_CHECKING:
    import torch

    from netloom.runs import TrainedRun

# The largest loss of a proportion, in points, or the relative loss of another metric, that counts as equally good
TOLERANCE = 0.01
LOSS = "loss"


@dataclass(frozen=True)
class Comparison:
    """The outputs (N, …) of all networks for the same `rows`, to compare the metric `name` of variants with that of the
    original, which comes first."""

    trained: TrainedRun
    name: str
    outputs: Sequence[torch.Tensor]
    rows: torch.Tensor

    def loses(self, index: int, before: float, after: float) -> bool:
        """Return whether the metric of the variant at `index` is lower than `before` by more than is tolerated, and
        measurably."""
        objective = self.trained.objective
        loss = (before - after) if objective.task.higher_is_better(self.name) else (after - before)
        allowed = TOLERANCE if objective.is_proportion(self.name) else TOLERANCE * abs(before)
        return not math.isfinite(loss) or (loss > allowed and self.is_worse(index, loss))

    def is_worse(self, index: int, loss: float) -> bool:
        """Return whether the variant at `index` is measurably worse, given how much of the metric it loses on all rows.

        It is if the 95% interval of the loss does not contain 0. The same rows are left out of both networks, so that
        rows that both predict alike add nothing to it. With few rows, or few groups of rows that depend on each other,
        that would excuse large losses, so a loss beyond the uncertainty of the metric itself is worse, too. For a
        proportion, that is the uncertainty of as many independent rows.
        """
        reaches = self._reaches(index)
        return not all(loss <= reach for reach in reaches)  # with >, NaN would pass

    def _reaches(self, index: int) -> tuple[float, float]:
        """Return the 95% reach of the loss of a variant, and of the metric of the original; 0 for too few rows."""
        blocks = blocks_of(self.trained.data, self.rows.numpy())
        if len(blocks) < MIN_UNITS:
            return 0.0, 0.0
        without = [np.concatenate(blocks[:position] + blocks[position + 1 :]) for position in range(len(blocks))]
        original = np.array([self._score(0, positions) for positions in without])
        variant = np.array([self._score(index, positions) for positions in without])
        paired_reach, original_reach = jackknife_reach(original - variant), jackknife_reach(original)
        score = self._score(0, np.arange(len(self.rows)))
        if self.trained.objective.is_proportion(self.name):
            low, high = wilson(score, len(self.rows))
            original_reach = (high - low) / 2
        return paired_reach, original_reach

    def _score(self, index: int, places: np.ndarray) -> float:
        output, rows, trained = self.outputs[index][places], self.rows[places], self.trained
        if self.name == LOSS:
            return loss_of(trained, output, rows)
        return trained.objective.evaluate(output, trained.data, rows, "test", trained.calibration).metrics[self.name]


def with_verdicts(measured: list[Measured], comparison: Comparison) -> list[Measured]:
    """Set the verdict of each variant by its size, its time and its metric, and recommend one."""
    original, scores = measured[0], [dict([(comparison.name, item.score), *item.output_scores]) for item in measured]

    def verdict(index: int, item: Measured) -> Verdict:
        # Each output has to be as good: a gain of one of them does not make up for a loss of another one
        for name, score in scores[0].items():
            if replace(comparison, name=name).loses(index, score, scores[index][name]):
                return "worse"
        if item.saves_size_only:
            return "size only" if original.size >= MIN_SHRINKAGE * item.size else "no gain"
        is_faster = original.p50_ms >= MIN_SPEEDUP * item.p50_ms
        is_smaller = original.size >= MIN_SHRINKAGE * item.size
        if item.p50_ms >= MIN_SPEEDUP * original.p50_ms:
            return "slower" if is_smaller else "no gain"
        return "recommended" if is_faster or is_smaller else "no gain"

    judged = [original, *(replace(item, verdict=verdict(index, item)) for index, item in enumerate(measured[1:], 1))]
    good = [item for item in judged if item.verdict == "recommended"]
    # The product of both gains, so that twice as fast counts as much as half as large
    best = min(good, key=lambda item: item.p50_ms * item.size, default=None)
    return [replace(item, verdict="good") if item in good and item is not best else item for item in judged]


def loss_of(trained: TrainedRun, output: torch.Tensor, rows: torch.Tensor) -> float:
    """Return the loss of outputs (N, …) for these rows.

    Raises:
        CompressionError: the task has no loss on rows.
    """
    objective = trained.objective
    scores = objective.scores(output, objective.target(trained.data)[rows])
    means = {name: float(value) / float(scores.count) for name, value in scores.sums.items()}
    if LOSS not in means:  # that of several outputs is computed from theirs
        means = objective.finish(means)
    if LOSS not in means:
        raise CompressionError("This task has no metric of single rows, so variants cannot be compared.")
    return means[LOSS]
