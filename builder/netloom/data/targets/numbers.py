"""One or several numbers for each row."""

from __future__ import annotations

from typing import Any

import numpy as np

from netloom.core.text import number
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetSpec
from netloom.data.targets.target import Fitted, Target

# Into how many stretches of equal counts numbers are cut where a split is stratified by them.
BINS = 10


class NumberTarget(Target):
    """Numbers (R, k), standardized by the training rows."""

    kind = "number"

    def fitted(self, raw: RawDataset, rows: np.ndarray) -> dict[str, Any]:
        train = raw.target[rows].astype(np.float64)
        std = train.std(0)
        std = np.where(std > 0, std, 1.0)
        return {"mean": train.mean(0).tolist(), "std": std.tolist()}

    def spec(self, raw: RawDataset, field: Fitted) -> TargetSpec:
        return TargetSpec(self.kind, raw.target_name, raw.classes, tuple(raw.target.shape[1:]))

    def encode(self, raw: RawDataset, field: Fitted, fitted: Fitted) -> np.ndarray:
        scaled = (raw.target.astype(np.float64) - fitted["mean"]) / fitted["std"]
        return np.asarray(scaled.astype(np.float32))

    def text(self, spec: TargetSpec, fitted: Fitted, value: Any, raw: RawDataset, index: int) -> str:
        import torch

        restored = value * torch.tensor(fitted["std"]) + torch.tensor(fitted["mean"])
        return ", ".join(number(one) for one in restored.flatten().tolist())

    def strata(self, raw: RawDataset) -> np.ndarray:
        numbers = raw.target.reshape(len(raw), -1)[:, 0]
        edges = np.quantile(numbers, np.arange(1, BINS) / BINS)
        return np.searchsorted(edges, numbers, side="right")
