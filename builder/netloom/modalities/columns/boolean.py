"""Boolean columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from netloom.modalities.columns import conversion
from netloom.modalities.columns.column_kind import ColumnSource, NumberColumn, ReadColumn, TrainingColumn
from netloom.modalities.columns.number import Number
from netloom.modalities.encoding.column_encoder import ColumnEncoder
from netloom.modalities.encoding.number_column import NumberEncoder, NumberState
from netloom.modalities.row_field import RowField

if TYPE_CHECKING:
    import pandas as pd


class Boolean(Number):
    name, order, priority = "boolean", 40, 20
    synonyms = ("bool",)
    is_number = False

    def matches(self, values: pd.Series) -> bool:
        import pandas as pd

        return bool(pd.api.types.is_bool_dtype(values))

    def read(self, source: ColumnSource) -> Sequence[ReadColumn]:
        if not source.is_chosen:
            # An inferred boolean column has a Boolean dtype, which reads as 0 and 1. It keeps the fitted state that it
            # had before this kind existed; only a chosen kind also reads words such as yes and no.
            return Number().read(source)
        numbers = source.keep_numbers(conversion.yes_and_no(source.values, source.name), "yes")
        return [NumberColumn(source.name, self.name, values=numbers)]

    def fit(self, column: TrainingColumn) -> NumberState:
        return replace(super().fit(column), boolean=True)

    def row_field(self, column: ColumnEncoder) -> RowField:
        return RowField(column.name, {"type": ["boolean", "null"]}, "BOOL")

    def describes(self, column: ColumnEncoder) -> bool:
        return isinstance(column, NumberEncoder) and column.is_boolean
