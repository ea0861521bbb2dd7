"""The units that have a probability: rows, labels, words or pixels, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.data.preparation.calibrated import calibrated_logits

if TYPE_CHECKING:
    from netloom.training.objectives.calibrated_part import CalibratedPart, Family

# Pixels of many images are more than a calibration needs: its few parameters are known from fewer.
MAX_UNITS = 200_000


@dataclass(frozen=True)
class Units:
    """Logits and targets of M units with C classes or labels.

    Args:
        family: How logits become probabilities.
        logits: (M, C).
        target: Class numbers (M,) for a softmax; 0 or 1 (M, C) for sigmoids.
        row: (M,), the index of the row of each unit.
    """

    family: Family
    logits: np.ndarray
    target: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def of_rows(self, rows: np.ndarray) -> Units:
        """Return the units of rows by index."""
        inside = np.zeros(int(self.row.max(initial=-1)) + 1, bool)
        inside[rows[rows < len(inside)]] = True
        selection = inside[self.row]
        return Units(self.family, self.logits[selection], self.target[selection], self.row[selection])

    def shares(self, scaling: dict[str, Any] | None = None) -> np.ndarray:
        """Return probabilities (M, C), calibrated by a `Scaling` as plain JSON."""
        import torch

        calibration = {"family": self.family, "axis": -1, "scaling": scaling}
        logits = calibrated_logits(calibration, torch.from_numpy(self.logits))
        values: np.ndarray = (logits.softmax(-1) if self.family == "softmax" else logits.sigmoid()).numpy()
        return values


def units_of(part: CalibratedPart) -> Units:
    """Return the units of an output, without those that have no target; an even random choice if there are very many.

    Raises:
        ValueError: the output is not probabilities.
    """
    if part.family == "numbers":
        raise ValueError("Numbers have no probabilities.")
    logits = part.output.movedim(part.axis, -1)
    rows = np.arange(len(logits)).reshape(-1, *[1] * (logits.dim() - 2))
    row = np.broadcast_to(rows, logits.shape[:-1]).reshape(-1)
    flat = logits.reshape(len(row), -1).double().numpy()
    target = part.target.numpy()
    if part.family == "sigmoid":
        return _thinned(Units("sigmoid", flat, target.astype(np.int64), row))
    target = target.reshape(-1)
    known = target >= 0
    return _thinned(Units("softmax", flat[known], target[known], row[known]))


def _thinned(units: Units) -> Units:
    if len(units) <= MAX_UNITS:
        return units
    chosen = np.sort(np.random.default_rng(0).choice(len(units), MAX_UNITS, replace=False))
    return Units(units.family, units.logits[chosen], units.target[chosen], units.row[chosen])
