"""Statistics of the training rows."""

from __future__ import annotations

import math

import numpy as np

MAX_CELLS = 100_000_000  # the largest number of values that are in memory at once
_CHUNK = 256


def divisor(std: float, largest: float) -> float:
    """Return the standard deviation, or 1 if it is only rounding error of equal values up to `largest`."""
    return std if std > 10 * np.finfo(np.float64).eps * largest else 1.0


def deviations(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each of the numbers (N, D), (D,); 1 for equal ones."""
    stds, largest = values.std(0, dtype=np.float64), np.abs(values).max(0)
    return np.array([divisor(*column) for column in zip(stds.tolist(), largest.tolist(), strict=True)])


def moments(values: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """Return the mean and standard deviation of the given rows of values (R, …), in parts.

    All rows in float64 may not fit into memory. A second pass computes the deviation, as the mean of squares minus the
    squared mean cancels.
    """
    parts = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    count = len(rows) * int(np.prod(values.shape[1:]))
    mean = sum(float(values[part].sum(dtype=np.float64)) for part in parts) / count
    square = sum(float(((values[part].astype(np.float64) - mean) ** 2).sum()) for part in parts) / count
    return mean, math.sqrt(square)
