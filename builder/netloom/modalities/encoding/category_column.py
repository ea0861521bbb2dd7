"""Encodes a column of categories: one-hot, hashed, or as indices of an embedding."""

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from netloom.modalities.encoding.cells import logical, numeral, text_of
from netloom.modalities.encoding.coercion import number
from netloom.modalities.encoding.column_encoder import ColumnState, CsvColumn, LabelEncoder, StateType

OTHER_CATEGORY = "(other)"  # the name of the feature for all categories that training did not have


def resolve_alias(label: str, aliases: Mapping[str, str]) -> str:
    """Return the category or label that replaces another one, also through a chain of aliases."""
    # At most one step per alias, as aliases may form a cycle
    for _ in aliases:
        if label not in aliases:
            break
        label = aliases[label]
    return label


@dataclass(frozen=True, kw_only=True)
class CategoryState(ColumnState):
    """The state of categories: the `values` of the training rows, and how cells are read as categories: as numbers, by
    other names, as true or false, and `fill` if one is missing."""

    numeric: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    logical: bool = False
    fill: str | None = None
    values: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class IndexState(CategoryState):
    """The state of categories of an embedding."""

    last_keys = ("numeric", "aliases", "logical", "fill")


@dataclass(frozen=True, kw_only=True)
class HashState(CategoryState):
    """The state of hashed categories: the number of `buckets`. It has no values."""

    values: Sequence[str] = ()
    buckets: int


class CategoryEncoder(LabelEncoder):
    """One-hot categories (N, values + 1); the last feature is for all categories that training did not have."""

    type = "category"
    state_type: ClassVar[StateType] = CategoryState
    state: CategoryState

    @property
    def width(self) -> int:
        return len(self.state.values) + 1

    @property
    def feature_names(self) -> list[str]:
        return [f"{self.name} = {value}" for value in (*self.state.values, OTHER_CATEGORY)]

    def encode_array(self, values: Any) -> np.ndarray:
        texts = [self.category(value) for value in values]
        encoded = np.zeros((len(texts), self.width))
        encoded[np.arange(len(texts)), [self._index_of(text) for text in texts]] = 1.0
        return encoded

    def table(self, texts: list[str]) -> np.ndarray:
        """Return the index of each text (distinct,); writing only the ones is many times as fast as copying rows."""
        return np.array([self._index_of(self.category(text)) for text in texts], dtype=np.int64)

    def fill(self, target: np.ndarray, table: np.ndarray, codes: np.ndarray) -> None:
        target[np.arange(len(target)), table[codes]] = 1

    def restore(self, encoded: np.ndarray) -> str:
        return str([*self.state.values, OTHER_CATEGORY][int(encoded.argmax())])

    def category(self, value: Any) -> str:
        """Return the name of a value's category; equal numbers have equal names."""
        text = text_of(value)
        if self._codes and type(value) in (int, float) and text not in self._places:
            text = self._codes.get(value, text)
        if self.state.numeric:
            text = numeral(text)
        elif self.state.logical:
            text = logical(text)
        if not text and self.state.fill is not None:
            return self.state.fill
        return resolve_alias(text, self.state.aliases)

    def comparable(self, value: Any) -> Any:
        return self.category(value) if text_of(value) else None

    def numbers(self, values: list[Any]) -> np.ndarray:
        """Return the embedding index of each value, int64 (N,), from 1; 0 for categories that training did not have."""
        positions = self._places
        return np.array([positions.get(self.category(value), -1) + 1 for value in values], dtype=np.int64)

    @property
    def values(self) -> list[str]:
        """The categories of the training rows, in the order of their indices."""
        return list(self.state.values)

    @property
    def vocabulary_size(self) -> int:
        """The number of indices, including 0 for all other categories."""
        return len(self.state.values) + 1

    def unknown(self, value: Any) -> str:
        text = self.category(value)
        return "" if text in self._places else text

    def read(self, column: CsvColumn) -> Iterable[Any]:
        # A category that training had from a file of another kind can have blanks, or be the text NA
        return [
            written if written in self._places and not self.state.numeric else self._cell(cell, column.decimal)
            for written, cell in zip(column.written, column.cells, strict=True)
        ]

    @property
    def is_exclusive(self) -> bool:
        return True

    @cached_property
    def _places(self) -> dict[str, int]:
        return {value: index for index, value in enumerate(self.state.values)}

    @cached_property
    def _codes(self) -> dict[float, str]:
        """The categories by their number if some have leading zeros, such as 007: a program that reads them as numbers,
        as pandas does, loses the zeros. Those with equal numbers, such as 07 and 007, are left out."""
        codes = [value for value in self.state.values if value.isascii() and value.isdecimal()]
        times = Counter(map(int, codes))
        has_zeros = any(len(code) > 1 and code[0] == "0" for code in codes)
        return {int(code): code for code in codes if times[int(code)] == 1} if has_zeros else {}

    def _index_of(self, text: str) -> int:
        return self._places.get(text, len(self._places))

    def _cell(self, cell: str | None, decimal: str) -> str | None:
        """Return a category as import names it; equal numbers have equal names, whatever their decimal mark."""
        if cell is None or not self.state.numeric:
            return cell
        parsed = number(cell, decimal, grouped=True)
        return cell if parsed is None or math.isinf(parsed) else numeral(repr(parsed))


class HashedCategoryEncoder(CategoryEncoder):
    """Hashed categories (N, buckets), one-hot; unknown categories are hashed like all others.

    The hashing trick, https://arxiv.org/abs/0902.2206, without the sign.
    """

    type = "hash"
    state_type = HashState
    state: HashState

    @property
    def width(self) -> int:
        return self.state.buckets

    @property
    def feature_names(self) -> list[str]:
        return [f"{self.name} # {bucket}" for bucket in range(self.width)]

    def restore(self, encoded: np.ndarray) -> str:
        return f"# {int(encoded.argmax())}"

    def unknown(self, value: Any) -> str:
        return ""

    def _index_of(self, text: str) -> int:
        # Python's `hash` of a text differs between processes
        return zlib.crc32(text.encode()) % self.width
