"""Two fields of one kind for siamese networks: the preprocessing is fitted on both together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netloom.data.multi_field import MultiFieldDataset
from netloom.modalities.encoding.field_encoder import FieldState


@dataclass
class PairedFieldsDataset(MultiFieldDataset):
    """Two images or two texts per row, which one network reads with shared weights."""

    def fits(self, rows: np.ndarray) -> list[FieldState]:
        first, second = self.parts
        stacked = first.stacked(second, rows)
        if stacked is None:
            return super().fits(rows)
        fitted = stacked.fit(np.arange(2 * len(rows)))
        return [part.shared(fitted) for part in self.parts]
