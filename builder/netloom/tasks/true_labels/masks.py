"""True labels of segmentation: the class of each pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.data.images import mask, nearest
from netloom.tasks.true_labels.true_label import PaintedLabel, TrueLabel

if TYPE_CHECKING:
    from netloom.data import Prepared


@dataclass(frozen=True)
class MaskLabel(PaintedLabel):
    """The class of each pixel as rows of numbers from 0, in the form of predictions."""

    names: tuple[str, ...]
    shape: tuple[int, int]
    title: ClassVar[str] = "Share of wrong pixels"
    is_share: ClassVar[bool] = False

    @property
    def schema(self) -> Mapping[str, Any]:
        height, width = self.shape
        pixel = {"type": "integer", "minimum": 0, "maximum": len(self.names) - 1}
        row = {"type": "array", "items": pixel, "minItems": width, "maxItems": width}
        return {"type": "array", "items": row, "minItems": height, "maxItems": height}

    def check(self, label: Any) -> list[list[int]]:
        grid = _grid(label)
        if grid is None or grid.shape != self.shape or grid.dtype.kind not in "iu":
            raise DataError(
                f"The label is a mask of {self.shape[0]} rows of {self.shape[1]} class numbers, received "
                f"{'other values' if grid is None else f'the shape {grid.shape} of {grid.dtype}'}."
            )
        if grid.min() < 0 or grid.max() >= len(self.names):
            wrong = int(grid.min() if grid.min() < 0 else grid.max())
            raise DataError(f"{wrong} is not a class of the model; it has the classes 0 to {len(self.names) - 1}.")
        rows: list[list[int]] = grid.tolist()
        return rows

    def error(self, prediction: Any, label: Any) -> float:
        """Return the share of wrong pixels; 1 if the prediction is not such a mask."""
        predicted, expected = _grid(prediction), np.asarray(label)
        if predicted is None or predicted.shape != expected.shape:
            return 1.0
        return float((predicted != expected).mean())

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[list[list[int]]]:
        masks: list[list[list[int]]] = data.target[rows].tolist()
        return masks

    def is_comparable(self, other: TrueLabel) -> bool:
        return isinstance(other, MaskLabel) and (self.names, self.shape) == (other.names, other.shape)

    def text(self, label: Any) -> str:
        """Return the share of the pixels of each class that occurs."""
        grid = _grid(label)
        if grid is None or grid.dtype.kind not in "iu" or grid.min() < 0 or grid.max() >= len(self.names):
            return "a mask"
        counts = np.bincount(grid.ravel(), minlength=len(self.names))
        shares = (
            f"{name} {count / grid.size:.0%}" for name, count in zip(self.names, counts.tolist(), strict=True) if count
        )
        return ", ".join(shares)

    def read_image(self, content: bytes, filename: str) -> list[list[int]]:
        """Return the mask in an image file. Its values are class numbers, or in ascending order as many gray values or
        colors as there are classes. An image of another size is scaled by nearest neighbor.

        Raises:
            DataError: it cannot be read, or has other values.
        """
        values = mask(content, filename)
        found = np.unique(values)
        if found[-1] >= len(self.names):
            if len(found) != len(self.names):
                raise DataError(
                    f"{filename[:100]!r} has {len(found):,} different values, such as {int(found[-1])}, but the model "
                    f"{len(self.names)} classes; save a PNG with the class numbers 0 to {len(self.names) - 1}, or with "
                    "one gray value or color for each class."
                )
            values = np.searchsorted(found, values)
        return self.check(nearest(values, self.shape).tolist())


def _grid(label: Any) -> np.ndarray | None:
    """Return rows of numbers as an array (H, W); None for anything else."""
    try:
        grid = np.asarray(label)
    except ValueError:
        return None
    return grid if grid.ndim == 2 and grid.size and grid.dtype.kind in "iuf" else None
