"""Two fields of one kind for siamese networks: the preprocessing is fitted on both together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netloom.data.multi_field import MultiFieldDataset
from netloom.modalities.encoding.field_encoder import FieldEncoder, FieldState
from netloom.modalities.field_spec import FieldSpec


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

    def specs(self, encoders: Sequence[FieldEncoder[Any]]) -> tuple[FieldSpec, ...]:
        return tuple(replace(spec, is_paired=True) for spec in super().specs(encoders))
