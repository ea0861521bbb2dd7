"""The values of masks in files and arrays: which class each of them is, and which of them marks void pixels."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from netloom.core.errors import DataError
from netloom.modalities.encoding.tags import IGNORE

MAX_CLASSES = 64
# The value of pixels without a class beside class indices, as in the masks of Pascal VOC and Cityscapes
VOID = 255


@dataclass(frozen=True)
class MaskValues:
    """The value of each class in the masks as they were read, and that of void pixels, if there are any: class indices,
    gray values, or if they `are_colors`, 0xRRGGBB.

    Void pixels have no class: they count neither in the loss nor in metrics. Their class index is `IGNORE`.
    """

    classes: tuple[int, ...]
    void: int | None = None
    are_colors: bool = False

    @classmethod
    def of(cls, values: Iterable[int], void: int | None, are_colors: bool = False) -> MaskValues:
        """Return the values of masks with these values, all of which are classes except the void one.

        Raises:
            DataError: fewer than two are classes, or no mask has the void value.
        """
        distinct = set(values)
        if void is not None and void not in distinct:
            raise DataError(f"No mask has the value {void}, which void_value names; it is the value of void pixels.")
        classes = tuple(sorted(distinct - {void}))
        if len(classes) < 2:
            raise DataError("All masks have the same single value; at least two classes are needed.")
        return cls(classes, void, are_colors)

    def indices(self, values: np.ndarray) -> np.ndarray:
        """Return the class indices (…) of values (…), as uint8, or as int8 if there are void pixels among the data.

        The values have to be those of classes, or void.
        """
        numbers = np.searchsorted(self.classes, values)
        if self.void is None:
            return numbers.astype(np.uint8)  # `MAX_CLASSES` fit into a byte
        return np.where(values == self.void, IGNORE, numbers).astype(np.int8)

    def has(self, values: Iterable[int]) -> bool:
        """Return whether all of these are values of classes, or void."""
        return {*values} <= {*self.classes, self.void}


def has_void(distinct: Collection[int], void: int = VOID) -> bool:
    """Return whether a value is not a class among the values of a mask: all others are class indices, and there is
    another than 0, as masks of 0 and 255 are black and white."""
    others = {*distinct} - {void}
    return void in distinct and any(others - {0}) and all(0 <= value < MAX_CLASSES for value in others)


def void_note(void: int, share: float) -> str:
    """Return a note on void pixels, which are this share of all pixels."""
    return (
        f"The value {void} marks void pixels, {share:.2%} of all: they have no class, and count "
        "neither in the loss nor in metrics. If it is a class, add the data again with the option void=false."
    )
