"""Data as it was read, before anything was fitted: one class per kind, each of which knows its own preprocessing.

`fit` looks at the rows of the training split alone and returns what `builder.data.encode` needs, as plain JSON.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from builder.data.encode import IGNORE, words
from builder.data.schema import Example, FieldSpec, TargetKind

Fitted = dict[str, Any]
VOCABULARY_LIMIT = 20_000
CATEGORY_LIMIT = 50
LENGTH_LIMIT = 256
_CHUNK = 256


@dataclass
class Raw:
    """Rows and their targets. `contiguous` rows are split by their order, as neighbours resemble each other; `gap` rows
    are left out between splits, as they overlap. Rows of one of the `groups`, where these are given, are never in two
    parts of the split."""

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

    def __len__(self) -> int:
        return len(self.target)

    def row(self, index: int) -> dict[str, Any]:
        """A raw row, as `encode` takes it."""
        raise NotImplementedError

    def fit(self, rows: np.ndarray) -> Fitted:
        """The preprocessing of this field, from the rows of the training split alone."""
        raise NotImplementedError

    def spec(self, fitted: Fitted) -> FieldSpec:
        """The field as the network sees it."""
        raise NotImplementedError

    def fits(self, rows: np.ndarray) -> list[Fitted]:
        """The preprocessing of each field; most data has one."""
        return [self.fit(rows)]

    def specs(self, fitted: list[Fitted]) -> tuple[FieldSpec, ...]:
        """The fields as the network sees them."""
        return tuple(map(self.spec, fitted))

    def example(self, index: int, target: str) -> Example:
        """A row as people see it."""
        raise NotImplementedError

    def content(self) -> list[bytes]:
        """The bytes that the fingerprint is made of."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for part in (*self.content(), np.ascontiguousarray(self.target).tobytes()):
            digest.update(part)
        return digest.hexdigest()


@dataclass
class Images(Raw):
    """Pictures (R, C, H, W) whose pixels go from 0 to `top`."""

    pixels: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1, 1)))
    top: float = 255.0

    def row(self, index: int) -> dict[str, Any]:
        return {self.name: self.pixels[index]}

    def fit(self, rows: np.ndarray) -> Fitted:
        mean, std = _moments(self.pixels, rows)
        return {
            "name": self.name,
            "encoding": "image",
            "shape": list(self.pixels.shape[1:]),
            "scale": 1 / self.top,
            "mean": mean / self.top,
            "std": _divisor(std / self.top, 1.0),
        }

    def spec(self, fitted: Fitted) -> FieldSpec:
        return FieldSpec(self.name, "image", tuple(fitted["shape"]))

    def example(self, index: int, target: str) -> Example:
        picture = self.pixels[index].astype(np.float64) / self.top
        mask = self.target[index] if self.target_kind == "mask" else None
        return Example(index, target, image=picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0), mask=mask)

    def content(self) -> list[bytes]:
        return [np.ascontiguousarray(self.pixels).tobytes()]


@dataclass
class Table(Raw):
    """Columns by name, each R numbers (not a number where missing) or R categories. `dates` tells of numbers that were
    made from a date: its column, and the part of it, as `builder.data.encode.date_part` knows it."""

    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    categories: dict[str, list[str]] = field(default_factory=dict)
    dates: dict[str, tuple[str, str]] = field(default_factory=dict)

    def row(self, index: int) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name, values in self.numbers.items():
            value = float(values[index])
            row[name] = None if math.isnan(value) else value
        return row | {name: values[index] for name, values in self.categories.items()}

    def fit(self, rows: np.ndarray) -> Fitted:
        columns = [_fit_number(name, values[rows]) for name, values in self.numbers.items()]
        for column in columns:
            if column["name"] in self.dates:
                column["date"], column["part"] = self.dates[column["name"]]
        for name, values in self.categories.items():
            counts = Counter(values[index] for index in rows.tolist())
            common = [value for value, _ in counts.most_common(CATEGORY_LIMIT)]
            columns.append({"name": name, "type": "category", "values": sorted(common)})
        return {"name": self.name, "encoding": "table", "columns": columns}

    def spec(self, fitted: Fitted) -> FieldSpec:
        names: list[str] = []
        for column in fitted["columns"]:
            if column["type"] == "number":
                names.append(column["name"])
            else:
                names += [f"{column['name']} = {value}" for value in (*column["values"], "(other)")]
        return FieldSpec(self.name, "vector", (len(names),), columns=tuple(names))

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, columns=self.row(index))

    def content(self) -> list[bytes]:
        parts = [name.encode() + np.ascontiguousarray(values).tobytes() for name, values in self.numbers.items()]
        return parts + [repr((name, values)).encode() for name, values in self.categories.items()]


@dataclass
class Texts(Raw):
    """Texts that become words."""

    texts: Sequence[str] = ()

    def row(self, index: int) -> dict[str, Any]:
        return {self.name: self.texts[index]}

    def fit(self, rows: np.ndarray) -> Fitted:
        split = [words(self.texts[index]) for index in rows.tolist()]
        counts = Counter(word for text in split for word in text)
        common = sorted(counts, key=lambda word: (-counts[word], word))[: VOCABULARY_LIMIT - 2]
        length = int(np.quantile([len(text) for text in split], 0.98)) if split else 1
        return {
            "name": self.name,
            "encoding": "words",
            "vocabulary": ["", "�", *common],
            "length": max(1, min(length, LENGTH_LIMIT)),
        }

    def spec(self, fitted: Fitted) -> FieldSpec:
        return FieldSpec(self.name, "tokens", (fitted["length"],), vocabulary=len(fitted["vocabulary"]))

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, text=self.texts[index], tokens=tuple(words(self.texts[index])))

    def content(self) -> list[bytes]:
        return [repr(list(self.texts)).encode()]


@dataclass
class TaggedTexts(Texts):
    """Texts with a tag for each of their words, as `words` parts them."""

    tags: Sequence[Sequence[str]] = ()
    tag_names: tuple[str, ...] = ()

    def tagged(self, length: int) -> np.ndarray:
        """The number of each word's tag (R, length); `IGNORE` where there is no word."""
        places = {name: place for place, name in enumerate(self.tag_names)}
        found = np.full((len(self.texts), length), IGNORE, dtype=np.int64)
        for row, tags in enumerate(self.tags):
            kept = tags[:length]
            found[row, : len(kept)] = [places[tag] for tag in kept]
        return found

    def example(self, index: int, target: str) -> Example:
        shown = super().example(index, target)
        return replace(shown, tags=tuple(self.tags[index]))

    def content(self) -> list[bytes]:
        return [*super().content(), repr([list(tags) for tags in self.tags]).encode()]


@dataclass
class Characters(Raw):
    """One long text, cut into blocks of `length` characters; each character's target is the one that follows it."""

    text: str = ""
    length: int = 64

    def row(self, index: int) -> dict[str, Any]:
        start = index * self.length
        return {self.name: self.text[start : start + self.length]}

    def fit(self, rows: np.ndarray) -> Fitted:
        letters = Counter("".join(self.row(index)[self.name] for index in rows.tolist()))
        return {
            "name": self.name,
            "encoding": "characters",
            "vocabulary": ["", "�", *sorted(letters)],
            "length": self.length,
        }

    def spec(self, fitted: Fitted) -> FieldSpec:
        return FieldSpec(self.name, "tokens", (self.length,), vocabulary=len(fitted["vocabulary"]))

    def example(self, index: int, target: str) -> Example:
        text = self.row(index)[self.name]
        return Example(index, target, text=text, tokens=tuple(text))

    def content(self) -> list[bytes]:
        return [self.text.encode(), str(self.length).encode()]

    def following(self, index: int) -> str:
        """The block's targets: its text, one character further on."""
        start = index * self.length + 1
        return self.text[start : start + self.length]


@dataclass
class Series(Raw):
    """Windows (R, T, D) of a series."""

    windows: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1)))
    channels: tuple[str, ...] = ("value",)

    def row(self, index: int) -> dict[str, Any]:
        return {self.name: self.windows[index]}

    def fit(self, rows: np.ndarray) -> Fitted:
        values = self.windows[rows].reshape(-1, self.windows.shape[2])
        return {
            "name": self.name,
            "encoding": "series",
            "shape": list(self.windows.shape[1:]),
            "mean": values.mean(0).tolist(),
            "std": [_divisor(float(one.std()), float(abs(one).max())) for one in values.T],
        }

    def spec(self, fitted: Fitted) -> FieldSpec:
        return FieldSpec(self.name, "sequence", tuple(fitted["shape"]), columns=self.channels)

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, series=self.windows[index])

    def content(self) -> list[bytes]:
        return [np.ascontiguousarray(self.windows).tobytes()]


def _fit_number(name: str, values: np.ndarray) -> Fitted:
    known = values[~np.isnan(values)]
    if not len(known):
        return {"name": name, "type": "number", "median": 0.0, "mean": 0.0, "std": 1.0}
    median = float(np.median(known))
    filled = np.where(np.isnan(values), median, values)
    return {
        "name": name,
        "type": "number",
        "median": median,
        "mean": float(filled.mean()),
        "std": _divisor(float(filled.std()), float(abs(filled).max())),
    }


def _divisor(std: float, largest: float) -> float:
    """The standard deviation, or one where it is nothing but the rounding of equal values."""
    return std if std > 10 * np.finfo(np.float64).eps * largest else 1.0


def _moments(pixels: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of some pictures, a part at a time, as all of them in float64 may not fit."""
    parts = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    count = len(rows) * int(np.prod(pixels.shape[1:]))
    mean = sum(float(pixels[part].sum(dtype=np.float64)) for part in parts) / count
    square = sum(float(((pixels[part].astype(np.float64) - mean) ** 2).sum()) for part in parts) / count
    return mean, math.sqrt(square)
