"""Rows in their order in time: training, then validation, then test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.data.splits.method import SplitMethod
from netloom.data.splits.parts import Parts, validation_of_rows
from netloom.data.splits.registry import AUTO

if TYPE_CHECKING:
    from netloom.data.raw_dataset import RawDataset
    from netloom.document import DataChoice


class TimeSplit(SplitMethod):
    """A split by time. Rows of equal times stay together, and `gap` rows between consecutive parts are left out."""

    name = "time"
    title = "By time"
    order = 20
    is_temporal = True

    def suits(self, raw: RawDataset, choice: DataChoice) -> bool:
        return raw.contiguous or raw.times is not None

    def split(self, raw: RawDataset, choice: DataChoice) -> Parts:
        rows, gap = len(raw), max(raw.gap - raw.reach_back, choice.gap)
        first, second = round(rows * (1 - validation_of_rows(choice) - choice.test)), round(rows * (1 - choice.test))
        order = np.arange(rows)
        if raw.times is not None:
            order = np.argsort(raw.times, kind="stable")
            times = raw.times[order]
            # Each boundary moves to the first row of its time, so that rows of equal times stay together
            first, second = (int(np.searchsorted(times, times[min(edge, rows - 1)])) for edge in (first, second))
        elif not raw.contiguous:
            raise DataError("This data has no times to split by; give a column the role time, or choose another split.")
        return order[: max(0, first - gap)], order[first : max(first, second - gap)], order[second:]

    def fold(self, raw: RawDataset, choice: DataChoice) -> Parts:
        """Return a slice of the rows as the test, and the next (at the end, the previous) as validation, with gaps.

        The gaps are whole, because training rows after the test would read its values.
        """
        if choice.split != AUTO:
            raise DataError(
                "Folds would test on times before training; split by time without folds, or choose another split."
            )
        rows, gap, folds = len(raw), max(raw.gap, choice.gap), choice.folds or 2
        bounds = np.linspace(0, rows, folds + 1).round().astype(np.int64)
        start, end = int(bounds[choice.fold]), int(bounds[choice.fold + 1])
        every = np.arange(rows)
        count = round((rows - (end - start) if choice.validation_of == "training" else rows) * choice.validation)
        # The last folds have no room after them
        after = end + gap + count <= rows
        first = end + gap if after else max(0, start - gap - count)
        last = first + count if after else max(0, start - gap)
        apart = (every < first - gap) | (every >= last + gap) if count else np.full(rows, True)
        train = every[apart & ((every < start - gap) | (every >= end + gap))]
        return train, every[first:last], every[start:end]
