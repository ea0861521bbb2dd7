"""True labels of segmentation: the class of each pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.data.images import mask_pixels, nearest
from netloom.data.mask_values import VOID, MaskValues, has_void
from netloom.modalities.encoding.tags import IGNORE
from netloom.tasks.true_labels.true_label import PaintedLabel, TrueLabel

if TYPE_CHECKING:
    from netloom.data import Prepared


@dataclass(frozen=True)
class MaskLabel(PaintedLabel):
    """The class of each pixel as rows of numbers from 0, in the form of predictions; `IGNORE` for void pixels.

    `values` are those of the classes in the files of masks, where they are known.
    """

    names: tuple[str, ...]
    shape: tuple[int, int]
    values: MaskValues | None = None
    title: ClassVar[str] = "Share of wrong pixels"
    is_share: ClassVar[bool] = False
    is_fraction: ClassVar[bool] = True

    @property
    def schema(self) -> Mapping[str, Any]:
        height, width = self.shape
        pixel = {
            "type": "integer",
            "anyOf": [{"minimum": 0, "maximum": len(self.names) - 1}, {"const": IGNORE}],
            "description": f"The number of a class, or {IGNORE} for a pixel without a class",
        }
        row = {"type": "array", "items": pixel, "minItems": width, "maxItems": width}
        return {"type": "array", "items": row, "minItems": height, "maxItems": height}

    def check(self, label: Any) -> list[list[int]]:
        grid = _grid(label)
        if grid is None or grid.shape != self.shape or grid.dtype.kind not in "iu":
            raise DataError(
                f"The label must be a mask of {self.shape[0]} rows of {self.shape[1]} class numbers, received "
                f"{'other values' if grid is None else f'the shape {grid.shape} of {grid.dtype}'}."
            )
        labeled = grid[grid != IGNORE]
        if not labeled.size:
            raise DataError("No pixel of the mask has a class.")
        if labeled.min() < 0 or labeled.max() >= len(self.names):
            wrong = int(labeled.min() if labeled.min() < 0 else labeled.max())
            raise DataError(
                f"{wrong} is not a class of the model; it has the classes 0 to {len(self.names) - 1}, and {IGNORE} is "
                "a pixel without a class."
            )
        rows: list[list[int]] = grid.tolist()
        return rows

    def error(self, prediction: Any, label: Any) -> float:
        """Return the share of wrong pixels among those with a class; 1 if the prediction is not such a mask."""
        predicted, expected = _grid(prediction), np.asarray(label)
        if predicted is None or predicted.shape != expected.shape:
            return 1.0
        known = expected >= 0
        return float((predicted != expected)[known].mean()) if known.any() else 0.0

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[list[list[int]]]:
        masks: list[list[list[int]]] = data.target[rows].tolist()
        return masks

    def is_comparable(self, other: TrueLabel) -> bool:
        return isinstance(other, MaskLabel) and (self.names, self.shape) == (other.names, other.shape)

    def text(self, label: Any) -> str:
        """Return the share of the pixels of each class that occurs."""
        grid = _grid(label)
        if grid is None or grid.dtype.kind not in "iu":
            return "a mask"
        labeled = grid[grid != IGNORE]
        if labeled.min(initial=0) < 0 or labeled.max(initial=0) >= len(self.names):
            return "a mask"
        counts = [*np.bincount(labeled, minlength=len(self.names)).tolist(), grid.size - labeled.size]
        shares = (
            f"{name} {count / grid.size:.0%}"
            for name, count in zip((*self.names, "void"), counts, strict=True)
            if count
        )
        return ", ".join(shares)

    def read_image(self, content: bytes, filename: str) -> list[list[int]]:
        """Return the mask in an image file. Its values are those of the files of the data, or class numbers, or in
        ascending order as many gray values or colors as there are classes. An image of another size is scaled by
        nearest neighbor.

        Raises:
            DataError: it cannot be read, or has other values.
        """
        pixels = mask_pixels(content, filename)
        values = pixels.in_colors if self.values is not None and self.values.are_colors else pixels.values
        distinct = np.unique(values).tolist()
        numbers = MaskValues(tuple(range(len(self.names))), VOID if has_void(distinct) else None)
        if self.values is not None and self.values.has(distinct):
            indices = self.values.indices(values)
        elif numbers.has(np.unique(pixels.values).tolist()):
            indices = numbers.indices(pixels.values)
        elif len(distinct) == len(self.names):
            indices = np.searchsorted(distinct, values)
        else:
            raise DataError(
                f"{filename[:100]!r} has {len(distinct):,} different values, such as {distinct[-1]}, but the model "
                f"has {len(self.names)} classes; save a PNG with {self._forms}, or with one gray value or color "
                "for each class."
            )
        return self.check(nearest(indices, self.shape).tolist())

    @property
    def _forms(self) -> str:
        """The values that a file can have, in words."""
        numbers = f"the class numbers 0 to {len(self.names) - 1}"
        if self.values is None or self.values.classes == tuple(range(len(self.names))):
            return numbers
        listed = ", ".join(map(str, self.values.classes[:8])) + (", …" if len(self.values.classes) > 8 else "")
        return f"the values {listed} of the masks of the data, with {numbers}"


def _grid(label: Any) -> np.ndarray | None:
    """Return rows of numbers as an array (H, W); None for anything else."""
    try:
        grid = np.asarray(label)
    except ValueError:
        return None
    return grid if grid.ndim == 2 and grid.size and grid.dtype.kind in "iuf" else None
