"""The three parts of a split, and how large they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from netloom.document import DataChoice

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]  # training, validation, test


def slice_order(order: np.ndarray, validation: float, test: float) -> Parts:
    """Return consecutive slices of an order of rows or groups, by their shares."""
    # The test comes first, so it does not depend on the share of validation
    tested = round(len(order) * test)
    validated = round(len(order) * validation)
    return order[tested + validated :], order[tested : tested + validated], order[:tested]


def validation_of_rows(choice: DataChoice) -> float:
    """Return the share of validation of all rows, unless the split is given or one of folds."""
    return choice.validation * (1 - choice.test) if choice.validation_of == "training" else choice.validation
