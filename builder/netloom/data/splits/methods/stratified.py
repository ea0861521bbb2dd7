"""Each class, or interval of the number to predict, with equal shares in all parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netloom.data.splits.method import RandomizedMethod, deal
from netloom.data.splits.parts import Parts, slice_order
from netloom.data.targets import target_of

if TYPE_CHECKING:
    from netloom.data.raw_dataset import RawDataset
    from netloom.document import DataChoice


class StratifiedSplit(RandomizedMethod):
    """A stratified split: each stratum has the same share in all parts, to within two rows.

    Training has all strata. Rows are ordered so that each stratum is spread evenly; any slice of the order then has
    each stratum by its share.
    """

    name = "stratified"
    title = "Stratified"
    order = 40
    mixes_neighbors = True

    def suits(self, raw: RawDataset, choice: DataChoice) -> bool:
        return raw.target_type.is_class

    def draw(self, raw: RawDataset, rows: np.ndarray | None, validation: float, test: float, seed: int) -> Parts:
        random = np.random.default_rng(seed)
        order = stratified_order(raw, rows, random)
        train, validated, tested = slice_order(order, validation, test)
        return random.permutation(train), random.permutation(validated), random.permutation(tested)

    def folds_of_rows(self, raw: RawDataset, folds: int, random: np.random.Generator) -> np.ndarray:
        return deal(_strata(raw), folds, random)


def stratified_order(raw: RawDataset, rows: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
    """Return an order of `rows`, or of all rows, as positions among them: each slice has each stratum by its share, and
    the end has a row of every stratum."""
    strata = _strata(raw) if rows is None else _strata(raw)[rows]
    position = np.empty(len(strata))
    for label in np.unique(strata):
        of_stratum = random.permutation(np.flatnonzero(strata == label))
        # Systematic sampling; without the random offset, every class would start in the test, however rare it is
        position[of_stratum] = (np.arange(len(of_stratum)) + random.random()) / len(of_stratum)
        position[of_stratum[-1]] = 1.0  # the end of the order is training, which needs the only row of a class most
    return np.argsort(position, kind="stable")


def _strata(raw: RawDataset) -> np.ndarray:
    """Return strata (R,): classes, or intervals of the number to predict."""
    return target_of(raw.target_kind).strata(raw)
