"""Several targets side by side, each a class or a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.data.preparation.label_merging import Aliases, merge
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetSpec
from netloom.data.targets.target import Fitted, Labels, Target


class SeveralTarget(Target):
    """Targets (R, targets), where a class is its number; `target_parts` says what each is."""

    kind = "several"

    def fitted(self, raw: RawDataset, rows: np.ndarray) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        for column, spec in enumerate(raw.target_parts):
            if spec.type.is_class:
                parts.append({"kind": spec.kind, "name": spec.name, "classes": list(spec.classes)})
                continue
            known = raw.target[rows, column].astype(np.float64)
            std = float(known.std())
            parts.append({"kind": spec.kind, "name": spec.name, "mean": [float(known.mean())], "std": [std or 1.0]})
        return {"parts": parts}

    def spec(self, raw: RawDataset, field: Fitted) -> TargetSpec:
        return TargetSpec(self.kind, raw.target_name, raw.classes, parts=raw.target_parts)

    def encode(self, raw: RawDataset, field: Fitted, fitted: Fitted) -> np.ndarray:
        found = raw.target.astype(np.float64)
        for column, part in enumerate(fitted["parts"]):
            if "std" in part:
                found[:, column] = (found[:, column] - part["mean"][0]) / part["std"][0]
        return np.asarray(found.astype(np.float32))

    def text(self, spec: TargetSpec, fitted: Fitted, value: Any, raw: RawDataset, index: int) -> str:
        return ", ".join(
            f"{part['name']}: {one * part['std'][0] + part['mean'][0]:.4g}"
            if "std" in part
            else f"{part['name']}: {part['classes'][int(one)]}"
            for one, part in zip(value.tolist(), fitted["parts"], strict=True)
        )

    def labels(self, spec: TargetSpec, values: np.ndarray) -> Iterator[Labels]:
        for column, part in enumerate(spec.parts):
            if part.type.is_class:
                yield Labels(part.name, part.classes, values[:, column].astype(np.int64))

    def merged(self, raw: RawDataset, aliases: Mapping[str, Aliases]) -> RawDataset:
        target, parts = raw.target.copy(), list(raw.target_parts)
        for column, part in enumerate(parts):
            own = aliases.get(part.name)
            if own and part.type.is_class:
                classes, number = merge(part.classes, own)
                target[:, column] = number[target[:, column].astype(np.int64)]
                parts[column] = replace(part, classes=classes)
        return replace(raw, target=target, target_parts=tuple(parts))
