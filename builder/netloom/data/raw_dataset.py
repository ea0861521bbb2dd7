"""Data as it was read, before anything was fitted: one class per kind, each of which knows its own preprocessing.

How a field is fitted, encoded and explained is decided by its modality, see `netloom.modalities.fields`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.limits import MAX_CELLS
from netloom.data.schema import TARGET_TYPES, Example, TargetKind, TargetSpec, TargetType
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.columns.category import Category
from netloom.modalities.columns.column_kind import TrainingColumn
from netloom.modalities.columns.date import Date
from netloom.modalities.columns.number import Number
from netloom.modalities.columns.text import LENGTH_LIMIT
from netloom.modalities.encoding.column_encoder import LabelEncoder
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.image_field import ImageEncoder, sized
from netloom.modalities.encoding.table_fields import TableEncoder
from netloom.modalities.encoding.tags import IGNORE
from netloom.modalities.encoding.tokenization import words
from netloom.modalities.field_spec import FieldSpec
from netloom.modalities.fields.characters import CharacterModality, TrainingBlocks
from netloom.modalities.fields.image import ImageModality, TrainingImages
from netloom.modalities.fields.log_mel import SPECTROGRAM, LogMelModality, spectrogram_spec
from netloom.modalities.fields.modality import Fitted as Fitted
from netloom.modalities.fields.modality import Modality
from netloom.modalities.fields.registry import modality_of
from netloom.modalities.fields.series import SeriesModality, TrainingWindows, scale_of
from netloom.modalities.fields.table import TableModality
from netloom.modalities.fields.text import TextModality, TrainingTexts
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


@dataclass
class Images(RawDataset):
    """Pictures (R, C, H, W) whose pixels go from 0 to `top`. Where they were `resized`, so are those that are predicted
    for."""

    pixels: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1, 1)))
    top: float = 255.0
    resized: bool = False

    def row(self, index: int) -> dict[str, Any]:
        return {self.name: self.pixels[index]}

    @property
    def modality(self) -> Modality[Any]:
        return ImageModality()

    @property
    def accepted_settings(self) -> frozenset[str]:
        return frozenset(ImageModality.settings.model_fields)

    def with_settings(self, settings: Mapping[str, Any]) -> RawDataset:
        images = super().with_settings(settings)
        channels, height, width = self.pixels.shape[1:]
        side, grey = settings.get("size"), settings.get("grey")
        shape = (1 if grey else channels, side or height, side or width)
        if grey is None and side is None:
            return images
        if self.masks is not None or self.target_type.is_per_pixel:
            raise DataError(
                f"The masks of {self.name[:80]!r} belong to its pictures as they are; keep size and colours."
            )
        if len(self) * math.prod(shape) > MAX_CELLS:
            raise DataError(
                f"{len(self):,} pictures of {shape[1]} × {shape[2]} pixels are too many; choose a smaller size."
            )
        pixels = np.stack([sized(np.asarray(image, dtype=np.float32), *shape) for image in self.pixels])
        return replace(self, pixels=pixels, resized=True, settings=images.settings)

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        defaults = ImageModality().default_settings(self.name, prepare, self.pixels.shape[1:])
        return replace(self, settings={**defaults, **self.settings})

    def with_any_size(self) -> RawDataset:
        return self if self.target_type.is_per_pixel else replace(self, resized=True)

    def stacked(self, other: RawDataset, rows: np.ndarray) -> RawDataset | None:
        if not isinstance(other, Images):
            return None
        return replace(self, pixels=np.concatenate([self.pixels[rows], other.pixels[rows]]))

    def fit(self, rows: np.ndarray) -> Fitted:
        images = TrainingImages(self.pixels, rows, self.top, self.resized)
        return ImageModality().fit(self.name, images, self.settings)

    def encoded(self, fitted: Sequence[FieldEncoder[Any]], room: Room = in_memory) -> dict[str, np.ndarray]:
        encoder = fitted[0]
        if not isinstance(encoder, ImageEncoder) or encoder.shape != self.pixels.shape[1:]:
            return {}
        found = room(self.name, self.pixels.shape, np.float32)
        scale, mean, std = (np.float32(number) for number in (encoder.scale, encoder.mean, encoder.std))
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

    @property
    def modality(self) -> Modality[Any]:
        return TableModality()

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        scale = scale_of(prepare)
        columns = {self.dates.get(name, (name, ""))[0] for name in self.numbers}
        settings = {name: {"scale": scale, **self.settings.get(name, {})} for name in columns}
        return replace(self, settings={**self.settings, **settings})

    @property
    def column_kinds(self) -> dict[str, str]:
        return {name: self.kind_of(name) for name in (*self.numbers, *self.categories)}

    @property
    def is_empty(self) -> bool:
        return not self.numbers and not self.categories

    def with_columns(self, ignored: Collection[str], settings: Mapping[str, dict[str, Any]]) -> RawDataset:
        return replace(
            self,
            numbers={name: values for name, values in self.numbers.items() if name not in ignored},
            categories={name: values for name, values in self.categories.items() if name not in ignored},
            settings={**self.settings, **settings},
        )

    def fit(self, rows: np.ndarray) -> Fitted:
        columns = [self._column(name, values, rows) for name, values in self.numbers.items()]
        columns += [self._column(name, Labels.of(texts), rows) for name, texts in self.categories.items()]
        return TableModality().fit(self.name, columns, self.settings)

    def kind_of(self, name: str) -> str:
        """The kind of a column."""
        usual = Date if name in self.dates else Number if name in self.numbers else Category
        return self.kinds.get(name, usual.name)

    def _column(self, name: str, values: np.ndarray | Labels, rows: np.ndarray) -> tuple[str, TrainingColumn]:
        date = self.dates.get(name)
        source = date[0] if date else name
        column = TrainingColumn(name, values, rows, self.settings.get(source, {}), date, self.written.get(source, ""))
        return self.kind_of(name), column

    def encoded(self, fitted: Sequence[FieldEncoder[Any]], room: Room = in_memory) -> dict[str, np.ndarray]:
        encoder = fitted[0]
        if not isinstance(encoder, TableEncoder):
            return {}
        columns = encoder.columns
        array = room(self.name, (len(self), *encoder.shape), np.float32)
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

    @property
    def modality(self) -> Modality[Any]:
        return TextModality()

    @property
    def accepted_settings(self) -> frozenset[str]:
        return frozenset(TextModality.settings.model_fields)

    def stacked(self, other: RawDataset, rows: np.ndarray) -> RawDataset | None:
        if not isinstance(other, Texts):
            return None
        return replace(self, texts=[part.texts[row] for part in (self, other) for row in rows.tolist()])

    def shared(self, fitted: Fitted) -> Fitted:
        return {**super().shared(fitted), **({"column": self.column} if self.column else {})}

    def fit(self, rows: np.ndarray) -> Fitted:
        return TextModality().fit(self.name, self.training_texts(rows), self.settings)

    def training_texts(self, rows: np.ndarray) -> TrainingTexts:
        """What is fitted to the texts of these rows."""
        # Texts in a file are read in the order of the file, which is fast; fitting does not depend on it.
        texts = self.texts.at(rows) if hasattr(self.texts, "at") else [self.texts[index] for index in rows.tolist()]
        return TrainingTexts(texts, self.column)

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

    @property
    def accepted_settings(self) -> frozenset[str]:
        return frozenset()  # a tag belongs to a word, so the words cannot change

    def training_texts(self, rows: np.ndarray) -> TrainingTexts:
        if not self.parted:
            return super().training_texts(rows)
        # Every word has a tag to predict, so no sentence is cut, whichever split it is in.
        length = min(max(map(len, self.parted)), LENGTH_LIMIT)
        return TrainingTexts([self.parted[row] for row in rows.tolist()], length=length, are_parted=True)

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

    @property
    def modality(self) -> Modality[Any]:
        return CharacterModality()

    def fit(self, rows: np.ndarray) -> Fitted:
        blocks = [self.row(index)[self.name] for index in rows.tolist()]
        return CharacterModality().fit(self.name, TrainingBlocks(blocks, self.length), self.settings)

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

    @property
    def modality(self) -> Modality[TrainingWindows]:
        if self.rate and self.settings.get("sound") == SPECTROGRAM:
            return LogMelModality()
        return SeriesModality()

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.channels

    @property
    def accepted_settings(self) -> frozenset[str]:
        return frozenset((LogMelModality if self.rate else SeriesModality).settings.model_fields)

    def with_settings(self, settings: Mapping[str, Any]) -> RawDataset:
        if settings.get("sound") == SPECTROGRAM and self.rate:
            spectrogram_spec(self.name, self.windows.shape, self.rate, settings)  # refuses now rather than in `fit`
        return super().with_settings(settings)

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        defaults = self.modality.default_settings(self.name, prepare, self.windows.shape[1:])
        return replace(self, settings={**defaults, **self.settings})

    def fit(self, rows: np.ndarray) -> Fitted:
        return self.modality.fit(self.name, TrainingWindows(self.windows, rows, self.rate), self.settings)

    def example(self, index: int, target: str) -> Example:
        return Example(index, target, series=self.windows[index])

    def content(self) -> Iterable[bytes]:
        return in_parts(self.windows)
