"""Ratios of measurements that were taken in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """The median, minimum and maximum of ratios."""

    median: float
    low: float
    high: float


def ratio(values: Sequence[float], base: Sequence[float]) -> Ratio:
    """Summarize the ratios of `values` to `base`, pair by pair: both of a pair had the same load on the machine."""
    pairs = [value / partner for value, partner in zip(values, base, strict=True)]
    return Ratio(median(pairs), min(pairs), max(pairs))
