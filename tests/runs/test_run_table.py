"""Runs as a table: conditions, groups, and the importance of hyperparameters."""

from __future__ import annotations

import math
from typing import Any

import pytest

from netloom.runs.history.run_table import ColumnFilter, RunTable, grouped, importance, matching, order_of
from netloom.store import Store, open_store
from tests.runs.examples import moons


def table_of(store: Store, **columns: list[Any]) -> RunTable:
    """A table of runs without documents; columns named `test_…` are metrics."""
    key = store.create_project(moons())
    count = len(next(iter(columns.values())))
    runs = tuple(store.create_run(key, moons()) for _ in range(count))
    metrics = tuple(name for name in columns if name.startswith("test_"))
    settings = tuple(name for name in columns if name not in metrics)
    return RunTable(runs, settings, metrics, {name: tuple(values) for name, values in columns.items()})


@pytest.fixture
def store(home: Any) -> Store:
    return open_store(home)


def test_conditions_select_ranges_and_values(store: Store) -> None:
    table = table_of(store, rate=[0.1, 0.01, None], name=["a", "b", None], test_loss=[1.0, math.nan, 3.0])

    def places(*filters: ColumnFilter) -> list[int]:
        return [table.runs.index(run) for run in matching(table, filters)]

    assert places() == [0, 1, 2]
    assert places(ColumnFilter("rate", low=0.05)) == [0]
    assert places(ColumnFilter("rate", high=0.05)) == [1], "a missing value is outside of every range"
    assert places(ColumnFilter("test_loss", low=0.0, high=9.0)) == [0, 2], "NaN, too"
    assert places(ColumnFilter("name", choices=("b", "–"))) == [1, 2]
    assert places(ColumnFilter("rate", low=0.05), ColumnFilter("name", choices=("b",))) == []
    assert places(ColumnFilter("of other runs", low=1.0)) == [0, 1, 2]


def test_groups_have_the_mean_and_deviation_of_their_runs(store: Store) -> None:
    table = table_of(store, size=[32, None, 8, 32], test_loss=[1.0, 5.0, None, 2.0])
    groups = grouped(table, "size")
    assert [(group.value, group.runs) for group in groups] == [("8", 1), ("32", 2), ("–", 1)]
    assert groups[0].metrics == {}
    assert groups[1].metrics["test_loss"] == pytest.approx((1.5, math.sqrt(0.5)))
    assert math.isnan(groups[2].metrics["test_loss"][1])


def test_importance_names_the_hyperparameter_that_determines_the_metric(store: Store) -> None:
    places = range(24)
    table = table_of(
        store,
        rate=[10.0 ** -(index % 4) for index in places],
        optimizer=[("adam", "sgd", None)[index % 3] for index in places],
        test_loss=[float(index % 4) ** 2 for index in places],
    )
    shares = importance({path: table.values[path] for path in table.settings}, table.values["test_loss"])
    assert next(iter(shares)) == "rate"
    assert shares["rate"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)
    assert importance({"rate": [1.0, 2.0, 3.0]}, [1.0, 2.0, 3.0]) == {}


def test_missing_and_undefined_values_come_last_in_either_direction() -> None:
    """Such as the precision of a class on test rows that have none of it."""
    values = [0.5, float("nan"), None, 2, "a"]
    assert order_of(values) == [0, 3, 4, 1, 2]
    assert order_of(values, descending=True) == [4, 3, 0, 1, 2]
