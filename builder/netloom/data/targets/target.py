"""The declaration of a kind of target: converts raw targets to numbers, and back to words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from netloom.core.errors import DataError
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetKind, TargetSpec
from netloom.data.settings.label_merging import Aliases
from netloom.data.targets.fitted_target import FittedClasses, FittedTarget
from netloom.modalities.encoding.field_encoder import FieldEncoder

FittedT = TypeVar("FittedT", bound=FittedTarget)
LastField = FieldEncoder[Any]
Move = Callable[[Any, bool], Any]


@dataclass(frozen=True)
class Labels:
    """The labels of a target: `numbers` (R, …) are indices of `classes`, negative for rows without a label."""

    name: str
    classes: tuple[str, ...]
    numbers: np.ndarray


class Target(Generic[FittedT]):
    """A kind of target. `raw.target` has one entry per row, R in all. `field` is the last field of the data."""

    kind: ClassVar[TargetKind]

    def fit(self, raw: RawDataset, rows: np.ndarray) -> FittedT:
        """Return the state to encode and decode targets, fitted on the training rows only."""
        raise NotImplementedError

    def fitted(self, state: Mapping[str, Any]) -> FittedT:
        """Return the state from its JSON."""
        raise NotImplementedError

    def spec(self, raw: RawDataset, field: LastField) -> TargetSpec:
        """Return the target as the network receives it."""
        return TargetSpec(self.kind, raw.target_name, raw.classes)

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedT) -> np.ndarray:
        """Return the targets of all rows (R, …) in the form of the loss."""
        raise NotImplementedError

    def text(self, spec: TargetSpec, fitted: FittedT, value: Any, raw: RawDataset, index: int) -> str:
        """Return the encoded target of a row, an array or one number, in words."""
        raise NotImplementedError

    def strata(self, raw: RawDataset) -> np.ndarray:
        """Return the strata (R,) of a stratified split.

        Raises:
            DataError: the target cannot be stratified.
        """
        raise DataError("Only classes and numbers can be stratified by; choose a random split, or one by group.")

    def labels(self, spec: TargetSpec, values: np.ndarray) -> Iterator[Labels]:
        """Yield the labels in encoded targets (R, …), if there are any."""
        return iter(())

    def merged(self, raw: RawDataset, aliases: Mapping[str, Aliases]) -> RawDataset:
        """Return the data with merged labels; `aliases` are by the name of the target.

        Raises:
            DataError: the target has no labels, or only one would remain.
        """
        if aliases.get(raw.target_name):
            raise DataError(f"{raw.target_name[:80]!r} has no labels to merge; remove 'aliases'.")
        return raw

    def ordered(self, raw: RawDataset, fitted: FittedT) -> RawDataset:
        """Return the data with its classes in the order of an earlier fitted state, if it has the same classes."""
        return raw

    def moved(self, values: Any, move: Move, shape: tuple[int, ...]) -> Any:
        """Return the targets (N, …) of a batch after the transformation of their image or text, of this shape."""
        return values


class LabeledTarget(Target[FittedClasses]):
    """A target that consists of `classes`."""

    def fit(self, raw: RawDataset, rows: np.ndarray) -> FittedClasses:
        return FittedClasses(self.kind, raw.target_name, raw.classes)

    def fitted(self, state: Mapping[str, Any]) -> FittedClasses:
        return FittedClasses(self.kind, state["name"], tuple(state["classes"]))
