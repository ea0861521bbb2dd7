"""Data as it was read, before preprocessing is fitted: the base of the classes in `netloom.data.raw`.

The modality of a field fits, encodes and explains it, see `netloom.modalities.fields`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Required, TypedDict

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.data.mask_values import MaskValues
from netloom.data.schema import TARGET_TYPES, Example, TargetKind, TargetSpec, TargetType
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.field_encoder import FieldEncoder, FieldState
from netloom.modalities.field_spec import FieldSpec
from netloom.modalities.fields.modality import Modality
from netloom.modalities.fields.registry import modality_of

_BYTES_AT_ONCE = 2**24
Allocate = Callable[[str, Sequence[int], Any], np.ndarray]


def in_parts(values: np.ndarray, dtype: Any = None) -> Iterator[bytes]:
    """Return the bytes of rows in parts, as all of them may not fit into memory; `dtype` converts the numbers."""
    count = max(1, _BYTES_AT_ONCE * len(values) // max(1, values.nbytes))
    return (
        np.ascontiguousarray(values[start : start + count], dtype).tobytes() for start in range(0, len(values), count)
    )


def in_memory(name: str, shape: Sequence[int], dtype: Any) -> np.ndarray:
    """Return an array of zeros for a field."""
    return np.zeros(tuple(shape), dtype)


class RawTarget(TypedDict, total=False):
    """The target of raw rows, as keyword arguments of `RawDataset`."""

    target: Required[np.ndarray]
    target_kind: Required[TargetKind]
    target_name: str
    classes: tuple[str, ...]
    target_parts: tuple[TargetSpec, ...]
    mask_values: MaskValues | None


class RowRoles(TypedDict, total=False):
    """The roles of rows, (R,) each, besides fields and target, as keyword arguments of `RawDataset`."""

    groups: np.ndarray
    times: np.ndarray
    given: np.ndarray
    weights: np.ndarray


class RowFields(RawTarget, RowRoles):
    """The target and the roles, which all fields of the same rows share."""


@dataclass
class RawDataset:
    """Rows and their targets.

    Attributes:
        contiguous: Whether the split follows the order of the rows, because neighboring rows resemble each other.
        gap: The number of rows to omit between the parts of such a split, because rows overlap.
        reach_back: How many of the `gap` rows before a later part may remain, because only their input overlaps.
        masks: (R, H, W), the object that determines the label, where it is known.
        groups: (R,); rows of the same group are never in two parts of the split.
        times: (R,), the times by which rows are ordered.
        given: (R,), the predefined part of each row: 0 training, 1 validation, 2 test, -1 none.
        stratifies_given: Whether a part that `given` lacks is drawn from the training rows by class. In uploads of
            earlier versions it is not, so that the rows of their runs stay the same.
        weights: (R,), the weights of rows in the loss.
        settings: The document's settings for this field.
        target_parts: The target of each column of `target` (R, columns), if there are several targets.
        mask_values: The value of each class in the files of masks, where it is known.
        large: Whether the data stays in files.
        folder: The folder of an upload.
        identity: A hash that identifies what was read from the folder.
    """

    name: str
    target: np.ndarray
    target_kind: TargetKind
    target_name: str = "target"
    classes: tuple[str, ...] = ()
    contiguous: bool = False
    gap: int = 0
    reach_back: int = 0
    warnings: list[str] = field(default_factory=list)
    masks: np.ndarray | None = None
    groups: np.ndarray | None = None
    times: np.ndarray | None = None
    given: np.ndarray | None = None
    stratifies_given: bool = False
    weights: np.ndarray | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    target_parts: tuple[TargetSpec, ...] = ()
    mask_values: MaskValues | None = None
    large: bool = False
    folder: Path | None = None
    identity: str = ""

    def __len__(self) -> int:
        return len(self.target)

    @property
    def target_type(self) -> TargetType:
        """The properties of this kind of target."""
        return TARGET_TYPES[self.target_kind]

    @property
    def has_dependent_rows(self) -> bool:
        """Whether rows depend on each other, as neighbors in time and members of a group do, so that they tell less
        than as many independent rows."""
        return self.groups is not None or self.times is not None or self.contiguous

    def row(self, index: int) -> RawRow:
        """Return a raw row, the input of `encode`."""
        raise NotImplementedError

    def rows(self, start: int, stop: int) -> list[RawRow]:
        """Return the raw rows from `start` to `stop`."""
        return [self.row(index) for index in range(start, stop)]

    @property
    def modality(self) -> Modality[Any]:
        """The modality of the field, with the settings of the document."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[RawDataset, ...]:
        """The data of each field."""
        return (self,)

    def with_parts(self, parts: Sequence[RawDataset]) -> RawDataset:
        """Return a copy with other data of its fields."""
        return parts[0]

    @property
    def accepted_settings(self) -> frozenset[str]:
        """The settings of this field that a document can set."""
        return frozenset()

    def with_settings(self, settings: Mapping[str, Any]) -> RawDataset:
        """Return a copy with settings of the document for this field.

        Raises:
            DataError: the field does not support one of them.
        """
        accepted = self.accepted_settings
        for setting in sorted(set(settings) - accepted):
            takes = f"it takes {', '.join(sorted(accepted))}" if accepted else "it takes none"
            raise DataError(f"The field {self.name[:80]!r} takes no {setting!r}; {takes}.")
        return replace(self, settings={**self.settings, **settings})

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        """Return a copy with the document's default preprocessing; the settings of the field take precedence.

        Raises:
            DataError: the preprocessing does not fit the data.
        """
        return self

    def with_any_size(self) -> RawDataset:
        """Return a copy whose raw rows can have any size, as uploaded ones do."""
        return self

    @property
    def column_kinds(self) -> dict[str, str]:
        """The kinds of the columns for which a document can have settings."""
        return {}

    @property
    def is_empty(self) -> bool:
        """Whether no input is left."""
        return False

    def with_columns(self, ignored: Collection[str], settings: Mapping[str, JsonObject]) -> RawDataset:
        """Return a copy without the `ignored` columns, and with settings for others."""
        return self

    def fit(self, rows: np.ndarray) -> FieldState:
        """Return the fitted state of this field. `rows` are the indices of the training rows."""
        raise NotImplementedError

    def spec(self, encoder: FieldEncoder[Any]) -> FieldSpec:
        """Return the description of the field that the network uses."""
        return modality_of(encoder).spec(encoder, self.feature_names)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names along the last axis that are not part of the fitted state."""
        return ()

    def stacked(self, appended: RawDataset, rows: np.ndarray) -> RawDataset | None:
        """Return these rows of this field followed by those of another; None if the two are not fitted together."""
        return None

    def shared(self, fitted: FieldState) -> FieldState:
        """Return the state of this field from the state that was fitted on two fields together."""
        return replace(fitted, name=self.name)

    def fits(self, rows: np.ndarray) -> list[FieldState]:
        """Return the fitted state of each field; most data has a single one."""
        return [self.fit(rows)]

    def specs(self, encoders: Sequence[FieldEncoder[Any]]) -> tuple[FieldSpec, ...]:
        """Return the descriptions of the fields that the network uses."""
        return tuple(map(self.spec, encoders))

    def encoded(self, fitted: Sequence[FieldEncoder[Any]], allocate: Allocate = in_memory) -> dict[str, np.ndarray]:
        """Return all encoded rows of the fields for which this is faster than row by row, with bitwise equal results.

        `allocate` returns an array of zeros for a field, with the given shape and type.
        """
        return {}

    def example(self, index: int, target: str) -> Example:
        """Return a row for display."""
        raise NotImplementedError

    def content(self) -> Iterable[bytes]:
        """Return the bytes, in parts, from which the fingerprint is computed."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for part in self.content():
            digest.update(part)
        # Masks are stored as bytes or not; their fingerprint is the same.
        for part in in_parts(self.target, np.int64 if self.target_type.is_per_pixel else None):
            digest.update(part)
        return digest.hexdigest()
