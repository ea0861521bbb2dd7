"""Data as it was read, before anything was fitted: what the classes of `netloom.data.raw` for each kind share.

How a field is fitted, encoded and explained is decided by its modality, see `netloom.modalities.fields`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Required, TypedDict

import numpy as np

from netloom.core.errors import DataError
from netloom.data.schema import TARGET_TYPES, Example, TargetKind, TargetSpec, TargetType
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.field_spec import FieldSpec
from netloom.modalities.fields.modality import Fitted as Fitted
from netloom.modalities.fields.modality import Modality
from netloom.modalities.fields.registry import modality_of

_BYTES_AT_ONCE = 2**24
Room = Callable[[str, Sequence[int], Any], np.ndarray]


def in_parts(values: np.ndarray, dtype: Any = None) -> Iterator[bytes]:
    """The bytes of rows, as numbers of another type where one is named, some at a time, as all of them may not fit."""
    count = max(1, _BYTES_AT_ONCE * len(values) // max(1, values.nbytes))
    return (
        np.ascontiguousarray(values[start : start + count], dtype).tobytes() for start in range(0, len(values), count)
    )


def in_memory(name: str, shape: Sequence[int], dtype: Any) -> np.ndarray:
    """An array of zeros for a field."""
    return np.zeros(tuple(shape), dtype)


class RawTarget(TypedDict, total=False):
    """The target of raw rows, as keyword arguments of `RawDataset`."""

    target: Required[np.ndarray]
    target_kind: Required[TargetKind]
    target_name: str
    classes: tuple[str, ...]
    target_parts: tuple[TargetSpec, ...]


class RowRoles(TypedDict, total=False):
    """What is known of each row (R,) besides its fields and target, as keyword arguments of `RawDataset`."""

    groups: np.ndarray
    times: np.ndarray
    given: np.ndarray
    weights: np.ndarray


class RowFields(RawTarget, RowRoles):
    """What all fields of the same rows share: the target and the roles."""


@dataclass
class RawDataset:
    """Rows and their targets. `contiguous` rows are split by their order, as neighbours resemble each other; `gap` rows
    are left out between splits, as they overlap. Rows of one of the `groups`, where these are given, are never in two
    parts of the split. `times` (R,) say what came before what, `given` (R,) in which part a row is (0 training, 1
    validation, 2 test), `weights` (R,) how much a row counts. `settings` are those of the document for this field.
    Where several targets stand side by side, `target_parts` says of which kind each column of `target` (R, columns) is.
    What is `large` stays in files; `folder` is where an upload lies, and `identity` names what was read out of
    it."""

    name: str
    target: np.ndarray
    target_kind: TargetKind
    target_name: str = "target"
    classes: tuple[str, ...] = ()
    contiguous: bool = False
    gap: int = 0
    warnings: list[str] = field(default_factory=list)
    masks: np.ndarray | None = None
    groups: np.ndarray | None = None
    times: np.ndarray | None = None
    given: np.ndarray | None = None
    weights: np.ndarray | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    target_parts: tuple[TargetSpec, ...] = ()
    large: bool = False
    folder: Path | None = None
    identity: str = ""

    def __len__(self) -> int:
        return len(self.target)

    @property
    def target_type(self) -> TargetType:
        """What holds for every target of this kind."""
        return TARGET_TYPES[self.target_kind]

    def row(self, index: int) -> dict[str, Any]:
        """A raw row, as `encode` takes it."""
        raise NotImplementedError

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        """Some neighbouring rows."""
        return [self.row(index) for index in range(start, stop)]

    @property
    def modality(self) -> Modality[Any]:
        """What the field holds, with the settings of the document."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[RawDataset, ...]:
        """The data of each field."""
        return (self,)

    def with_parts(self, parts: Sequence[RawDataset]) -> RawDataset:
        """The same with other data of its fields."""
        return parts[0]

    @property
    def accepted_settings(self) -> frozenset[str]:
        """The settings that a document may give for this field."""
        return frozenset()

    def with_settings(self, settings: Mapping[str, Any]) -> RawDataset:
        """The data with settings of the document for this field.

        Raises:
            DataError: it does not take one of them.
        """
        accepted = self.accepted_settings
        for setting in sorted(set(settings) - accepted):
            takes = f"it takes {', '.join(sorted(accepted))}" if accepted else "it takes none"
            raise DataError(f"The field {self.name[:80]!r} takes no {setting!r}; {takes}.")
        return replace(self, settings={**self.settings, **settings})

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        """The data with what a document does to all numbers and pixels, wherever its own settings say nothing else.

        Raises:
            DataError: it does not fit the data.
        """
        return self

    def with_any_size(self) -> RawDataset:
        """The data as one whose raw rows may come in any size, as those that people upload do."""
        return self

    @property
    def column_kinds(self) -> dict[str, str]:
        """The kind of each column for which a document may set something."""
        return {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing left to learn from."""
        return False

    def with_columns(self, ignored: Collection[str], settings: Mapping[str, dict[str, Any]]) -> RawDataset:
        """The data without some of its columns, and with settings for others."""
        return self

    def fit(self, rows: np.ndarray) -> Fitted:
        """The fitted state of this field, from the rows of the training split alone."""
        raise NotImplementedError

    def spec(self, encoder: FieldEncoder[Any]) -> FieldSpec:
        """The field as the network sees it."""
        return modality_of(encoder).spec(encoder, self.feature_names)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names along the last axis, where the data has names that nothing else holds."""
        return ()

    def stacked(self, other: RawDataset, rows: np.ndarray) -> RawDataset | None:
        """These rows of this field, then those of another of the same kind; None where both are not fitted together."""
        return None

    def shared(self, fitted: Fitted) -> Fitted:
        """The state of this field, where it was fitted together with another."""
        return {**fitted, "name": self.name}

    def fits(self, rows: np.ndarray) -> list[Fitted]:
        """The fitted state of each field; most data has one."""
        return [self.fit(rows)]

    def specs(self, encoders: Sequence[FieldEncoder[Any]]) -> tuple[FieldSpec, ...]:
        """The fields as the network sees them."""
        return tuple(map(self.spec, encoders))

    def encoded(self, fitted: Sequence[FieldEncoder[Any]], room: Room = in_memory) -> dict[str, np.ndarray]:
        """All rows of the fields for which this is faster than row by row, to the same bits, each in an array of zeros
        for which `room` is asked."""
        return {}

    def example(self, index: int, target: str) -> Example:
        """A row as people see it."""
        raise NotImplementedError

    def content(self) -> Iterable[bytes]:
        """The bytes that the fingerprint is made of."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for part in self.content():
            digest.update(part)
        for part in in_parts(self.target, np.int64 if self.target_type.is_per_pixel else None):  # held in bytes or not
            digest.update(part)
        return digest.hexdigest()
