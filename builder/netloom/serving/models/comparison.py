"""Compares two versions of a model that answer real requests: a canary by its outcomes, a shadow by its agreement."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netloom.core.plain_json import JsonObject
from netloom.core.text import first_line
from netloom.training.uncertainty import Difference, difference_of_shares, share_interval, student_t

_MAX_LATENCIES = 10_000


@dataclass
class Traffic:
    """The requests that a version answered, and the outcomes that clients reported for them."""

    version: str
    requests: int = 0
    rows: int = 0
    errors: int = 0
    outcomes: int = 0
    outcome_mean: float = 0.0
    outcome_squares: float = 0.0  # of the differences from the mean, summed
    has_shares: bool = True  # whether all outcomes are 0 or 1
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=_MAX_LATENCIES))

    def add(self, rows: int, seconds: float, *, is_error: bool) -> None:
        """Count a request. It is an error if any of its rows has no answer, whatever the reason: chance spreads invalid
        rows of clients evenly over the versions."""
        self.requests += 1
        self.rows += rows
        self.errors += is_error
        self.latencies_s.append(seconds)

    def add_outcome(self, value: float) -> None:
        """Count an outcome, such as 1 for a right and 0 for a wrong prediction."""
        # Welford's method: sums of squares would lose the variance of large values
        self.outcomes += 1
        change = value - self.outcome_mean
        self.outcome_mean += change / self.outcomes
        self.outcome_squares += change * (value - self.outcome_mean)
        self.has_shares &= value in (0, 1)

    def as_json(self) -> JsonObject:
        """Return the counts, and the median and 99th percentile of the latency in seconds."""
        ordered = sorted(self.latencies_s)
        return {
            "version": self.version,
            "requests": self.requests,
            "rows": self.rows,
            "errors": self.errors,
            "latency_p50_s": _quantile(ordered, 0.5),
            "latency_p99_s": _quantile(ordered, 0.99),
            "outcomes": self.outcomes,
            "mean_outcome": self.outcome_mean if self.outcomes else None,
        }


@dataclass
class Agreement:
    """How often a shadow gives the same prediction as the current version.

    `in_words` returns a prediction as a text that is compared instead, or "": no two networks find equal boxes. Of the
    `rows`, the shadow `failed` to compute some, the last time because of `failure`.
    """

    version: str
    in_words: Callable[[Mapping[str, Any]], str] = lambda answer: ""
    rows: int = 0
    equal: int = 0
    dropped: int = 0
    numbers: int = 0
    difference_sum: float = 0.0
    failed: int = 0
    failure: str = ""

    def add_failure(self, rows: int, error: Exception) -> None:
        """Count rows that the shadow failed to compute as different predictions."""
        self.rows += rows
        self.failed += rows
        self.failure = first_line(error)

    def add(self, answers: Sequence[Any], other_answers: Sequence[Any]) -> None:
        """Compare the outcomes of the same rows. A row for which only one version has an answer counts as different."""
        for answer, other_answer in zip(answers, other_answers, strict=True):
            has_answers = isinstance(answer, Mapping), isinstance(other_answer, Mapping)
            if not any(has_answers):
                continue
            self.rows += 1
            if not all(has_answers):
                continue
            first, second = (self.in_words(part) or part.get("prediction") for part in (answer, other_answer))
            self.equal += first == second
            if isinstance(first, float) and isinstance(second, float):
                self.numbers += 1
                self.difference_sum += abs(first - second)

    def as_json(self) -> JsonObject:
        """Return the share of equal predictions with its 95% interval, and the mean difference of numbers."""
        low, high = share_interval(self.equal, self.rows)
        return {
            "version": self.version,
            "rows": self.rows,
            "dropped_rows": self.dropped,
            "failed_rows": self.failed,
            "failure": self.failure or None,
            "agreement": self.equal / self.rows if self.rows else None,
            "interval": [low, high],
            "mean_difference": self.difference_sum / self.numbers if self.numbers else None,
        }


def difference_of_means(first: Traffic, second: Traffic) -> Difference:
    """Return the difference of the mean outcomes, second − first, with its 95% interval: that of two shares if all
    outcomes are 0 or 1, otherwise Welch's.

    https://doi.org/10.1093/biomet/34.1-2.28
    """
    sides = first, second
    if first.outcomes and second.outcomes and first.has_shares and second.has_shares:
        # A few equal outcomes have a variance of 0, with which every difference would be significant
        shares = [(round(side.outcome_mean * side.outcomes), side.outcomes) for side in sides]
        return difference_of_shares(*shares)
    if first.outcomes < 2 or second.outcomes < 2:
        return {"difference": None, "interval": None, "is_significant": False}
    difference = second.outcome_mean - first.outcome_mean
    errors = [side.outcome_squares / (side.outcomes - 1) / side.outcomes for side in sides]
    terms = [error * error / (side.outcomes - 1) for error, side in zip(errors, sides, strict=True)]
    if not sum(terms):  # all outcomes of each side are equal
        return {"difference": difference, "interval": None, "is_significant": False}
    half = student_t(sum(errors) * sum(errors) / sum(terms)) * math.sqrt(sum(errors))
    interval = [difference - half, difference + half]
    return {"difference": difference, "interval": interval, "is_significant": interval[0] > 0 or interval[1] < 0}


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
