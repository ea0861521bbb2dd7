"""Raw columns of numbers and categories."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.data.raw_dataset import Allocate, RawDataset, in_memory
from netloom.data.schema import Example
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.columns.category import Category
from netloom.modalities.columns.column_kind import TrainingColumn
from netloom.modalities.columns.date import Date
from netloom.modalities.columns.number import Number
from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.column_encoder import LabelEncoder
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.table_fields import TableState
from netloom.modalities.fields.modality import Modality
from netloom.modalities.fields.series import scale_of
from netloom.modalities.fields.table import TableModality
from netloom.modalities.labels import Labels

_AT_ONCE = 4_096
_HASHED = 65_536  # rows of a column that are hashed at once, as a whole column may not fit into memory


@dataclass
class Table(RawDataset):
    """Columns by name, each with R numbers or R categories. `settings` are by column.

    Attributes:
        numbers: Float columns (R,), NaN where a value is missing.
        categories: Text columns of length R.
        dates: For each number derived from a date, the date's column and the part, as in `date_part`.
        kinds: The kinds of columns other than numbers, parts of dates, and categories.
        written: The format of the cells of dates and of grouped numbers, as named in `modalities.encoding.coercion`.
    """

    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dates: dict[str, tuple[str, str]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)

    def row(self, index: int) -> RawRow:
        row: RawRow = {}
        for name, values in self.numbers.items():
            value = float(values[index])
            row[name] = None if math.isnan(value) else value
        return row | {name: values[index] for name, values in self.categories.items()}

    @property
    def modality(self) -> Modality[Any]:
        return TableModality()

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        scale = scale_of(prepare)
        # The settings of a date belong to its column, not to its parts
        columns = {self.dates.get(name, (name, ""))[0] for name in self.numbers}
        settings = {name: {"scale": scale, **self.settings.get(name, {})} for name in columns}
        return replace(self, settings={**self.settings, **settings})

    @property
    def column_kinds(self) -> dict[str, str]:
        return {name: self.kind_of(name) for name in (*self.numbers, *self.categories)}

    @property
    def is_empty(self) -> bool:
        return not self.numbers and not self.categories

    def with_columns(self, ignored: Collection[str], settings: Mapping[str, JsonObject]) -> RawDataset:
        return replace(
            self,
            numbers={name: values for name, values in self.numbers.items() if name not in ignored},
            categories={name: values for name, values in self.categories.items() if name not in ignored},
            settings={**self.settings, **settings},
        )

    def fit(self, rows: np.ndarray) -> TableState:
        columns = [self._column(name, values, rows) for name, values in self.numbers.items()]
        columns += [self._column(name, Labels.of(texts), rows) for name, texts in self.categories.items()]
        return TableModality().fit(self.name, columns, self.settings)

    def kind_of(self, name: str) -> str:
        """Return the kind of a column."""
        usual = Date if name in self.dates else Number if name in self.numbers else Category
        return self.kinds.get(name, usual.name)

    def _column(self, name: str, values: np.ndarray | Labels, rows: np.ndarray) -> tuple[str, TrainingColumn]:
        date = self.dates.get(name)
        source = date[0] if date else name
        column = TrainingColumn(name, values, rows, self.settings.get(source, {}), date, self.written.get(source, ""))
        return self.kind_of(name), column

    def encoded(self, fitted: Sequence[FieldEncoder[Any]], allocate: Allocate = in_memory) -> dict[str, np.ndarray]:
        encoder = fitted[0]
        if not self.modality.describes(encoder):
            return {}
        columns = encoder.columns
        array = allocate(self.name, (len(self), *encoder.shape), np.float32)
        labels = {name: Labels.of(texts) for name, texts in self.categories.items()}
        # Each distinct text is encoded once.
        tables = {
            column.name: column.table(list(labels[column.name].names))
            for column in columns
            if isinstance(column, LabelEncoder)
        }
        for start in range(0, len(self), _AT_ONCE):  # few enough rows to stay in the CPU cache
            rows, offset = slice(start, start + _AT_ONCE), 0
            for column in columns:
                part = array[rows, offset : offset + column.width]
                if isinstance(column, LabelEncoder):
                    column.fill(part, tables[column.name], labels[column.name].codes[rows])
                else:
                    part[:] = column.encode_array(self.numbers[column.name][rows])
                offset += part.shape[1]
        return {self.name: array}

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, columns=self.row(index))

    def content(self) -> Iterable[bytes]:
        for name, values in self.numbers.items():
            yield name.encode()
            for start in range(0, len(self), _HASHED):
                yield np.ascontiguousarray(values[start : start + _HASHED]).tobytes()
        for name, texts in self.categories.items():
            yield b"(" + repr(name).encode() + b", " + Labels.of(texts).written() + b")"
