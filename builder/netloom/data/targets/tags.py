"""Targets with a tag for each word, with or without a class for the whole text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.raw.texts import TaggedTexts
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetSpec
from netloom.data.settings.label_merging import Aliases, merged_classes
from netloom.data.targets.classes import in_order
from netloom.data.targets.fitted_target import FittedClassAndTags, FittedClasses
from netloom.data.targets.target import LabeledTarget, Labels, LastField, Move, Target
from netloom.modalities.encoding.category_column import resolve_alias
from netloom.modalities.encoding.tags import IGNORE


class TagsTarget(LabeledTarget):
    """The tag index of each word (R, T), `IGNORE` at positions without a word."""

    kind = "tags"

    def spec(self, raw: RawDataset, field: LastField) -> TargetSpec:
        return TargetSpec(self.kind, raw.target_name, raw.classes, (field.shape[0],))

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedClasses) -> np.ndarray:
        return _tagged(raw).tagged(field.shape[0])

    def text(self, spec: TargetSpec, fitted: FittedClasses, value: Any, raw: RawDataset, index: int) -> str:
        return " ".join(spec.classes[number] for number in value.tolist() if number != IGNORE)

    def labels(self, spec: TargetSpec, values: np.ndarray) -> Iterator[Labels]:
        yield Labels(spec.name, spec.classes, values)

    def merged(self, raw: RawDataset, aliases: Mapping[str, Aliases]) -> RawDataset:
        target_aliases = aliases.get(raw.target_name)
        if not target_aliases:
            return raw
        classes, _ = merged_classes(raw.classes, target_aliases, raw.target_name)
        tags = [[resolve_alias(tag, target_aliases) for tag in line] for line in _tagged(raw).tags]
        return replace(_tagged(raw), tags=tags, tag_names=classes, classes=classes)

    def moved(self, values: Any, move: Move, shape: tuple[int, ...]) -> Any:
        # Exact, as a mean of two tags is not a tag
        return move(values, True)


class ClassAndTagsTarget(Target[FittedClassAndTags]):
    """The class index, then the tag index of each word, (R, 1 + T)."""

    kind = "class_and_tags"

    def fit(self, raw: RawDataset, rows: np.ndarray) -> FittedClassAndTags:
        return FittedClassAndTags(self.kind, raw.target_name, raw.classes, _tagged(raw).tag_names)

    def fitted(self, state: Mapping[str, Any]) -> FittedClassAndTags:
        return FittedClassAndTags(self.kind, state["name"], tuple(state["classes"]), tuple(state["tags"]))

    def spec(self, raw: RawDataset, field: LastField) -> TargetSpec:
        return TargetSpec(self.kind, raw.target_name, raw.classes, (field.shape[0],), _tagged(raw).tag_names)

    def ordered(self, raw: RawDataset, fitted: FittedClassAndTags) -> RawDataset:
        raw = in_order(raw, fitted.classes)
        has_same = sorted(_tagged(raw).tag_names) == sorted(fitted.tags)
        return replace(_tagged(raw), tag_names=fitted.tags) if has_same else raw

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedClassAndTags) -> np.ndarray:
        return np.concatenate([raw.target.astype(np.int64)[:, None], _tagged(raw).tagged(field.shape[0])], axis=1)

    def text(self, spec: TargetSpec, fitted: FittedClassAndTags, value: Any, raw: RawDataset, index: int) -> str:
        first, *tags = value.tolist()
        return f"{spec.classes[first]}: {' '.join(spec.tags[number] for number in tags if number != IGNORE)}"

    def strata(self, raw: RawDataset) -> np.ndarray:
        return raw.target

    def labels(self, spec: TargetSpec, values: np.ndarray) -> Iterator[Labels]:
        yield Labels(spec.name, spec.classes, values[:, 0])
        yield Labels(f"{spec.name} (tags)", spec.tags, values[:, 1:])

    def moved(self, values: Any, move: Move, shape: tuple[int, ...]) -> Any:
        import torch

        return torch.cat([values[:, :1], move(values[:, 1:], True)], dim=1)


def _tagged(raw: RawDataset) -> TaggedTexts:
    if not isinstance(raw, TaggedTexts):
        raise DataError("Tags can only be predicted for texts whose words have tags.")
    return raw
