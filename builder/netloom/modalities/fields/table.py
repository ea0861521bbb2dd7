"""Columns of a table, concatenated to one vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from netloom.modalities.columns.column_kind import TrainingColumn
from netloom.modalities.columns.registry import column_kind, row_fields
from netloom.modalities.encoding.column_encoder import ColumnState
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.table_fields import TableEncoder, TableState
from netloom.modalities.fields.modality import Editor, Modality, lower_median
from netloom.modalities.row_field import RowField


class TableModality(Modality[Sequence[tuple[str, TrainingColumn]]]):
    """Columns as one vector. The settings are by column, see `netloom.modalities.columns`."""

    name, order = "table", 70
    kind = "vector"
    encoders = (TableEncoder,)
    editor = Editor.COLUMNS
    phrase = "numbers of a table"

    def fit(self, name: str, values: Sequence[tuple[str, TrainingColumn]], settings: Mapping[str, Any]) -> TableState:
        """Fit each column by its kind; `values` are pairs of a kind and a column."""
        return self.state(name, [column_kind(kind).fit(column) for kind, column in values])

    def state(self, name: str, columns: Sequence[ColumnState]) -> TableState:
        """Return the state of a field from the states of its columns."""
        return TableState(name=name, encoding=TableEncoder.encoding, columns=list(columns))

    def row_fields(self, encoder: FieldEncoder[Any]) -> tuple[RowField, ...]:
        return row_fields(encoder.columns)

    def preprocessing(self, encoder: FieldEncoder[Any]) -> str:
        return "numbers imputed and standardized, categories one-hot encoded"

    def median(self, encoder: FieldEncoder[Any], rows: np.ndarray) -> np.ndarray:
        """Return the median of each number, and the most frequent of the categories of a column."""
        median, start = lower_median(rows).copy(), 0
        for column in encoder.columns:
            cells = slice(start, start := start + column.width)
            if column.is_exclusive:
                median[0, cells] = 0
                median[0, cells.start + int(rows[:, cells].sum(0).argmax())] = 1
        return median

    def units(self, encoder: FieldEncoder[Any], example: np.ndarray) -> np.ndarray:
        """Return the column, or part of a column, of each number."""
        parts = [part for column in encoder.columns for part in column.parts]
        positions = {part: index for index, part in enumerate(dict.fromkeys(parts))}
        return np.array([positions[part] for part in parts])
