"""Whole groups, such as the texts of one author."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.data.splits.method import RandomizedMethod
from netloom.data.splits.parts import Parts, slice_order

if TYPE_CHECKING:
    from netloom.data.raw_dataset import RawDataset
    from netloom.document import DataChoice


class GroupSplit(RandomizedMethod):
    """A split of groups: no group is in two parts, and each part has its share of the groups, at least one."""

    name = "group"
    title = "By group"
    order = 30

    def suits(self, raw: RawDataset, choice: DataChoice) -> bool:
        return raw.groups is not None

    def draw(self, raw: RawDataset, rows: np.ndarray | None, validation: float, test: float, seed: int) -> Parts:
        groups = _groups(raw) if rows is None else _groups(raw)[rows]
        random = np.random.default_rng(seed)
        order = random.permutation(np.unique(groups))
        min_share = 1 / max(1, len(order))
        # A share of 0 stays 0, as folds take no test from the remaining groups
        group_parts = slice_order(order, *(max(share, min_share) if share else share for share in (validation, test)))
        train, validated, tested = (random.permutation(np.flatnonzero(np.isin(groups, part))) for part in group_parts)
        return train, validated, tested

    def folds_of_rows(self, raw: RawDataset, folds: int, random: np.random.Generator) -> np.ndarray:
        """Deal groups to folds: the largest group first, each into the fold with the fewest rows so far.

        The method of scikit-learn's `GroupKFold`, with random order among groups of equal size.
        """
        unit = np.unique(_groups(raw), return_inverse=True)[1].ravel()
        sizes = np.bincount(unit)
        if len(sizes) < folds:
            raise DataError(f"There are {len(sizes)} groups, too few for {folds} folds; choose fewer folds.")
        shuffled = random.permutation(len(sizes))
        filled, number = np.zeros(folds, dtype=np.int64), np.empty(len(sizes), dtype=np.int64)
        for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
            number[group] = filled.argmin()
            filled[number[group]] += sizes[group]
        of_rows: np.ndarray = number[unit]
        return of_rows


def _groups(raw: RawDataset) -> np.ndarray:
    if raw.groups is None:
        raise DataError(
            "This data has no groups to split by; give a column the role group, name it with the option group, or "
            "choose another split."
        )
    return raw.groups
