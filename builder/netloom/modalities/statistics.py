"""Statistics of the training rows, as fitting needs them."""

from __future__ import annotations

import math

import numpy as np

MAX_CELLS = 100_000_000  # numbers that are held in memory at once
_CHUNK = 256


def divisor(std: float, largest: float) -> float:
    """The standard deviation, or one where it is nothing but the rounding of equal values."""
    return std if std > 10 * np.finfo(np.float64).eps * largest else 1.0


def moments(values: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of some rows (R, …), a part at a time, as all of them in float64 may not fit."""
    parts = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    count = len(rows) * int(np.prod(values.shape[1:]))
    mean = sum(float(values[part].sum(dtype=np.float64)) for part in parts) / count
    square = sum(float(((values[part].astype(np.float64) - mean) ** 2).sum()) for part in parts) / count
    return mean, math.sqrt(square)
