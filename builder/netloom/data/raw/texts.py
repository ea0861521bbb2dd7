"""Raw texts, texts with a tag for each word, and one long text in blocks of characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import Example
from netloom.modalities.columns.text import LENGTH_LIMIT
from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.field_encoder import FieldState
from netloom.modalities.encoding.tags import IGNORE
from netloom.modalities.encoding.text_fields import TextState
from netloom.modalities.encoding.tokenization import words
from netloom.modalities.fields.characters import CharacterModality, TrainingBlocks
from netloom.modalities.fields.modality import Modality
from netloom.modalities.fields.text import TextModality, TrainingTexts
from netloom.modalities.packed_texts import PackedTexts

_AT_ONCE = 4_096


@dataclass
class Texts(RawDataset):
    """Texts, tokenized into words by default. `column` is the table column that they come from, if any."""

    texts: Sequence[str] = ()
    column: str = ""
    # The fields with a text for each row.
    text_fields: ClassVar[tuple[str, ...]] = ("texts",)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for another process, with texts in memory as arrays, which it need not copy."""
        texts = {name: getattr(self, name) for name in self.text_fields}
        packed = {name: PackedTexts.of(values) for name, values in texts.items() if isinstance(values, (list, tuple))}
        return {**self.__dict__, **packed}

    def row(self, index: int) -> RawRow:
        return self.rows(index, index + 1)[0]

    def rows(self, start: int, stop: int) -> list[RawRow]:
        return [{self.name: text} for text in self.texts[start:stop]]  # one read, as single reads from a file are slow

    @property
    def modality(self) -> Modality[Any]:
        return TextModality()

    @property
    def accepted_settings(self) -> frozenset[str]:
        return frozenset(TextModality.settings.model_fields)

    def stacked(self, appended: RawDataset, rows: np.ndarray) -> RawDataset | None:
        if not isinstance(appended, Texts):
            return None
        return replace(self, texts=[part.texts[row] for part in (self, appended) for row in rows.tolist()])

    def shared(self, fitted: FieldState) -> FieldState:
        shared = super().shared(fitted)
        return replace(shared, column=self.column) if isinstance(shared, TextState) and self.column else shared

    def fit(self, rows: np.ndarray) -> TextState:
        return TextModality().fit(self.name, self.training_texts(rows), self.settings)

    def training_texts(self, rows: np.ndarray) -> TrainingTexts:
        """Return the input of `fit` for the texts of these rows."""
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
    """Texts with a tag for each of their words.

    Attributes:
        tags: The tags of each text, one per word.
        tag_names: The distinct tags; their order gives the class indices.
        parted: The words of each text, if the data gives them; otherwise, `words` tokenizes the texts.
    """

    tags: Sequence[Sequence[str]] = ()
    tag_names: tuple[str, ...] = ()
    parted: Sequence[list[str]] = ()

    def rows(self, start: int, stop: int) -> list[RawRow]:
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
        """Return the tag index of each word, int64 (R, length); `IGNORE` at positions without a word."""
        positions = {name: index for index, name in enumerate(self.tag_names)}
        labels = np.full((len(self.texts), length), IGNORE, dtype=np.int64)
        for row, tags in enumerate(self.tags):
            kept_tags = tags[:length]
            labels[row, : len(kept_tags)] = [positions[tag] for tag in kept_tags]
        return labels

    def example(self, index: int, target: str) -> Example:
        shown = super().example(index, target)
        tokens = words(self.parted[index]) if self.parted else shown.tokens
        return replace(shown, tokens=tuple(tokens), tags=tuple(self.tags[index]))

    def content(self) -> list[bytes]:
        parted = [repr(list(self.parted)).encode()] if self.parted else []
        return [*super().content(), *parted, repr([list(tags) for tags in self.tags]).encode()]


@dataclass
class Characters(RawDataset):
    """One long text in blocks of `length` characters; the target of each character is the next one."""

    text: str = ""
    length: int = 64

    def row(self, index: int) -> RawRow:
        start = index * self.length
        return {self.name: self.text[start : start + self.length]}

    @property
    def modality(self) -> Modality[Any]:
        return CharacterModality()

    def fit(self, rows: np.ndarray) -> TextState:
        blocks = [self.row(index)[self.name] for index in rows.tolist()]
        return CharacterModality().fit(self.name, TrainingBlocks(blocks, self.length), self.settings)

    def example(self, index: int, target: str) -> Example:
        text = self.row(index)[self.name]
        return Example(index, target, text=text, tokens=tuple(text))

    def content(self) -> list[bytes]:
        return [self.text.encode(), str(self.length).encode()]

    def following(self, index: int) -> str:
        """Return the targets of a block: its text, shifted by one character."""
        start = index * self.length + 1
        return self.text[start : start + self.length]
