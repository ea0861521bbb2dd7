"""Targets with one or several numbers per row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from netloom.core.text import number
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetSpec
from netloom.data.targets.fitted_target import FittedNumbers
from netloom.data.targets.target import LastField, Target

# The number of quantile bins of numbers for a stratified split.
BINS = 10


class NumberTarget(Target[FittedNumbers]):
    """Numbers (R, k), standardized with the training rows."""

    kind = "number"

    def fit(self, raw: RawDataset, rows: np.ndarray) -> FittedNumbers:
        train = raw.target[rows].astype(np.float64)
        std = train.std(0)
        # Constant targets have no deviation to divide by
        std = np.where(std > 0, std, 1.0)
        return FittedNumbers(self.kind, raw.target_name, tuple(train.mean(0).tolist()), tuple(std.tolist()))

    def fitted(self, state: Mapping[str, Any]) -> FittedNumbers:
        return FittedNumbers(self.kind, state["name"], tuple(state["mean"]), tuple(state["std"]))

    def spec(self, raw: RawDataset, field: LastField) -> TargetSpec:
        return TargetSpec(self.kind, raw.target_name, raw.classes, tuple(raw.target.shape[1:]))

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedNumbers) -> np.ndarray:
        return fitted.scale(raw.target)

    def text(self, spec: TargetSpec, fitted: FittedNumbers, value: Any, raw: RawDataset, index: int) -> str:
        return ", ".join(map(number, fitted.restore(value).flatten().tolist()))

    def strata(self, raw: RawDataset) -> np.ndarray:
        # Only the first of several numbers is stratified
        numbers = raw.target.reshape(len(raw), -1)[:, 0]
        edges = np.quantile(numbers, np.arange(1, BINS) / BINS)
        return np.searchsorted(edges, numbers, side="right")
