"""Data of several fields, such as a user and an item, or an image and a table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.data.raw.texts import Texts
from netloom.data.raw_dataset import Allocate, RawDataset, in_memory
from netloom.data.schema import Example
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.columns.category import Category
from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.field_encoder import FieldEncoder, FieldState
from netloom.modalities.encoding.series_fields import SeriesState
from netloom.modalities.encoding.table_fields import CategoriesEncoder, CategoriesState
from netloom.modalities.field_spec import FieldSpec
from netloom.modalities.fields.categories import CategoriesModality, TrainingCategories
from netloom.modalities.fields.modality import Modality
from netloom.modalities.fields.series import SeriesModality
from netloom.modalities.labels import Labels


@dataclass
class Categories(RawDataset):
    """Columns of categories, R texts each, encoded as indices (R, F) for embeddings; 0 represents unknown ones.
    `settings` are by column."""

    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def row(self, index: int) -> RawRow:
        return {name: values[index] for name, values in self.columns.items()}

    @property
    def modality(self) -> Modality[Any]:
        return CategoriesModality()

    @property
    def column_kinds(self) -> dict[str, str]:
        return dict.fromkeys(self.columns, Category.name)

    @property
    def is_empty(self) -> bool:
        return not self.columns

    def with_columns(self, ignored: Collection[str], settings: Mapping[str, JsonObject]) -> RawDataset:
        columns = {name: values for name, values in self.columns.items() if name not in ignored}
        return replace(self, columns=columns, settings={**self.settings, **settings})

    def fit(self, rows: np.ndarray) -> CategoriesState:
        columns = {name: Labels.of(values) for name, values in self.columns.items()}
        return CategoriesModality().fit(self.name, TrainingCategories(columns, rows), self.settings)

    def encoded(self, fitted: Sequence[FieldEncoder[Any]], allocate: Allocate = in_memory) -> dict[str, np.ndarray]:
        encoder = fitted[0]
        if not isinstance(encoder, CategoriesEncoder):
            return {}
        numbers = allocate(self.name, (len(self), *encoder.shape), np.int64)
        for column_index, column in enumerate(encoder.categories):
            labels = Labels.of(self.columns[column.name])
            numbers[:, column_index] = column.numbers(list(labels.names))[labels.codes]
        return {self.name: numbers}

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, columns=self.row(index))

    def content(self) -> Iterable[bytes]:
        for name, values in self.columns.items():
            yield b"(" + repr(name).encode() + b", " + Labels.of(values).written() + b")"


@dataclass
class Matrices(RawDataset):
    """Arrays (R, V, D) that are used without preprocessing, such as adjacency matrices; `words` describe each row for
    display."""

    values: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1)))
    words: tuple[str, ...] = ()

    def row(self, index: int) -> RawRow:
        return {self.name: self.values[index]}

    @property
    def modality(self) -> Modality[Any]:
        return SeriesModality()

    def fit(self, rows: np.ndarray) -> SeriesState:
        return SeriesModality().unscaled(self.name, self.values.shape[1:])

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, columns={self.name: self.words[index]})

    def content(self) -> list[bytes]:
        return [np.ascontiguousarray(self.values).tobytes()]


@dataclass
class MultiFieldDataset(RawDataset):
    """Several fields with aligned rows. The targets of the single fields are ignored."""

    parts: tuple[RawDataset, ...] = ()

    def row(self, index: int) -> RawRow:
        return self.rows(index, index + 1)[0]

    def rows(self, start: int, stop: int) -> list[RawRow]:
        parts = [part.rows(start, stop) for part in self.parts]
        return [{name: value for part in row for name, value in part.items()} for row in zip(*parts, strict=True)]

    def with_parts(self, parts: Sequence[RawDataset]) -> RawDataset:
        return replace(self, parts=tuple(parts))

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        return self.with_parts([part.with_preparation(prepare) for part in self.parts])

    def with_any_size(self) -> RawDataset:
        return self.with_parts([part.with_any_size() for part in self.parts])

    def fits(self, rows: np.ndarray) -> list[FieldState]:
        return [part.fit(rows) for part in self.parts]

    def specs(self, encoders: Sequence[FieldEncoder[Any]]) -> tuple[FieldSpec, ...]:
        return tuple(part.spec(encoder) for part, encoder in zip(self.parts, encoders, strict=True))

    def encoded(self, fitted: Sequence[FieldEncoder[Any]], allocate: Allocate = in_memory) -> dict[str, np.ndarray]:
        arrays: dict[str, np.ndarray] = {}
        for part, encoder in zip(self.parts, fitted, strict=True):
            arrays |= part.encoded([encoder], allocate)
        return arrays

    def example(self, index: int, target: str) -> Example:
        examples = [part.example(index, target) for part in self.parts]
        first, *other_examples = examples
        columns = dict(first.columns)
        for example in other_examples:
            columns |= example.columns
            if example.image is not None:
                first = replace(first, image=example.image if first.image is None else first.image)
            if example.series is not None:
                first = replace(first, series=example.series)
            if example.text:
                first = replace(first, text=example.text, tokens=example.tokens)
        images = {
            part.name: example.image
            for part, example in zip(self.parts, examples, strict=True)
            if example.image is not None
        }
        texts = {part.name: part.texts[index] for part in self.parts if isinstance(part, Texts)}
        if len(texts) > 1:  # no single one can represent them
            first, columns = replace(first, text="", tokens=()), columns | texts
        return replace(first, columns=columns, images=images)

    def content(self) -> Iterable[bytes]:
        return (piece for part in self.parts for piece in part.content())
