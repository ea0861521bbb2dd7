"""Data of several fields, such as a user and an item, or a picture and a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from builder.data.raw import Fitted, Raw
from builder.data.schema import Example, FieldSpec

VALUES_LIMIT = 100_000


@dataclass
class Categories(Raw):
    """Columns of categories, each R texts, that become whole numbers (R, F) for embeddings; 0 is for all others."""

    columns: dict[str, list[str]] = field(default_factory=dict)

    def row(self, index: int) -> dict[str, Any]:
        return {name: values[index] for name, values in self.columns.items()}

    def fit(self, rows: np.ndarray) -> Fitted:
        columns = []
        for name, values in self.columns.items():
            counts = Counter(values[index] for index in rows.tolist())
            common = [value for value, _ in counts.most_common(VALUES_LIMIT)]
            columns.append({"name": name, "values": sorted(common)})
        return {"name": self.name, "encoding": "categories", "columns": columns}

    def spec(self, fitted: Fitted) -> FieldSpec:
        names = tuple(column["name"] for column in fitted["columns"])
        largest = max(len(column["values"]) + 1 for column in fitted["columns"])
        return FieldSpec(self.name, "tokens", (len(names),), vocabulary=max(2, largest), columns=names)

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, columns=self.row(index))

    def content(self) -> list[bytes]:
        return [repr(item).encode() for item in self.columns.items()]


@dataclass
class Matrices(Raw):
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
class Several(Raw):
    """Fields side by side: row r of each belongs together. Their own targets are not read."""

    parts: tuple[Raw, ...] = ()

    def row(self, index: int) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for part in self.parts:
            row |= part.row(index)
        return row

    def fits(self, rows: np.ndarray) -> list[Fitted]:
        return [part.fit(rows) for part in self.parts]

    def specs(self, fitted: list[Fitted]) -> tuple[FieldSpec, ...]:
        return tuple(part.spec(one) for part, one in zip(self.parts, fitted, strict=True))

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
        return replace(first, columns=columns, images=images)

    def content(self) -> list[bytes]:
        return [piece for part in self.parts for piece in part.content()]
