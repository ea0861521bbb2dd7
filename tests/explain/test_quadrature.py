"""Adaptive quadrature: more steps only where the path needs them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from netloom.explain.core.estimation.quadrature import Spans, Values, double_until, integrate

Function = Callable[[float], float]


class Midpoint:
    """Midpoint rule for the integral of a function's slope; `measured` records the spans of each round."""

    def __init__(self, functions: list[tuple[Function, Function]], tolerance: float) -> None:
        self.functions, self.tolerance = functions, tolerance
        self.measured: list[Spans] = []

    def measure(self, spans: Spans) -> Values:
        self.measured.append(spans)
        middle = (spans.low + spans.high) / 2
        slopes = [self.functions[row][1](at) for row, at in zip(spans.rows, middle, strict=True)]
        return (torch.from_numpy(np.array(slopes) * spans.lengths),)

    def errors(self, spans: Spans, values: Values) -> tuple[np.ndarray, np.ndarray]:
        rises = [self.functions[row][0](high) - self.functions[row][0](low)
                 for row, low, high in zip(spans.rows, spans.low, spans.high, strict=True)]  # fmt: skip
        off = abs(values[0].numpy() - np.array(rises))
        together = np.bincount(spans.rows, off, len(self.functions))
        off[together[spans.rows] <= self.tolerance] = 0.0
        return off, np.full(len(self.functions), self.tolerance / 2)


def line() -> tuple[Function, Function]:
    return lambda at: 3 * at, lambda at: 3.0


def kink() -> tuple[Function, Function]:
    """A function with a kink at 1/3."""
    return lambda at: max(0.0, at - 1 / 3), lambda at: float(at > 1 / 3)


def jump() -> tuple[Function, Function]:
    return lambda at: float(at > 1 / 3), lambda at: 0.0


def covers_path(spans: Spans, row: int) -> bool:
    """Whether the spans of a row cover its whole path exactly once."""
    in_row = spans.rows == row
    low, high = np.sort(spans.low[in_row]), np.sort(spans.high[in_row])
    return bool(low[0] == 0 and high[-1] == 1 and (low[1:] == high[:-1]).all())


@pytest.mark.parametrize("far", [np.inf, 2.0])
def test_quadrature_refines_only_where_the_function_bends(far: float) -> None:
    rule = Midpoint([line(), kink()], 1e-5)
    spans, (values,) = integrate(rule, 2, 4, 64, 2.0**-20, far)
    assert covers_path(spans, 0)
    assert covers_path(spans, 1)
    assert int((spans.rows == 0).sum()) == 4, "a linear function needs no refinement"
    in_kink = spans.rows == 1
    assert spans.lengths[in_kink].min() < 1e-4 < 0.2 < spans.lengths[in_kink].max()
    assert float(values[in_kink].sum()) == pytest.approx(2 / 3, abs=1e-5)
    assert float(values[~in_kink].sum()) == pytest.approx(3)
    # Later rounds only measure the new spans of the row with the kink.
    assert all(set(later.rows) == {1} for later in rule.measured[1:])
    assert sum(map(len, rule.measured)) < 60


def test_large_errors_split_in_four_and_need_fewer_rounds() -> None:
    rounds = []
    for far in (np.inf, 0.5):
        rule = Midpoint([kink()], 1e-5)
        integrate(rule, 1, 4, 64, 2.0**-20, far)
        rounds.append(len(rule.measured))
    assert rounds[1] < rounds[0]


def test_quadrature_stops_at_the_minimum_span() -> None:
    spans, _ = integrate(Midpoint([jump()], 1e-5), 1, 4, 1000, 2.0**-10)
    assert covers_path(spans, 0)
    assert spans.lengths.min() == 2.0**-10
    assert len(spans) < 20
    with_nan = Midpoint([(lambda at: np.nan, lambda at: np.nan), kink()], 1e-3)
    spans, _ = integrate(with_nan, 2, 4, 64, 2.0**-20)
    assert int((spans.rows == 0).sum()) == 4, "NaN values are not refined"
    assert int((spans.rows == 1).sum()) > 4


def wave() -> tuple[Function, Function]:
    return lambda at: math.exp(3 * at), lambda at: 3 * math.exp(3 * at)


@pytest.mark.parametrize("most", [4, 5, 9, 10, 23])
@pytest.mark.parametrize("far", [0.01, 2.0])
@pytest.mark.parametrize("function", [kink(), wave()])
def test_quadrature_stops_at_the_step_limit(function: tuple[Function, Function], far: float, most: int) -> None:
    spans, _ = integrate(Midpoint([function], 1e-12), 1, 4, most, 2.0**-40, far)
    assert len(spans) == most
    assert covers_path(spans, 0)


def test_double_until_stops_at_the_first_success_or_limit() -> None:
    tried: list[int] = []

    def attempt(steps: int) -> int:
        tried.append(steps)
        return steps

    assert double_until(attempt, lambda count: count >= 100, 32, 1024) == (128, 128)
    assert tried == [32, 64, 128]
    assert double_until(attempt, lambda count: False, 32, 100) == (100, 100)
    assert double_until(attempt, lambda count: True, 32, 8) == (8, 8)
