"""Targets with any number of labels per row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetSpec
from netloom.data.settings.label_merging import Aliases, merged_classes
from netloom.data.targets.fitted_target import FittedClasses
from netloom.data.targets.target import LabeledTarget, Labels, LastField
from netloom.modalities.encoding.tags import IGNORE


class LabelsTarget(LabeledTarget):
    """Multi-hot labels (R, classes): 0 or 1 for each of `classes`."""

    kind = "labels"

    def ordered(self, raw: RawDataset, fitted: FittedClasses) -> RawDataset:
        if raw.classes == fitted.classes or sorted(raw.classes) != sorted(fitted.classes):
            return raw
        columns = [raw.classes.index(name) for name in fitted.classes]
        return replace(raw, target=raw.target[:, columns], classes=fitted.classes)

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedClasses) -> np.ndarray:
        return raw.target.astype(np.float32)

    def text(self, spec: TargetSpec, fitted: FittedClasses, value: Any, raw: RawDataset, index: int) -> str:
        return ", ".join(name for name, applies in zip(spec.classes, value, strict=True) if applies) or "none"

    def labels(self, spec: TargetSpec, values: np.ndarray) -> Iterator[Labels]:
        yield Labels(spec.name, spec.classes, np.where(values > 0, np.arange(len(spec.classes)), IGNORE))

    def merged(self, raw: RawDataset, aliases: Mapping[str, Aliases]) -> RawDataset:
        target_aliases = aliases.get(raw.target_name)
        if not target_aliases:
            return raw
        classes, number = merged_classes(raw.classes, target_aliases, raw.target_name)
        target = np.zeros((len(raw), len(classes)), dtype=raw.target.dtype)
        for old, new in enumerate(number.tolist()):
            # A row with several of the merged labels gets the new one once
            np.maximum(target[:, new], raw.target[:, old], out=target[:, new])
        return replace(raw, target=target, classes=classes)
