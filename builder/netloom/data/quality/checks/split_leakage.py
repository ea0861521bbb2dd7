"""Validation and test rows that are copies of training rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.core.text import counted
from netloom.data.quality import fixes
from netloom.data.quality.check import QualityCheck
from netloom.data.quality.duplicate_groups import CHANCE_FACTOR, duplicate_groups
from netloom.data.quality.finding import MAX_EXAMPLES, Finding
from netloom.data.quality.quality_view import SPLITS, QualityView

# Copies below this share of a part, and below half the width of the widest 95% confidence interval of a share of it,
# hardly change its scores: each can turn one wrong prediction into a correct one.
NEGLIGIBLE = 0.01


class SplitLeakage(QualityCheck):
    """Validation and test rows whose inputs are equal to those of a training row."""

    title = "Test rows that training also has"
    order = 10
    is_in_overview = True
    invalidates_results = True

    def check(self, view: QualityView) -> Iterator[Finding]:
        if view.has_overlapping_rows:
            return
        pairs = _copies_in_all_rows(view)
        if pairs is None:
            pairs, held_out = _copies_in_sample(view), [view.rows[view.split_index == part] for part in (1, 2)]
        else:
            held_out = [view.data.split[part].numpy() for part in SPLITS[1:]]
        if not pairs:
            return
        few = all(is_negligible(*counts) for counts in _copies_of_rows(view, np.array([copy for copy, _ in pairs])))
        yield Finding(
            "leakage",
            "warning" if few else "error",
            f"{counted(len(pairs), 'row')} of the {sum(map(len, held_out)):,} validation and test rows "
            f"{'has' if len(pairs) == 1 else 'have'} the same inputs as training rows.",
            "The network can memorize them, but they are too few to change the scores by more than their margin of "
            "error; keep one of each to be sure."
            if few
            else "The network can memorize them, so test scores can be too high; keep one of each, or split by the "
            "group that they belong to.",
            pairs=tuple(pairs[:MAX_EXAMPLES]),
            count=len(pairs),
            fix=fixes.drop_duplicates(view),
            exact=view.row_hashes is not None,
        )


def is_negligible(copies: float, rows: int) -> bool:
    """Return whether so few of the `rows` of a part are copies that its scores hardly change."""
    return copies == 0 or copies / rows < min(NEGLIGIBLE, 1.96 * 0.5 / rows**0.5)


def _copies_of_rows(view: QualityView, copied: np.ndarray) -> Iterator[tuple[float, int]]:
    """Yield the number of copies, and of rows, of the validation and the test part, from the rows that are copies.

    A sample has a copy together with its training row with the square of the probability of a single row, so that the
    copies among all rows are more.
    """
    share = 1.0 if view.row_hashes is not None else len(view) / len(view.used_rows)
    for part in SPLITS[1:]:
        rows = view.data.split[part].numpy()
        yield float(np.isin(copied, rows).sum()) / share**2, len(rows)


def _copies_in_all_rows(view: QualityView) -> list[tuple[int, int]] | None:
    """Return held-out rows that are equal to a training row, with the first such row; [] if chance explains them.

    None if the data is too large to compare all rows.
    """
    hashes = view.row_hashes
    if hashes is None:
        return None
    _, group, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    pairs = float((counts * (counts - 1) / 2).sum())
    # `expected_pairs` is that of the sample; the number of pairs grows with the square of the number of rows.
    if not pairs or pairs <= CHANCE_FACTOR * view.expected_pairs * (len(hashes) / max(1, len(view))) ** 2:
        return []
    split_index = np.full(len(view.data.target), -1)
    for index, name in enumerate(SPLITS):
        split_index[view.data.split[name].numpy()] = index
    is_train = split_index[view.used_rows] == 0
    first_train_row = np.full(len(counts), -1)
    first_train_row[group[is_train][::-1]] = view.used_rows[is_train][::-1]  # reversed: the first is written last
    copies = np.flatnonzero(~is_train & (first_train_row[group] >= 0))
    return list(zip(view.used_rows[copies].tolist(), first_train_row[group[copies]].tolist(), strict=True))


def _copies_in_sample(view: QualityView) -> list[tuple[int, int]]:
    """Return the same pairs among the rows of the sample."""
    pairs = list[tuple[int, int]]()
    for group in duplicate_groups(view):
        parts = view.split_index[group]
        train = group[parts == 0]
        if len(train):
            pairs += [(int(view.rows[position]), int(view.rows[train[0]])) for position in group[parts > 0]]
    return pairs
