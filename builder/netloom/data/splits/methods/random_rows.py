"""Rows in a random order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netloom.data.splits.method import RandomizedMethod, deal
from netloom.data.splits.parts import Parts, slice_order

if TYPE_CHECKING:
    from netloom.data.raw_dataset import RawDataset
    from netloom.document import DataChoice


class RandomSplit(RandomizedMethod):
    """Rows in a random order."""

    name = "random"
    title = "Random"
    order = 50
    mixes_neighbors = True

    def suits(self, raw: RawDataset, choice: DataChoice) -> bool:
        return True

    def draw(self, raw: RawDataset, rows: np.ndarray | None, validation: float, test: float, seed: int) -> Parts:
        order = np.random.default_rng(seed).permutation(len(raw) if rows is None else len(rows))
        return slice_order(order, validation, test)

    def folds_of_rows(self, raw: RawDataset, folds: int, random: np.random.Generator) -> np.ndarray:
        return deal(np.zeros(len(raw), dtype=np.int64), folds, random)
