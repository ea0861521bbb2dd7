"""A field of noise beside a picture, out of which a generator makes pictures of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.multi_field import MultiFieldDataset
from netloom.data.raw.table import Table
from netloom.data.raw_dataset import Fitted, RawDataset
from netloom.data.schema import Example
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.number_column import NumberEncoder
from netloom.modalities.fields.table import TableModality

# The option of any pictures that asks for noise, the field that holds it, and how many numbers at most.
OPTION, NOISE = "noise_size", "noise"
MOST = 512
_SEED = 20_141_226


@dataclass
class Noise(Table):
    """Columns of standard normal numbers that are taken as they are; they say nothing to people."""

    def fit(self, rows: np.ndarray) -> Fitted:
        unscaled = {"type": NumberEncoder.type, "median": 0.0, "mean": 0.0, "std": 1.0}
        return TableModality().state(self.name, [{"name": name, **unscaled} for name in self.numbers])

    @property
    def column_kinds(self) -> dict[str, str]:
        return {}

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        return self

    def example(self, index: int, target: str) -> Example:
        return Example(index, target)


def with_noise(raw: RawDataset, size: Any) -> RawDataset:
    """The same pictures, each with `size` numbers of noise beside it: always the same ones.

    Raises:
        DataError: this is no data of pictures, or `size` is no number from 1 to 512.
    """
    if not any(part.modality.has_brightness for part in raw.parts):
        raise DataError("Noise can only stand beside pictures; take the option 'noise_size' away, or choose pictures.")
    if type(size) is not int or not 1 <= size <= MOST:
        raise DataError(f"The option 'noise_size' is how many numbers, from 1 to {MOST}; received {str(size)[:60]!r}.")
    values = np.random.default_rng(_SEED).standard_normal((len(raw), size))
    numbers = {f"{NOISE}_{place + 1}": values[:, place] for place in range(size)}
    noise = Noise(name=NOISE, target=raw.target, target_kind=raw.target_kind, numbers=numbers)
    return MultiFieldDataset(
        name="",
        target=raw.target,
        target_kind=raw.target_kind,
        target_name=raw.target_name,
        classes=raw.classes,
        contiguous=raw.contiguous,
        gap=raw.gap,
        warnings=raw.warnings,
        masks=raw.masks,
        groups=raw.groups,
        times=raw.times,
        given=raw.given,
        weights=raw.weights,
        target_parts=raw.target_parts,
        parts=(*raw.parts, noise),
    )
