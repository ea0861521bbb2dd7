"""Settings of a split are declared to have no effect exactly where changing them changes no split."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from netloom.data import DataError
from netloom.data.raw.table import Table
from netloom.data.splits.split import split
from netloom.data.splits.unread_settings import unread_settings
from netloom.document import DataChoice
from tests.data.test_split import parts, table

ROWS = 120
ORDERS: dict[str, dict[str, Any]] = {
    "independent": {},
    "groups": {"groups": np.arange(ROWS) // 4},
    "times": {"times": np.arange(ROWS)},
    "contiguous": {"contiguous": True},
}
GIVEN = {
    "none": None,
    "training": np.zeros(ROWS, np.int8),
    "test": np.repeat([0, 2], ROWS // 2),
    "validation": np.repeat([0, 1], ROWS // 2),
    "both": np.repeat([0, 1, 2], ROWS // 3),
}
METHODS = ("auto", "random", "stratified", "group", "time", "given")
CHANGES: dict[str, Any] = {"validation": 0.37, "validation_of": "training", "test": 0.31, "fold": 1, "gap": 9}


def row_sets(raw: Table, choice: DataChoice) -> list[set[int]] | str:
    try:
        return parts(split(raw, choice))
    except DataError as error:
        return str(error)


@pytest.mark.parametrize(("order", "given"), list(product(ORDERS, GIVEN)))
def test_unread_settings_are_those_that_change_no_split(order: str, given: str) -> None:
    raw = table(ROWS, **ORDERS[order], given=GIVEN[given])
    compared = 0
    for method, folds, validation in product(METHODS, (None, 3), (0.0, 0.2)):
        choice = DataChoice.model_validate({"split": method, "folds": folds, "validation": validation, "test": 0.2})
        before = row_sets(raw, choice)
        if isinstance(before, str):
            continue
        unread = unread_settings(raw, choice)
        for name, value in CHANGES.items():
            has_effect = row_sets(raw, choice.model_copy(update={name: value})) != before
            assert has_effect != (name in unread), (method, folds, validation, name, unread)
            compared += 1
    assert compared >= 20
