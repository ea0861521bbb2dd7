"""Values that are derived once for each result."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass

import numpy as np

from netloom.ui.components.once_per_result import MAX_VALUES, once_per_result


@dataclass(frozen=True)
class Result:
    """A result that cannot be compared or hashed, because it has an array."""

    values: np.ndarray


def test_equal_calls_with_one_result_are_computed_once() -> None:
    calls: list[int] = []

    @once_per_result
    def scaled(result: Result, factor: int) -> float:
        calls.append(factor)
        return float(result.values.sum()) * factor

    first, second = Result(np.ones(2)), Result(np.ones(3))
    assert [scaled(first, 1), scaled(first, 1), scaled(second, 1), scaled(first, 2)] == [2, 2, 3, 4]
    assert calls == [1, 1, 2]


def test_results_are_not_kept_and_a_later_one_at_the_same_place_is_another() -> None:
    @once_per_result
    def total(result: Result) -> float:
        return float(result.values.sum())

    for number in range(20):  # CPython reuses the memory of the last one
        result = Result(np.full(1, number))
        reference = weakref.ref(result)
        assert total(result) == number
        del result
        gc.collect()
        assert reference() is None


def test_the_number_of_kept_values_is_bounded() -> None:
    calls: list[int] = []

    @once_per_result
    def numbered(result: Result, number: int) -> int:
        calls.append(number)
        return number

    result = Result(np.ones(1))
    for number in range(MAX_VALUES + 1):
        numbered(result, number)
    numbered(result, MAX_VALUES)
    numbered(result, 0)
    assert calls == [*range(MAX_VALUES + 1), 0]
