"""A class for each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetSpec
from netloom.data.targets.fitted_target import FittedClasses
from netloom.data.targets.target import LabeledTarget, LastField, Move


class MaskTarget(LabeledTarget):
    """The class index of each pixel (R, H, W), `IGNORE` for void pixels; the first class is the background."""

    kind = "mask"

    def spec(self, raw: RawDataset, field: LastField) -> TargetSpec:
        return TargetSpec(
            self.kind, raw.target_name, raw.classes, tuple(raw.target.shape[1:]), mask_values=raw.mask_values
        )

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedClasses) -> np.ndarray:
        # One byte is mostly sufficient for a class index; losses convert one batch at a time.
        if raw.target.dtype == np.int8:  # with void pixels, below 0
            return raw.target
        return raw.target.astype(np.uint8 if len(raw.classes) <= 256 else np.int64, copy=False)

    def text(self, spec: TargetSpec, fitted: FittedClasses, value: Any, raw: RawDataset, index: int) -> str:
        labeled = value[value >= 0]
        if not len(labeled):
            return "void"
        counts = np.bincount(labeled, minlength=len(spec.classes)).tolist()
        return ", ".join(name for name, count in zip(spec.classes[1:], counts[1:], strict=True) if count)

    def moved(self, values: Any, move: Move, shape: tuple[int, ...]) -> Any:
        # (N, H, W) -> (N, 1, H, W); exact, as a mean of two classes is not a class
        return move(values.unsqueeze(1), True).squeeze(1)
