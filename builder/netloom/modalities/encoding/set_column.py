"""Encodes a column with several values per cell, such as Action|Comedy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from netloom.modalities.encoding.cells import RawRow, items_of, text_of
from netloom.modalities.encoding.column_encoder import ColumnState, CsvColumn, LabelEncoder


def members(value: Any, separator: str, *, has_lists: bool = True) -> list[str]:
    """Return the distinct values of a cell: a list, a text with a list if the column `has_lists`, or a text with
    separators."""
    if not isinstance(value, (list, tuple, set)):
        text = text_of(value).strip()
        items = items_of(text) if has_lists else None
        value = text.split(separator) if items is None else items
    return list(dict.fromkeys(text for part in value if (text := str(part).strip())))


@dataclass(frozen=True, kw_only=True)
class SetState(ColumnState):
    """The state of sets: the separator in a cell, the most frequent values of the training rows, and whether cells can
    hold lists, which earlier versions split at the separator."""

    separator: str
    has_lists: bool = False
    values: Sequence[str]


class SetEncoder(LabelEncoder):
    """Encodes sets as multi-hot features (N, values). Values that training did not have are ignored."""

    type = "set"
    state_type = SetState
    state: SetState

    @property
    def width(self) -> int:
        return len(self.state.values)

    @property
    def feature_names(self) -> list[str]:
        return [f"{self.name}: {value}" for value in self.state.values]

    @property
    def parts(self) -> list[str]:
        return self.feature_names

    def encode_array(self, values: Any) -> np.ndarray:
        encoded = np.zeros((len(values), self.width))
        for row, value in enumerate(values):
            encoded[row, [self._places[text] for text in self.members(value) if text in self._places]] = 1.0
        return encoded

    def restore(self, encoded: np.ndarray) -> str:
        present = [value for value, share in zip(self.state.values, encoded, strict=True) if share > 0.5]
        return self.state.separator.join(present)

    @property
    def separator(self) -> str:
        """The separator of the values in a cell."""
        return self.state.separator

    @property
    def values(self) -> Sequence[str]:
        """The values of the training rows, in the order of the features."""
        return self.state.values

    def members(self, value: Any) -> list[str]:
        """Return the values of a cell."""
        return members(value, self.state.separator, has_lists=self.state.has_lists)

    @property
    def takes_lists(self) -> bool:
        return True

    def comparable(self, value: Any) -> Any:
        return self.separator.join(sorted(self.members(value))) or None

    def plain_cells(self, row: RawRow) -> dict[str, Any]:
        """Return a list as a text with separators."""
        value = row.get(self.name)
        return {self.name: self.separator.join(self.members(value))} if isinstance(value, (list, tuple, set)) else {}

    def unknown(self, value: Any) -> str:
        return ", ".join(text for text in self.members(value) if text not in self._places)

    def read(self, column: CsvColumn) -> Iterable[Any]:
        return column.cells

    @property
    def is_ordered(self) -> bool:
        return True

    @cached_property
    def _places(self) -> dict[str, int]:
        return {value: index for index, value in enumerate(self.state.values)}
