"""Two fields of one kind for networks with twins: what is fitted is fitted on both of them together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netloom.data.multi_field import MultiFieldDataset
from netloom.data.raw_dataset import Fitted


@dataclass
class PairedFieldsDataset(MultiFieldDataset):
    """Two pictures or two texts by row, which one network can read with the same weights."""

    def fits(self, rows: np.ndarray) -> list[Fitted]:
        first, second = self.parts
        stacked = first.stacked(second, rows)
        if stacked is None:
            return super().fits(rows)
        fitted = stacked.fit(np.arange(2 * len(rows)))
        return [part.shared(fitted) for part in self.parts]
