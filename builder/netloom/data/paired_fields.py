"""Two fields of one kind for networks with twins: what is fitted is fitted on both of them together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from netloom.data.multi_field import Several
from netloom.data.raw_dataset import Fitted, Images, RawDataset, Texts


@dataclass
class Twins(Several):
    """Two pictures or two texts by row, which one network can read with the same weights."""

    def fits(self, rows: np.ndarray) -> list[Fitted]:
        first, second = self.parts
        both = np.arange(2 * len(rows))
        if isinstance(first, Texts) and isinstance(second, Texts):
            texts = [part.texts[row] for part in (first, second) for row in rows.tolist()]
            fitted = replace(first, texts=texts).fit(both)
        elif isinstance(first, Images) and isinstance(second, Images):
            fitted = replace(first, pixels=np.concatenate([first.pixels[rows], second.pixels[rows]])).fit(both)
        else:
            return super().fits(rows)
        return [{**fitted, "name": part.name, **_column(part)} for part in self.parts]


def _column(part: RawDataset) -> Fitted:
    """The column that a text came from, under which a row may give it too."""
    return {"column": part.column} if isinstance(part, Texts) and part.column else {}
