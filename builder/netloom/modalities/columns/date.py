"""Date columns, whose parts become numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field as Bounds

from netloom.modalities.columns import conversion
from netloom.modalities.columns.column_kind import (
    ColumnSource,
    NumberColumn,
    ReadColumn,
    TrainingColumn,
    free_name,
)
from netloom.modalities.columns.number import Number, NumberSettings, fit_number
from netloom.modalities.encoding.column_encoder import ColumnEncoder
from netloom.modalities.encoding.number_column import NumberEncoder, NumberState
from netloom.modalities.row_field import RowField
from netloom.modalities.widgets import Field, MultiSelect, TextInput, Widget

if TYPE_CHECKING:
    import pandas as pd

Part = Literal["days", "year", "quarter", "month", "day", "yearday", "weekday", "hour", "minute"]
PARTS: tuple[Part, ...] = ("days", "month", "weekday")  # the default


class DateSettings(NumberSettings):
    """The parts of a date that become numbers, and their imputation and scaling."""

    parts: Annotated[list[Part], Bounds(min_length=1, max_length=len(get_args(Part)))] | None = None


class Date(Number):
    name, order, priority = "date", 30, 10
    synonyms = ("datetime",)
    settings = DateSettings
    is_number = is_numeric = False
    can_be_target = False

    def matches(self, values: pd.Series) -> bool:
        import pandas as pd

        return bool(pd.api.types.is_datetime64_any_dtype(values))

    def read(self, source: ColumnSource) -> Sequence[ReadColumn]:
        dates = conversion.dates(source.values, source.name, source.warnings)
        parts = conversion.date_parts(dates, source.settings.get("parts") or PARTS)
        return [
            NumberColumn(
                free_name(f"{source.name} ({part})", source.column_names),
                self.name,
                values=source.keep_numbers(numbers, part),
                date=(source.name, part),
            )
            for part, numbers in parts.items()
        ]

    def fit(self, column: TrainingColumn) -> NumberState:
        fitted = fit_number(column.name, column.values[column.rows], column.settings)
        date, part = column.date or (None, None)
        return replace(fitted, date=date, part=part, form=column.written or None)

    def details(self, settings: Mapping[str, Any]) -> list[Field]:
        parts = MultiSelect(list(settings.get("parts") or PARTS), get_args(Part))
        return [*super().details(settings), Field("parts", "Date features", parts)]

    def describes(self, column: ColumnEncoder) -> bool:
        return column.date_column is not None

    def row_field(self, column: ColumnEncoder) -> RowField:
        schema = {"type": ["string", "null"], "description": "A date or time in ISO format, such as 2024-05-31"}
        return RowField(column.date_column or column.name, schema)

    def widget(self, column: ColumnEncoder, name: str, value: Any) -> Widget:
        if name == column.name:
            return super().widget(column, name, value)
        return TextInput("" if value is None else str(value))


def iso_dates(columns: Iterable[ColumnEncoder], row: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the dates of a row that holds their parts, in ISO format by column. A date without the part `days` cannot
    be restored and is left out."""
    dates: dict[str, str | None] = {}
    for column in columns:
        if (
            column.date_column is not None
            and isinstance(column, NumberEncoder)
            and column.date_part == "days"
            and column.name in row
        ):
            days = float(row[column.name])
            dates[column.date_column] = None if math.isnan(days) else _iso(days)
    return dates


def with_dates(columns: Iterable[ColumnEncoder], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its dates in ISO format instead of their parts, where they can be restored from them."""
    known = tuple(columns)
    dated = {**row, **iso_dates(known, row)}
    parts = {column.name: column.date_column for column in known if column.date_column}
    return {name: value for name, value in dated.items() if parts.get(name) not in dated}


def _iso(days: float) -> str:
    """Return days since 1970-01-01 as a date, or as a time in UTC."""
    moment = datetime(1970, 1, 1) + timedelta(days=days)
    return moment.isoformat() if moment.time() != time.min else moment.date().isoformat()
