"""Data of several fields, such as a user and an item, or a picture and a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from netloom.data.raw_dataset import Fitted, RawDataset, Room, Texts, in_memory
from netloom.data.schema import Example
from netloom.modalities.columns.category import category_reading, frequent
from netloom.modalities.encoding.category_column import CategoryEncoder
from netloom.modalities.field_spec import FieldSpec
from netloom.modalities.labels import Labels

VALUES_LIMIT = 100_000


@dataclass
class Categories(RawDataset):
    """Columns of categories, each R texts, that become whole numbers (R, F) for embeddings; 0 is for all others.
    `settings` are by column."""

    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def row(self, index: int) -> dict[str, Any]:
        return {name: values[index] for name, values in self.columns.items()}

    def fit(self, rows: np.ndarray) -> Fitted:
        columns = []
        for name, values in self.columns.items():
            labels = Labels.of(values)
            reading = category_reading(labels, rows, self.settings.get(name, {}))
            columns.append({"name": name, "values": frequent(labels, rows, reading, VALUES_LIMIT), **reading})
        return {"name": self.name, "encoding": "categories", "columns": columns}

    def spec(self, fitted: Fitted) -> FieldSpec:
        names = tuple(column["name"] for column in fitted["columns"])
        largest = max(len(column["values"]) + 1 for column in fitted["columns"])
        return FieldSpec(self.name, "tokens", (len(names),), vocabulary=max(2, largest), columns=names)

    def encoded(self, fitted: list[Fitted], room: Room = in_memory) -> dict[str, np.ndarray]:
        found = room(self.name, (len(self), len(self.columns)), np.int64)
        for place, column in enumerate(fitted[0]["columns"]):
            labels = Labels.of(self.columns[column["name"]])
            found[:, place] = CategoryEncoder(column).numbers(list(labels.names))[labels.codes]
        return {self.name: found}

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, columns=self.row(index))

    def content(self) -> Iterable[bytes]:
        for name, values in self.columns.items():
            yield b"(" + repr(name).encode() + b", " + Labels.of(values).written() + b")"


@dataclass
class Matrices(RawDataset):
    """Tables of numbers (R, V, D) that are taken as they are, such as adjacencies; `words` show each row to people."""

    values: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1)))
    words: tuple[str, ...] = ()

    def row(self, index: int) -> dict[str, Any]:
        return {self.name: self.values[index]}

    def fit(self, rows: np.ndarray) -> Fitted:
        shape = list(self.values.shape[1:])
        return {"name": self.name, "encoding": "series", "shape": shape, "mean": 0.0, "std": 1.0}

    def spec(self, fitted: Fitted) -> FieldSpec:
        return FieldSpec(self.name, "sequence", tuple(fitted["shape"]))

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, columns={self.name: self.words[index]})

    def content(self) -> list[bytes]:
        return [np.ascontiguousarray(self.values).tobytes()]


@dataclass
class Several(RawDataset):
    """Fields side by side: row r of each belongs together. Their own targets are not read."""

    parts: tuple[RawDataset, ...] = ()

    def row(self, index: int) -> dict[str, Any]:
        return self.rows(index, index + 1)[0]

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        parts = [part.rows(start, stop) for part in self.parts]
        return [{name: value for part in row for name, value in part.items()} for row in zip(*parts, strict=True)]

    def fits(self, rows: np.ndarray) -> list[Fitted]:
        return [part.fit(rows) for part in self.parts]

    def specs(self, fitted: list[Fitted]) -> tuple[FieldSpec, ...]:
        return tuple(part.spec(one) for part, one in zip(self.parts, fitted, strict=True))

    def encoded(self, fitted: list[Fitted], room: Room = in_memory) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for part, one in zip(self.parts, fitted, strict=True):
            found |= part.encoded([one], room)
        return found

    def example(self, index: int, target: str) -> Example:
        shown = [part.example(index, target) for part in self.parts]
        first, *others = shown
        columns = dict(first.columns)
        for other in others:
            columns |= other.columns
            if other.image is not None:
                first = replace(first, image=other.image if first.image is None else first.image)
            if other.series is not None:
                first = replace(first, series=other.series)
            if other.text:
                first = replace(first, text=other.text, tokens=other.tokens)
        images = {part.name: one.image for part, one in zip(self.parts, shown, strict=True) if one.image is not None}
        texts = {part.name: part.texts[index] for part in self.parts if isinstance(part, Texts)}
        if len(texts) > 1:  # none of them speaks for the others
            first, columns = replace(first, text="", tokens=()), columns | texts
        return replace(first, columns=columns, images=images)

    def content(self) -> Iterable[bytes]:
        return (piece for part in self.parts for piece in part.content())
