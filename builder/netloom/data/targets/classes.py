"""Targets with one of several classes per row, and the actions of an agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetKind, TargetSpec
from netloom.data.settings.label_merging import Aliases, merged_classes
from netloom.data.targets.fitted_target import FittedClasses
from netloom.data.targets.target import LabeledTarget, Labels, LastField


def in_order(raw: RawDataset, classes: tuple[str, ...]) -> RawDataset:
    """Return data whose target is a class index (R,) with its classes in another order; unchanged if they differ."""
    if raw.classes == classes or sorted(raw.classes) != sorted(classes):
        return raw
    positions = np.array([classes.index(name) for name in raw.classes])
    return replace(raw, target=positions[np.asarray(raw.target)], classes=classes)


class ActionTarget(LabeledTarget):
    """The action that was taken, as an index (R,) of `classes`."""

    kind: ClassVar[TargetKind] = "action"

    def ordered(self, raw: RawDataset, fitted: FittedClasses) -> RawDataset:
        return in_order(raw, fitted.classes)

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedClasses) -> np.ndarray:
        # A copy would read a memory-mapped target into memory
        return raw.target.astype(np.int64, copy=not raw.large)

    def text(self, spec: TargetSpec, fitted: FittedClasses, value: Any, raw: RawDataset, index: int) -> str:
        return spec.classes[int(value)]


class ClassTarget(ActionTarget):
    """A class as an index (R,) of `classes`."""

    kind = "class"

    def strata(self, raw: RawDataset) -> np.ndarray:
        return raw.target

    def labels(self, spec: TargetSpec, values: np.ndarray) -> Iterator[Labels]:
        yield Labels(spec.name, spec.classes, values)

    def merged(self, raw: RawDataset, aliases: Mapping[str, Aliases]) -> RawDataset:
        target_aliases = aliases.get(raw.target_name)
        if not target_aliases:
            return raw
        classes, number = merged_classes(raw.classes, target_aliases, raw.target_name)
        return replace(raw, target=number[raw.target], classes=classes)
