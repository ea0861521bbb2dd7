"""Data as it was read, before anything was fitted: one class per kind, each of which knows its own preprocessing.

`fit` looks at the rows of the training split alone and returns what `modalities.encoding` needs, as plain JSON.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from netloom.data.preparation.fitting import Fitted as Fitted
from netloom.data.preparation.fitting import fit_pixels, fit_text, fit_windows
from netloom.data.preparation.spectrogram import LOG_MEL, band_names, fit_log_mel, log_mel_of
from netloom.data.schema import TARGET_TYPES, Example, TargetKind, TargetSpec, TargetType
from netloom.modalities.columns.category import Category
from netloom.modalities.columns.column_kind import TrainingColumn
from netloom.modalities.columns.date import Date
from netloom.modalities.columns.number import Number
from netloom.modalities.columns.registry import column_kind
from netloom.modalities.columns.text import LENGTH_LIMIT
from netloom.modalities.encoding.column_encoder import LabelEncoder, column_encoder
from netloom.modalities.encoding.tags import IGNORE
from netloom.modalities.encoding.tokenization import words
from netloom.modalities.field_spec import FieldSpec
from netloom.modalities.labels import Labels

_AT_ONCE, _PICTURES_AT_ONCE = 4_096, 64
_BYTES_AT_ONCE = 2**24
_HASHED = 65_536  # rows of a column that are hashed at once, as a whole column may not fit
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

    def encoded(self, fitted: list[Fitted], room: Room = in_memory) -> dict[str, np.ndarray]:
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


@dataclass
class Images(RawDataset):
    """Pictures (R, C, H, W) whose pixels go from 0 to `top`. Where they were `resized`, so are those that are predicted
    for."""

    pixels: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1, 1)))
    top: float = 255.0
    resized: bool = False

    def row(self, index: int) -> dict[str, Any]:
        return {self.name: self.pixels[index]}

    def fit(self, rows: np.ndarray) -> Fitted:
        return {
            "name": self.name,
            "encoding": "image",
            "shape": list(self.pixels.shape[1:]),
            **fit_pixels(self.pixels, rows, self.top, self.settings),
            **({"resized": True} if self.resized else {}),
        }

    def spec(self, fitted: Fitted) -> FieldSpec:
        return FieldSpec(self.name, "image", tuple(fitted["shape"]))

    def encoded(self, fitted: list[Fitted], room: Room = in_memory) -> dict[str, np.ndarray]:
        chosen = fitted[0]
        if tuple(chosen.get("shape", ())) != self.pixels.shape[1:]:
            return {}
        found = room(self.name, self.pixels.shape, np.float32)
        scale, mean, std = (np.float32(chosen[name]) for name in ("scale", "mean", "std"))
        for start in range(0, len(self), _PICTURES_AT_ONCE):  # so few that they stay in the processor's cache
            part = found[start : start + _PICTURES_AT_ONCE]
            np.copyto(part, self.pixels[start : start + _PICTURES_AT_ONCE], casting="unsafe")
            if self.pixels.dtype.kind == "f" and not np.isfinite(part).all():
                return {}  # row by row it is told which
            part *= scale
            part -= mean
            part /= std
        return {self.name: found}

    def example(self, index: int, target: str) -> Example:
        picture = self.pixels[index].astype(np.float64) / self.top
        mask = self.target[index] if self.target_type.is_per_pixel else None
        return Example(index, target, image=picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0), mask=mask)

    def content(self) -> Iterable[bytes]:
        return in_parts(self.pixels)


@dataclass
class Table(RawDataset):
    """Columns by name, each R numbers (NaN where one is missing) or R categories.

    `dates` names the numbers that were made from a date: its column, and the part of it, as `date_part` has it. `kinds`
    are those of columns that are neither plain numbers, parts of dates nor categories. `written` is how the cells of
    dates and of grouped numbers were written, as `modalities.encoding.coercion` names it. `settings` are by column."""

    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dates: dict[str, tuple[str, str]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)

    def row(self, index: int) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name, values in self.numbers.items():
            value = float(values[index])
            row[name] = None if math.isnan(value) else value
        return row | {name: values[index] for name, values in self.categories.items()}

    def fit(self, rows: np.ndarray) -> Fitted:
        columns = [self._fitted(name, values, rows) for name, values in self.numbers.items()]
        columns += [self._fitted(name, Labels.of(texts), rows) for name, texts in self.categories.items()]
        return {"name": self.name, "encoding": "table", "columns": columns}

    def kind_of(self, name: str) -> str:
        """The kind of a column."""
        usual = Date if name in self.dates else Number if name in self.numbers else Category
        return self.kinds.get(name, usual.name)

    def _fitted(self, name: str, values: np.ndarray | Labels, rows: np.ndarray) -> Fitted:
        date = self.dates.get(name)
        source = date[0] if date else name
        column = TrainingColumn(name, values, rows, self.settings.get(source, {}), date, self.written.get(source, ""))
        return column_kind(self.kind_of(name)).fit(column)

    def spec(self, fitted: Fitted) -> FieldSpec:
        names = [name for column in fitted["columns"] for name in column_encoder(column).feature_names]
        return FieldSpec(self.name, "vector", (len(names),), columns=tuple(names))

    def encoded(self, fitted: list[Fitted], room: Room = in_memory) -> dict[str, np.ndarray]:
        if fitted[0]["encoding"] != "table":
            return {}
        columns = [column_encoder(column) for column in fitted[0]["columns"]]
        array = room(self.name, (len(self), sum(column.width for column in columns)), np.float32)
        labels = {name: Labels.of(texts) for name, texts in self.categories.items()}
        # Each distinct text is encoded once.
        tables = {
            column.name: column.table(list(labels[column.name].names))
            for column in columns
            if isinstance(column, LabelEncoder)
        }
        for start in range(0, len(self), _AT_ONCE):  # so few rows that they stay in the processor's cache
            rows, place = slice(start, start + _AT_ONCE), 0
            for column in columns:
                part = array[rows, place : place + column.width]
                if isinstance(column, LabelEncoder):
                    column.fill(part, tables[column.name], labels[column.name].codes[rows])
                else:
                    part[:] = column.encode_array(self.numbers[column.name][rows])
                place += part.shape[1]
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


@dataclass
class Texts(RawDataset):
    """Texts that become words, or other tokens where `settings` say so; or from a table's `column`."""

    texts: Sequence[str] = ()
    column: str = ""

    def row(self, index: int) -> dict[str, Any]:
        return self.rows(index, index + 1)[0]

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        return [{self.name: text} for text in self.texts[start:stop]]  # from a file, one by one take long

    def fit(self, rows: np.ndarray) -> Fitted:
        # Texts in a file are taken in its order, to which nothing that is fitted pays heed.
        chosen = self.texts.at(rows) if hasattr(self.texts, "at") else [self.texts[index] for index in rows.tolist()]
        found = fit_text(chosen, self.settings)
        return {"name": self.name, **found, **({"column": self.column} if self.column else {})}

    def spec(self, fitted: Fitted) -> FieldSpec:
        return FieldSpec(self.name, "tokens", (fitted["length"],), vocabulary=len(fitted["vocabulary"]))

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, text=self.texts[index], tokens=tuple(words(self.texts[index])))

    def content(self) -> Iterable[bytes]:
        yield b"["
        for start in range(0, len(self.texts), _AT_ONCE):  # as `repr` writes a list
            part = ", ".join(map(repr, self.texts[start : start + _AT_ONCE]))
            yield (", " if start else "").encode() + part.encode()
        yield b"]"


@dataclass
class TaggedTexts(Texts):
    """Texts with a tag for each of their words: as they come `parted`, or else as `words` parts them."""

    tags: Sequence[Sequence[str]] = ()
    tag_names: tuple[str, ...] = ()
    parted: Sequence[list[str]] = ()

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        return [{self.name: parts} for parts in self.parted[start:stop]] if self.parted else super().rows(start, stop)

    def fit(self, rows: np.ndarray) -> Fitted:
        if not self.parted:
            return super().fit(rows)
        # A tag is asked for each word, wherever its sentence is, so that none is cut.
        length = min(max(map(len, self.parted)), LENGTH_LIMIT)
        fitted = fit_text([self.parted[row] for row in rows.tolist()], {"length": length})
        return {"name": self.name, **fitted, "parted": True}

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
        told = words(self.parted[index]) if self.parted else shown.tokens
        return replace(shown, tokens=tuple(told), tags=tuple(self.tags[index]))

    def content(self) -> list[bytes]:
        parted = [repr(list(self.parted)).encode()] if self.parted else []
        return [*super().content(), *parted, repr([list(tags) for tags in self.tags]).encode()]


@dataclass
class Characters(RawDataset):
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
class Series(RawDataset):
    """Windows (R, T, D) of a series. Sounds (R, L, 1) have a `rate`, their samples a second; all else has 0."""

    windows: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1)))
    channels: tuple[str, ...] = ("value",)
    rate: int = 0

    def row(self, index: int) -> dict[str, Any]:
        return {self.name: self.windows[index]}

    def fit(self, rows: np.ndarray) -> Fitted:
        scale = self.settings.get("scale", "standard")
        if self.rate and self.settings.get("sound") == "log-mel":
            made = log_mel_of(self.name, self.windows.shape, self.rate, self.settings)
            return fit_log_mel(made, self.windows, rows, scale)
        return {
            "name": self.name,
            "encoding": "series",
            "shape": list(self.windows.shape[1:]),
            **({"rate": self.rate} if self.rate else {}),
            **fit_windows(self.windows, rows, scale),
        }

    def spec(self, fitted: Fitted) -> FieldSpec:
        names = band_names(fitted) if fitted["encoding"] == LOG_MEL else self.channels
        return FieldSpec(self.name, "sequence", tuple(fitted["shape"]), columns=names)

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, series=self.windows[index])

    def content(self) -> Iterable[bytes]:
        return in_parts(self.windows)
