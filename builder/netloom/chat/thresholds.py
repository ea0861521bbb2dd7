"""Thresholds of a policy that are proposed from the validation messages of a run, and then measured on the test ones.

Of the thresholds that keep a limit on the validation messages, those are proposed with which the bot answers most
messages by itself. The test messages do not influence the choice.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.calibration.selective import RiskCoverage, choose_threshold, risk_coverage
from netloom.chat.outcomes import Measured, Outcomes, outcomes
from netloom.chat.understanding import has_intents, unavailable_reason
from netloom.core.errors import UsageError

if TYPE_CHECKING:
    from netloom.chat.policy import Fallback
    from netloom.runs import TrainedRun

MAX_ERROR = 0.05
AMBIGUITIES = tuple(round(0.02 * step, 2) for step in range(16))  # from 0 to 0.3


@dataclass(frozen=True)
class ThresholdLimits:
    """What proposed thresholds keep on the validation messages.

    Attributes:
        max_error: The largest share of accepted messages whose intent is wrong; None for no limit.
        min_recall: The least share of messages out of scope that are not accepted; None for no limit.
    """

    max_error: float | None = MAX_ERROR
    min_recall: float | None = None

    def check(self) -> None:
        """Check the values.

        Raises:
            UsageError: one is out of range, or both are missing.
        """
        if self.max_error is None and self.min_recall is None:
            raise UsageError("Set a limit for the thresholds: a maximum error rate, or a minimum out-of-scope recall.")
        if self.max_error is not None and not 0 <= self.max_error < 1:
            raise UsageError(f"The largest error rate is a number from 0 to below 1; received {self.max_error:g}.")
        if self.min_recall is not None and not 0 < self.min_recall <= 1:
            raise UsageError(f"The least recall is a number above 0, up to 1; received {self.min_recall:g}.")


@dataclass(frozen=True)
class Proposal:
    """Proposed thresholds, with what they give on each split. `test` is None without test rows."""

    confidence: float
    ambiguity: float
    validation: Measured
    test: Measured | None

    def applied_to(self, fallback: Fallback) -> Fallback:
        """Return a fallback with these thresholds. The bot asks for a confirmation from at most the same confidence."""
        confirm_from = min(fallback.confirm_from, self.confidence)
        thresholds = {"confidence": self.confidence, "ambiguity": self.ambiguity, "confirm_from": confirm_from}
        return fallback.model_copy(update=thresholds)


@dataclass(frozen=True)
class ThresholdReport:
    """The proposed thresholds of a run.

    Attributes:
        proposal: None if no thresholds keep the limits; `reason` says why.
        curve: The error rate at each automation rate on the validation messages, over all confidences.
        now: What the thresholds of the policy give on the validation messages, and on the test ones if there are any.
    """

    limits: ThresholdLimits
    proposal: Proposal | None
    reason: str
    curve: RiskCoverage | None
    now: tuple[Measured, ...]


def propose_thresholds(
    trained: TrainedRun, out_of_scope: Collection[str], limits: ThresholdLimits, now: tuple[float, float]
) -> ThresholdReport:
    """Return thresholds that keep limits on the validation messages of a run.

    Args:
        trained: The run.
        out_of_scope: The intents that are never accepted.
        limits: What the thresholds keep.
        now: The present confidence and ambiguity, which are measured for comparison.

    Raises:
        UsageError: a limit is invalid, the run has no intents, or the data has no validation rows, or none out of scope
            for a recall.
        ValueError: the run cannot understand messages.
    """
    limits.check()
    if reason := unavailable_reason(trained):
        raise ValueError(reason)
    if not has_intents(trained.data.schema):
        raise UsageError("Thresholds decide which intents are accepted, but this run does not predict intents.")
    splits = [split for split in ("validation", "test") if len(trained.data.split[split])]
    if "validation" not in splits:
        raise UsageError("Thresholds are chosen on validation rows, but the data of this run has none.")
    validation, *tests = (outcomes(trained, split, out_of_scope) for split in splits)
    if limits.min_recall is not None and not validation.is_outside.any():
        listed = ", ".join(sorted(out_of_scope)[:10]) or "none"
        raise UsageError(
            "No validation row is out of scope, so a recall cannot be measured; the intents out of scope of "
            f"the policy are: {listed}."
        )
    proposed = choose(validation, limits)
    measured = [part.measured(*proposed) for part in (validation, *tests)] if proposed else []
    return ThresholdReport(
        limits,
        Proposal(*proposed, measured[0], measured[1] if tests else None) if proposed else None,
        "" if proposed else _obstacle(validation, limits),
        automation_curve(validation, proposed[1] if proposed else 0.0),
        tuple(part.measured(*now) for part in (validation, *tests)),
    )


def choose(outcomes: Outcomes, limits: ThresholdLimits) -> tuple[float, float] | None:
    """Return the confidence and the ambiguity that keep the limits with the most accepted messages; None if none do.

    Of equally good pairs, the one with the largest ambiguity is chosen: the bot then offers a choice of two intents
    more often, where it would not accept an intent anyway.
    """
    best: tuple[int, float, float] | None = None
    for ambiguity in AMBIGUITIES:
        able = outcomes.is_candidate & (outcomes.margin >= ambiguity)
        if limits.min_recall is not None:
            able &= outcomes.confidence >= _recall_threshold(outcomes, able, limits.min_recall)
        if not able.any():
            continue
        confidence, loss = outcomes.confidence[able], outcomes.loss[able]
        max_error = 1.0 if limits.max_error is None else limits.max_error
        chosen = choose_threshold(confidence, loss, "risk", max_error)
        if chosen is None:
            continue
        # A chosen threshold of 0 accepts all of these messages, but also others that are less certain than any of them
        threshold = max(chosen.threshold, float(confidence.min()))
        best = max(best or (0, 0.0, 0.0), (int((confidence >= threshold).sum()), ambiguity, threshold))
    return (_rounded(best[2], outcomes.confidence), best[1]) if best else None


def automation_curve(outcomes: Outcomes, ambiguity: float) -> RiskCoverage | None:
    """Return the error rate (risk) at each automation rate (coverage); None if no message can be accepted."""
    able = outcomes.is_candidate & (outcomes.margin >= ambiguity)
    if not able.any():
        return None
    curve, share = risk_coverage(outcomes.confidence[able], outcomes.loss[able]), float(able.mean())
    return replace(curve, coverage=tuple(share * coverage for coverage in curve.coverage))


def _recall_threshold(outcomes: Outcomes, able: np.ndarray, min_recall: float) -> float:
    """Return the least confidence above which at most 1 − `min_recall` of the messages out of scope are."""
    outside = np.sort(outcomes.confidence[outcomes.is_outside & able])[::-1]
    # Rounded, as 0.3 * 10 could come out a little below 3
    most = int(np.floor(round((1 - min_recall) * int(outcomes.is_outside.sum()), 9)))
    return 0.0 if len(outside) <= most else float(np.nextafter(outside[most], 2.0))


def _rounded(threshold: float, confidences: np.ndarray) -> float:
    """Return a shorter number that separates the same messages: between the threshold and the next lower confidence,
    with as few digits as possible."""
    below = confidences[confidences < threshold]
    low = float(below.max()) if len(below) else 0.0
    for digits in range(2, 12):
        shorter = float(np.floor(threshold * 10**digits) / 10**digits)
        if low < shorter <= threshold:
            return shorter
    return threshold


def _obstacle(outcomes: Outcomes, limits: ThresholdLimits) -> str:
    curve = automation_curve(outcomes, 0.0)
    if curve is None:
        return "The run does not predict an intent in scope for any validation message."
    lowest = int(np.argmin(curve.risk))
    return (
        f"No threshold keeps the limits on the validation messages. The lowest error rate is {curve.risk[lowest]:.1%}, "
        f"at an automation rate of {curve.coverage[lowest]:.1%}; allow a larger error, or train a better network."
    )
