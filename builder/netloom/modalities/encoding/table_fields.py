"""Encodes tables: columns concatenated to one vector, and categories as indices of an embedding."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from netloom.modalities.encoding.category_column import CategoryEncoder, IndexState
from netloom.modalities.encoding.cells import RawRow, value_of
from netloom.modalities.encoding.column_encoder import (
    CellReader,
    ColumnEncoder,
    ColumnState,
    column_encoder,
    column_state,
)
from netloom.modalities.encoding.field_encoder import FieldEncoder, FieldState, RowDisplay


@dataclass(frozen=True, kw_only=True)
class TableState(FieldState):
    """The fitted state of each column."""

    columns: Sequence[ColumnState]

    @classmethod
    def parsed(cls, key: str, value: Any) -> Any:
        return [column_state(column) for column in value] if key == "columns" else value


@dataclass(frozen=True, kw_only=True)
class CategoriesState(FieldState):
    """The fitted state of each column of categories."""

    columns: Sequence[IndexState]

    @classmethod
    def parsed(cls, key: str, value: Any) -> Any:
        return [IndexState.from_json(column) for column in value] if key == "columns" else value


ColumnsStateT = TypeVar("ColumnsStateT", TableState, CategoriesState)


class ColumnsEncoder(FieldEncoder[ColumnsStateT]):
    """Encodes columns whose names are keys of raw rows."""

    def shown(self, row: RawRow) -> RowDisplay:
        names = [column.name if column.name in row else column.date_column or column.name for column in self.columns]
        return {"columns": {name: row.get(name) for name in dict.fromkeys(names)}}


class TableEncoder(ColumnsEncoder[TableState]):
    """Encodes columns as one vector, float32 (N, F)."""

    encoding = "table"
    state_type = TableState

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(column.width for column in self.columns),)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(name for column in self.columns for name in column.feature_names)

    @cached_property
    def columns(self) -> list[ColumnEncoder]:
        return [column_encoder(column) for column in self.state.columns]

    @property
    def cell_readers(self) -> list[dict[str, CellReader]]:
        return [column.cell_readers for column in self.columns]

    def encode(self, rows: list[RawRow]) -> np.ndarray:
        return np.concatenate([column.encode(rows) for column in self.columns], axis=1).astype(np.float32)

    def restore(self, values: np.ndarray) -> list[Any]:
        """Return a dict of values by column for each row (N, F)."""
        ends = np.cumsum([column.width for column in self.columns])[:-1]
        return [
            {column.name: column.restore(part) for column, part in zip(self.columns, np.split(row, ends), strict=True)}
            for row in values.astype(np.float64)
        ]


class CategoriesEncoder(ColumnsEncoder[CategoriesState]):
    """Encodes columns of categories as indices, int64 (N, F), from 1; 0 is for all other categories."""

    encoding = "categories"
    state_type = CategoriesState

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.state.columns),)

    @property
    def vocabulary_size(self) -> int:
        # One embedding serves all columns, with at least two rows.
        return max(2, *(column.vocabulary_size for column in self.categories))

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.categories)

    @cached_property
    def columns(self) -> list[ColumnEncoder]:
        return [*self.categories]

    @cached_property
    def categories(self) -> list[CategoryEncoder]:
        """The same as `columns`, as encoders of categories."""
        return [CategoryEncoder(column) for column in self.state.columns]

    @property
    def cell_readers(self) -> list[dict[str, CellReader]]:
        return [column.cell_readers for column in self.categories]

    def encode(self, rows: list[RawRow]) -> np.ndarray:
        return np.stack(
            [column.numbers([value_of(row, column.name) for row in rows]) for column in self.categories], axis=1
        )
