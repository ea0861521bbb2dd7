"""What a kind of target is: from the targets of raw rows to numbers, and back to words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from netloom.core.errors import DataError
from netloom.data.preparation.label_merging import Aliases
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetKind, TargetSpec
from netloom.data.targets.fitted_target import FittedClasses, FittedTarget
from netloom.modalities.encoding.field_encoder import FieldEncoder

FittedT = TypeVar("FittedT", bound=FittedTarget)
LastField = FieldEncoder[Any]
Move = Callable[[Any, bool], Any]


@dataclass(frozen=True)
class Labels:
    """The labels of a target: `numbers` (R, …) into `classes`, below 0 where a row has none."""

    name: str
    classes: tuple[str, ...]
    numbers: np.ndarray


class Target(Generic[FittedT]):
    """A kind of target. `raw.target` holds one entry per row, R in all. `field` is the last field of the data."""

    kind: ClassVar[TargetKind]

    def fit(self, raw: RawDataset, rows: np.ndarray) -> FittedT:
        """What has to be known to encode and decode targets, from the training rows alone."""
        raise NotImplementedError

    def fitted(self, state: Mapping[str, Any]) -> FittedT:
        """The same, from its JSON."""
        raise NotImplementedError

    def spec(self, raw: RawDataset, field: LastField) -> TargetSpec:
        """The target as a network sees it."""
        return TargetSpec(self.kind, raw.target_name, raw.classes)

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedT) -> np.ndarray:
        """The targets of all rows, (R, …), as a loss reads them."""
        raise NotImplementedError

    def text(self, spec: TargetSpec, fitted: FittedT, value: Any, raw: RawDataset, index: int) -> str:
        """The encoded target `value` of a row in words."""
        raise NotImplementedError

    def strata(self, raw: RawDataset) -> np.ndarray:
        """What every part of a split is to hold in the same shares, (R,).

        Raises:
            DataError: there is nothing to stratify by.
        """
        raise DataError("Only classes and numbers can be stratified by; choose a random split, or one by group.")

    def labels(self, spec: TargetSpec, values: np.ndarray) -> Iterator[Labels]:
        """The labels among encoded targets (R, …), as far as there are any."""
        return iter(())

    def merged(self, raw: RawDataset, aliases: Mapping[str, Aliases]) -> RawDataset:
        """The data with labels merged that mean the same; `aliases` are by the name of the target.

        Raises:
            DataError: the target has no labels, or only one would be left.
        """
        if aliases.get(raw.target_name):
            raise DataError(f"{raw.target_name[:80]!r} has no labels to treat as the same; take 'aliases' away.")
        return raw

    def moved(self, values: Any, move: Move) -> Any:
        """Targets (N, …) of a batch after the image or text that they belong to was moved."""
        return values


class LabeledTarget(Target[FittedClasses]):
    """A target that consists of `classes`."""

    def fit(self, raw: RawDataset, rows: np.ndarray) -> FittedClasses:
        return FittedClasses(self.kind, raw.target_name, raw.classes)

    def fitted(self, state: Mapping[str, Any]) -> FittedClasses:
        return FittedClasses(self.kind, state["name"], tuple(state["classes"]))
