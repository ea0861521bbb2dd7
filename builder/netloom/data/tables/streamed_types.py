"""Column types of a table that is read in chunks: inferred from all chunks, then applied to each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from netloom.data.tables import plain_types
from netloom.modalities.columns import conversion
from netloom.modalities.encoding.coercion import ISO, symbol_of

if TYPE_CHECKING:
    import pandas as pd

TEXT, _DATE, _BOOLEAN, _NUMBER, _EMPTY = "text", "date", "boolean", "number", "empty"
_NULLABLE_BOOLEAN = "nullable boolean"  # stored as texts, as NumPy's booleans cannot be missing


class ColumnType(NamedTuple):
    """The content of a column, and its stored dtype: of NumPy, pandas or Arrow, or "string"."""

    content: str
    dtype: Any

    @property
    def is_read_as_text(self) -> bool:
        """Whether CSV cells are read literally: what looks like a number in one chunk may be a code in another."""
        return self.content in (TEXT, _DATE)

    @property
    def cell_bytes(self) -> int:
        """The size of a cell in memory; of a text, that of its reference."""
        return np.dtype(self.dtype).itemsize if self.content in (_NUMBER, _BOOLEAN) else 8


@dataclass
class ColumnScan:
    """The contents of the chunks of a column so far.

    Attributes:
        number_types: The dtypes of its numbers.
        formats: The formats of its dates or grouped numbers.
        last_type: The dtype of the last chunk.
    """

    contents: set[str] = field(default_factory=set)
    number_types: list[np.dtype] = field(default_factory=list)
    formats: set[str] = field(default_factory=set)
    last_type: Any = None

    def update(self, values: pd.Series, decimal: str) -> None:
        """Add a chunk of the column."""
        import pandas as pd

        if not values.notna().any():
            self.contents.add(_EMPTY)
            self.last_type = plain_types.infer_column(values).dtype if self.last_type is None else self.last_type
            if pd.api.types.is_numeric_dtype(values):
                self.number_types.append(_number_type(values))
            return
        column = plain_types.infer_column(values, decimal)
        self.last_type = column.dtype
        self.formats |= {column.attrs["written"]} if "written" in column.attrs else set()
        if pd.api.types.is_bool_dtype(column):
            self.contents.add(_BOOLEAN)
        elif pd.api.types.is_numeric_dtype(column):
            self.contents.add(_NUMBER)
            self.number_types.append(_number_type(column))
        elif pd.api.types.is_datetime64_any_dtype(column):
            self.contents.add(_DATE)
        elif pd.api.types.is_bool_dtype(values) or pd.api.types.infer_dtype(values, skipna=True) == "boolean":
            self.contents.add(_NULLABLE_BOOLEAN)
        else:
            self.contents.add(TEXT)

    @property
    def column_type(self) -> ColumnType:
        """The type that fits all chunks: mixed numbers become float64, mixed contents texts."""
        contents = self.contents - {_EMPTY}
        if not contents:
            return ColumnType(_NUMBER, np.dtype(np.float64)) if self.number_types else ColumnType(TEXT, "string")
        if contents == {_BOOLEAN}:
            is_nullable = _EMPTY in self.contents
            return ColumnType(_NULLABLE_BOOLEAN, "string") if is_nullable else ColumnType(_BOOLEAN, np.dtype(bool))
        if contents == {_NUMBER}:
            is_uniform = len(set(self.number_types)) == 1
            return ColumnType(_NUMBER, self.number_types[0] if is_uniform else np.dtype(np.float64))
        if contents == {_DATE} and len(self.formats) <= 1:
            return ColumnType(_DATE, self.last_type)
        return ColumnType(_NULLABLE_BOOLEAN if contents <= {_BOOLEAN, _NULLABLE_BOOLEAN} else TEXT, "string")

    @property
    def format(self) -> str | None:
        """The format of all dates or grouped numbers of the column; None if there is none, or more than one."""
        return next(iter(self.formats)) if len(self.formats) == 1 else None


def _number_type(values: pd.Series) -> np.dtype:
    """Return the NumPy dtype of numbers. The nullable types of pandas become float64, where NaN is a missing number."""
    dtype = values.dtype
    return dtype if isinstance(dtype, np.dtype) else np.dtype(np.float64)


def typed_chunk(
    chunk: pd.DataFrame, types: Mapping[str, ColumnType], formats: Mapping[str, str], decimal: str
) -> pd.DataFrame:
    """Return a chunk with the columns and types of the whole table; columns that it lacks have missing values."""
    import pandas as pd

    columns = {}
    for name, column_type in types.items():
        if name in chunk.columns:
            columns[name] = _converted(chunk[name], column_type, formats.get(name, ISO), decimal)
        else:
            missing = np.nan if column_type.content == _NUMBER else None
            columns[name] = pd.Series(missing, index=chunk.index, dtype=column_type.dtype)
    return pd.DataFrame(columns)


def _converted(values: pd.Series, column_type: ColumnType, written: str, decimal: str) -> pd.Series:
    import pandas as pd

    content, dtype = column_type
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.dtype.categories.dtype)
    if content == _NUMBER and pd.api.types.is_string_dtype(values):
        symbol = symbol_of(written)
        numbers = plain_types.to_numbers(values, decimal, grouped=symbol is not None, symbol=symbol or "")
        return numbers.astype(dtype)
    if content in (_NUMBER, _BOOLEAN):
        return plain_types.infer_column(values, decimal).astype(dtype)
    if content == _DATE and not pd.api.types.is_datetime64_any_dtype(values):
        return conversion.dated(plain_types.to_texts(values), written).astype(dtype)
    if content == _DATE:
        return pd.to_datetime(values, utc=True).astype(dtype)
    return plain_types.to_texts(values)
