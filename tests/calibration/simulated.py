"""Logits whose true probabilities are known."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from netloom.calibration.units import ClassUnits, LabelUnits, Units


def classes(rows: int, seed: int, count: int = 5, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (N, C), and classes (N,) that are drawn with their softmax: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (rows, count))
    target = (softmax(logits, 1).cumsum(1) < rng.random((rows, 1))).sum(1)
    return logits, target.clip(max=count - 1)


def labels(rows: int, seed: int, count: int = 1, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (N, L), and labels (N, L) that are drawn with their sigmoid."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (rows, count))
    return logits, (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int64)


def class_units(logits: np.ndarray, target: np.ndarray) -> Units:
    return ClassUnits(logits, target, np.arange(len(logits)))


def label_units(logits: np.ndarray, target: np.ndarray) -> Units:
    return LabelUnits(logits, target, np.arange(len(logits)))
