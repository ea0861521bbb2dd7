"""Several targets per row, each a class or a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetSpec
from netloom.data.settings.label_merging import Aliases, merge
from netloom.data.targets.fitted_target import FittedClasses, FittedNumbers, FittedTargets
from netloom.data.targets.registry import target_of
from netloom.data.targets.target import Labels, LastField, Target
from netloom.modalities.statistics import deviations


class SeveralTarget(Target[FittedTargets]):
    """Targets (R, targets), classes by index; `target_parts` gives the kind of each."""

    kind = "several"

    def fit(self, raw: RawDataset, rows: np.ndarray) -> FittedTargets:
        parts: list[FittedClasses | FittedNumbers] = []
        for column, spec in enumerate(raw.target_parts):
            if spec.type.is_class:
                parts.append(FittedClasses(spec.kind, spec.name, spec.classes))
                continue
            values = raw.target[rows, column].astype(np.float64)
            (std,) = deviations(values[:, None]).tolist()
            parts.append(FittedNumbers(spec.kind, spec.name, (float(values.mean()),), (std,)))
        return FittedTargets(self.kind, raw.target_name, tuple(parts))

    def fitted(self, state: Mapping[str, Any]) -> FittedTargets:
        parts = tuple(target_of(part["kind"]).fitted(part) for part in state["parts"])
        return FittedTargets(self.kind, state["name"], parts)

    def spec(self, raw: RawDataset, field: LastField) -> TargetSpec:
        return TargetSpec(self.kind, raw.target_name, raw.classes, parts=raw.target_parts)

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedTargets) -> np.ndarray:
        # Class indices and standardized numbers share one tensor; float32 holds indices exactly up to 2**24
        values = raw.target.astype(np.float64)
        for column, part in enumerate(fitted.parts):
            if isinstance(part, FittedNumbers):
                values[:, column] = (values[:, column] - part.mean[0]) / part.std[0]
        return np.asarray(values.astype(np.float32))

    def text(self, spec: TargetSpec, fitted: FittedTargets, value: Any, raw: RawDataset, index: int) -> str:
        return ", ".join(
            f"{part.name}: {number * part.std[0] + part.mean[0]:.4g}"
            if isinstance(part, FittedNumbers)
            else f"{part.name}: {part.classes[int(number)]}"
            for number, part in zip(value.tolist(), fitted.parts, strict=True)
        )

    def labels(self, spec: TargetSpec, values: np.ndarray) -> Iterator[Labels]:
        for column, part in enumerate(spec.parts):
            if part.type.is_class:
                yield Labels(part.name, part.classes, values[:, column].astype(np.int64))

    def merged(self, raw: RawDataset, aliases: Mapping[str, Aliases]) -> RawDataset:
        target, parts = raw.target.copy(), list(raw.target_parts)
        for column, part in enumerate(parts):
            part_aliases = aliases.get(part.name)
            if part_aliases and part.type.is_class:
                classes, number = merge(part.classes, part_aliases)
                target[:, column] = number[target[:, column].astype(np.int64)]
                parts[column] = replace(part, classes=classes)
        return replace(raw, target=target, target_parts=tuple(parts))
