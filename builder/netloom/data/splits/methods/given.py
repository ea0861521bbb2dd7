"""The split that the data gives, such as files named train and test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.data.splits.method import SplitMethod
from netloom.data.splits.methods.groups import GroupSplit
from netloom.data.splits.methods.stratified import StratifiedSplit, stratified_order
from netloom.data.splits.parts import Parts, validation_of_rows

if TYPE_CHECKING:
    from netloom.data.raw_dataset import RawDataset
    from netloom.document import DataChoice


class GivenSplit(SplitMethod):
    """The given split. A part that is not given takes its share from training.

    The share of the test, and that of validation in documents that count it from all rows, is one of all rows if they
    are independent, as in a random split; one of the remaining training rows if they are ordered; and one of the groups
    in training if they are grouped. Independent rows are drawn by class if the data stratifies its given split.
    """

    name = "given"
    title = "Predefined"
    order = 10
    uses_given = True

    def suits(self, raw: RawDataset, choice: DataChoice) -> bool:
        # Folds are made from the rows that are not the given test
        return raw.given is not None and choice.folds is None

    def split(self, raw: RawDataset, choice: DataChoice) -> Parts:
        if raw.given is None:
            raise DataError("This data has no given split; give a column the role split, or choose another split.")
        # Rows of `NO_PART` are in no part
        train, validated, tested = (np.flatnonzero(raw.given == number) for number in range(3))
        if not len(train):
            raise DataError("The given split has no training rows; add some, or choose another split.")
        if raw.contiguous or raw.times is not None:
            return _end_of_training(raw, choice, train, validated, tested)
        if raw.groups is not None:
            return _groups_of_training(raw, choice, train, validated, tested)
        random = np.random.default_rng(choice.seed)
        is_stratified = raw.stratifies_given and StratifiedSplit().suits(raw, choice)
        train = train[stratified_order(raw, train, random)] if is_stratified else random.permutation(train)
        if choice.validation_of == "training" and not len(tested):
            count = round(len(raw) * choice.test)
            train, tested = train[count:], train[:count]
        if not len(validated):
            count = round((len(train) if choice.validation_of == "training" else len(raw)) * choice.validation)
            train, validated = train[count:], train[:count]
        if not len(tested):
            count = round(len(raw) * choice.test)
            train, tested = train[count:], train[:count]
        return random.permutation(train) if is_stratified else train, validated, tested

    def fold(self, raw: RawDataset, choice: DataChoice) -> Parts:
        raise DataError("A given split has no folds; choose another split, or no folds.")


def _end_of_training(
    raw: RawDataset, choice: DataChoice, train: np.ndarray, validated: np.ndarray, tested: np.ndarray
) -> Parts:
    """Return the given split of ordered rows; missing parts are the end of training.

    A gap separates them, as neighbors are similar.
    """
    gap = max(raw.gap - raw.reach_back, choice.gap)
    if raw.times is not None:
        train = train[np.argsort(raw.times[train], kind="stable")]
    row_count = len(train)
    if not len(tested):
        count = round(row_count * choice.test)
        train, tested = train[: max(0, row_count - count - gap)], train[row_count - count :]
    if not len(validated) and choice.validation:
        remaining_count = len(train)
        count = round((remaining_count if choice.validation_of == "training" else row_count) * choice.validation)
        train, validated = train[: max(0, remaining_count - count - gap)], train[max(0, remaining_count - count) :]
    return train, validated, tested


def _groups_of_training(
    raw: RawDataset, choice: DataChoice, train: np.ndarray, validated: np.ndarray, tested: np.ndarray
) -> Parts:
    """Return the given split of grouped rows: missing parts are groups of training."""
    test = 0.0 if len(tested) else choice.test
    counted = choice.model_copy(update={"test": test})
    validation = 0.0 if len(validated) else validation_of_rows(counted)
    train_positions, validation_positions, test_positions = GroupSplit().draw(raw, train, validation, test, choice.seed)
    return (
        train[train_positions],
        validated if len(validated) else train[validation_positions],
        tested if len(tested) else train[test_positions],
    )
