"""A field of noise beside images, from which a generator creates images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.multi_field import MultiFieldDataset
from netloom.data.raw.table import Table
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import Example
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.number_column import NumberEncoder, NumberState
from netloom.modalities.encoding.table_fields import TableState
from netloom.modalities.fields.table import TableModality

# The option of image datasets that adds noise, the name of the field, and its maximum size.
OPTION, NOISE = "noise_size", "noise"
MOST = 512
_SEED = 20_141_226


def _unscaled(name: str) -> NumberState:
    return NumberState(name=name, type=NumberEncoder.type, median=0.0, mean=0.0, std=1.0)


@dataclass
class Noise(Table):
    """Columns of standard normal numbers that are used without preprocessing."""

    def fit(self, rows: np.ndarray) -> TableState:
        return TableModality().state(self.name, [_unscaled(name) for name in self.numbers])

    @property
    def column_kinds(self) -> dict[str, str]:
        return {}

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        return self

    def example(self, index: int, target: str) -> Example:
        return Example(index, target)


def with_noise(raw: RawDataset, size: Any) -> RawDataset:
    """Return the images with `size` noise values each, which are always the same.

    Raises:
        DataError: the data has no images, or `size` is not an integer from 1 to 512.
    """
    if not any(part.modality.has_brightness for part in raw.parts):
        raise DataError("A noise field needs images; remove the option 'noise_size', or choose data with images.")
    if type(size) is not int or not 1 <= size <= MOST:
        raise DataError(
            f"The option 'noise_size' must be a whole number from 1 to {MOST}; received {str(size)[:60]!r}."
        )
    values = np.random.default_rng(_SEED).standard_normal((len(raw), size))
    numbers = {f"{NOISE}_{number + 1}": values[:, number] for number in range(size)}
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
        stratifies_given=raw.stratifies_given,
        weights=raw.weights,
        target_parts=raw.target_parts,
        parts=(*raw.parts, noise),
    )
