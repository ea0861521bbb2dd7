"""Splits into training, validation and test: random, stratified, by group, by time, in folds, or as given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.data.raw_dataset import RawDataset
from netloom.data.splits.given_splits import NAMES, NO_PART, TEST, VALIDATION
from netloom.data.splits.parts import Parts
from netloom.data.splits.registry import AUTO, method_of

if TYPE_CHECKING:
    from netloom.document import DataChoice

Split = dict[str, np.ndarray]
MIN_ROWS = 10


def split(raw: RawDataset, choice: DataChoice) -> Split:
    """Return the row numbers of each part, which are disjoint.

    The validation part is empty if its share is 0 and the data does not give one.

    Raises:
        DataError: A part would be empty, or the data lacks what the method needs, such as groups.
    """
    refuse_few(len(raw))
    method = method_of(raw, choice)
    if choice.folds is None:
        parts = method.split(raw, choice)
    # A given test set is in no fold, unless the document names a method
    elif choice.split == AUTO and raw.given is not None and (raw.given == TEST).any():
        parts = _folds_of_training(raw, choice)
    else:
        parts = method.fold(raw, choice)
    if raw.contiguous and raw.gap and method.mixes_neighbors:
        raw.warnings.append(
            f"The {method.name} split mixes rows that overlap in time, so that training sees values of the test; split "
            "by time, as auto does."
        )
    for name, rows in zip(NAMES, parts, strict=True):
        if not len(rows) and (name != NAMES[VALIDATION] or choice.validation):
            raise DataError(f"The {name} split would be empty with {len(raw)} rows; add rows or change its share.")
    return dict(zip(NAMES, parts, strict=True))


def refuse_few(rows: int) -> None:
    """Refuse data with too few rows.

    Raises:
        DataError: There are fewer than `MIN_ROWS`.
    """
    if rows < MIN_ROWS:
        raise DataError(
            f"This data has {rows} usable row{'s' * (rows != 1)}; at least {MIN_ROWS} are needed to train and test, so "
            "add more."
        )


def _folds_of_training(raw: RawDataset, choice: DataChoice) -> Parts:
    """Return a fold of the rows that are not in the given test set, which is in no fold."""
    if raw.given is None:
        raise DataError("This data has no given split, so there are no given test rows to leave out of folds.")
    rows = np.flatnonzero((raw.given != TEST) & (raw.given != NO_PART))
    refuse_few(len(rows))
    groups, times = (None if values is None else values[rows] for values in (raw.groups, raw.times))
    # Only what decides on the split is reduced to these rows; the inputs are not read
    remaining = replace(raw, target=raw.target[rows], groups=groups, times=times, given=None)
    train, validated, tested = (rows[part] for part in method_of(remaining, choice).fold(remaining, choice))
    raw.warnings.append(
        f"The folds use the {len(rows):,} rows that are not the given test; the "
        f"{int((raw.given == TEST).sum()):,} test rows are in no fold."
    )
    return train, validated, tested
