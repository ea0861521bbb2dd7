"""Ratios of pairs that were measured one right after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """The median of some ratios, and the lowest and highest of them."""

    median: float
    low: float
    high: float


def ratio(values: Sequence[float], base: Sequence[float]) -> Ratio:
    """Of each of `values` to its partner in `base`: pairs share what else the machine was doing."""
    pairs = [value / partner for value, partner in zip(values, base, strict=True)]
    return Ratio(median(pairs), min(pairs), max(pairs))
