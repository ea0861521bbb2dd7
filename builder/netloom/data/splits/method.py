"""The contract of split methods: which rows each puts into training, validation and test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from netloom.data.splits.parts import Parts, validation_of_rows

if TYPE_CHECKING:
    from netloom.data.raw_dataset import RawDataset
    from netloom.document import DataChoice


class SplitMethod(ABC):
    """A method of splitting rows.

    Attributes:
        name: as in documents; one of `DataChoice.split`.
        title: as people read it.
        order: `auto` takes the first method that suits the data, in this order.
        is_temporal: whether test rows are later in time than training rows.
        mixes_neighbors: whether neighboring rows can be in different parts, although they may overlap in time.
        uses_given: whether the parts are those that the data gives.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    order: ClassVar[int]
    is_temporal: ClassVar[bool] = False
    mixes_neighbors: ClassVar[bool] = False
    uses_given: ClassVar[bool] = False

    @abstractmethod
    def suits(self, raw: RawDataset, choice: DataChoice) -> bool:
        """Return whether `auto` stands for this method, if no method before it suits the data."""

    @abstractmethod
    def split(self, raw: RawDataset, choice: DataChoice) -> Parts:
        """Return the row numbers of each part.

        Raises:
            DataError: The data lacks what the method needs.
        """

    @abstractmethod
    def fold(self, raw: RawDataset, choice: DataChoice) -> Parts:
        """Return the rows of the fold `choice.fold` of `choice.folds` as the test, and some others as validation.

        Raises:
            DataError: The data lacks what the method needs, or the method has no folds.
        """


class RandomizedMethod(SplitMethod):
    """A method that draws rows at random: its validation is drawn from the rows outside of a fold in the same way."""

    @abstractmethod
    def draw(self, raw: RawDataset, rows: np.ndarray | None, validation: float, test: float, seed: int) -> Parts:
        """Draw parts with these shares from some rows (n,), as positions in `rows`; None for all rows."""

    @abstractmethod
    def folds_of_rows(self, raw: RawDataset, folds: int, random: np.random.Generator) -> np.ndarray:
        """Return the fold of each row (R,)."""

    def split(self, raw: RawDataset, choice: DataChoice) -> Parts:
        return self.draw(raw, None, validation_of_rows(choice), choice.test, choice.seed)

    def fold(self, raw: RawDataset, choice: DataChoice) -> Parts:
        random = np.random.default_rng(choice.seed)
        number = self.folds_of_rows(raw, choice.folds or 2, random)
        remaining = np.flatnonzero(number != choice.fold)
        # Validation has its share of all rows, or of those of the other folds
        share = choice.validation
        if choice.validation_of == "rows":
            share = min(0.5, choice.validation * len(raw) / max(1, len(remaining)))
        # Each fold draws its own validation, which is the same in every run
        train, validated, _ = self.draw(raw, remaining, share, 0.0, choice.seed + 1 + choice.fold)
        return remaining[train], remaining[validated], random.permutation(np.flatnonzero(number == choice.fold))


def deal(strata: np.ndarray, folds: int, random: np.random.Generator) -> np.ndarray:
    """Return the fold of each row (R,): folds have equal sizes and equal shares of each stratum, to within one row."""
    shuffled = random.permutation(len(strata))
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    number = np.empty(len(strata), dtype=np.int64)
    # Rows sorted by stratum are dealt to the folds in turn; the shuffle decides within a stratum
    number[order] = np.arange(len(strata)) % folds
    return number
