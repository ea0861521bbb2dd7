"""Tables larger than memory: a memory-mapped Arrow file, read one column or one slice of rows at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np

from netloom.core.errors import DataError
from netloom.data.caching import memmap_cache
from netloom.data.tables.code_columns import WIDTHS
from netloom.modalities.columns import conversion
from netloom.modalities.encoding.coercion import LARGEST
from netloom.modalities.labels import Labels

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ARROW_FILE = "table.arrow"
_ATTRIBUTES = b"netloom"
_ROWS_AT_ONCE = 65_536  # rows of texts in memory at a time


class StoredTable:
    """A table in a file, with the part of the interface of a DataFrame that looks at one column at a time.

    A column is read on access and is not cached, so that memory holds one column at most.

    Args:
        row_indices: The rows of the file that belong to the table, in ascending order; None means all rows.
    """

    def __init__(self, path: Path, table: pa.Table, row_indices: np.ndarray | None = None) -> None:
        self.path, self.table, self.row_indices = path, table, row_indices
        self.columns = [str(name) for name in table.column_names]

    @classmethod
    def open(cls, path: Path) -> StoredTable:
        """Memory-map the table of a file.

        Raises:
            DataError: The file is damaged.
        """
        import pyarrow as pa

        use_system_allocator()
        try:
            return cls(path, pa.ipc.open_file(pa.memory_map(str(path))).read_all())
        except (OSError, pa.ArrowException):
            raise DataError(
                "The stored copy of this upload is damaged; remove it, and upload the file again."
            ) from None

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process maps the file itself."""
        return reopened, (self.path, self.columns, self.row_indices)

    @property
    def attrs(self) -> dict[str, Any]:
        """The formats of the cells (of dates, and the decimal mark), like `attrs` of a DataFrame."""
        metadata = (self.table.schema.metadata or {}).get(_ATTRIBUTES)
        return dict(json.loads(metadata)) if metadata else {}

    @attrs.setter
    def attrs(self, attributes: dict[str, Any]) -> None:
        metadata = {**(self.table.schema.metadata or {}), _ATTRIBUTES: json.dumps(attributes).encode()}
        self.table = self.table.replace_schema_metadata(metadata)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), len(self.columns)

    def __len__(self) -> int:
        return self.table.num_rows if self.row_indices is None else len(self.row_indices)

    @overload
    def __getitem__(self, key: str) -> pd.Series: ...
    @overload
    def __getitem__(self, key: list[str] | pd.Series | np.ndarray) -> StoredTable: ...
    def __getitem__(self, key: Any) -> Any:
        """Return the column of a name, the table of a list of names, or the table of the rows where a mask is true."""
        import pandas as pd

        if isinstance(key, str):
            values = self.table.select([key]).to_pandas()[key]
            values.attrs = self.attrs
            return values if self.row_indices is None else values.iloc[self.row_indices].reset_index(drop=True)
        if isinstance(key, pd.Series) or (isinstance(key, np.ndarray) and key.dtype == bool):
            if np.asarray(key, dtype=bool).all():
                # All rows; indices would cost 8 bytes per row and a copy of each column
                return StoredTable(self.path, self.table, self.row_indices)
            positions = np.flatnonzero(np.asarray(key, dtype=bool))
            return StoredTable(
                self.path, self.table, positions if self.row_indices is None else self.row_indices[positions]
            )
        return StoredTable(self.path, self.table.select(list(key)), self.row_indices)

    def for_inference(self, name: str) -> pd.Series:
        """Return a column for kind inference: all rows of texts, no rows of other types, whose dtype suffices."""
        import pandas as pd

        first = self.table.select([name]).slice(0, 0).to_pandas()[name]
        return self[name] if pd.api.types.is_string_dtype(first) else first

    def has_values(self, name: str) -> bool:
        """Return whether a column has any value that is not missing."""
        column = self.table[name]
        return bool(column.null_count < len(column)) and (self.row_indices is None or bool(self[name].notna().any()))

    def has_valid_numbers(self, name: str) -> bool:
        """Return whether a column has a numeric type and no number beyond `LARGEST`."""
        import pyarrow.compute as pc
        from pyarrow import types

        column = self.table[name]
        if not (types.is_floating(column.type) or types.is_integer(column.type)) or not self.has_values(name):
            return False
        # Of all rows of the file, also those that do not belong to the table: at worst, numbers are converted
        # needlessly
        extremes = pc.min_max(column).as_py()
        return all(abs(number) <= LARGEST for number in extremes.values())

    def items(self) -> Iterator[tuple[str, pd.Series]]:
        """Iterate over the names and values of the columns."""
        for name in self.columns:
            yield name, self[name]

    def head(self, rows: int) -> pd.DataFrame:
        """Return the first rows, as a DataFrame."""
        if self.row_indices is None:
            return cast("pd.DataFrame", self.table.slice(0, rows).to_pandas())
        return cast("pd.DataFrame", self.table.take(self.row_indices[:rows]).to_pandas())

    def slice_column(self, name: str, start: int, stop: int) -> pd.Series:
        """Return the rows from `start` to `stop` of a column."""
        column = self.table.select([name])
        if self.row_indices is None:
            return cast("pd.Series", column.slice(start, stop - start).to_pandas()[name])
        indices = self.row_indices[start:stop]
        if not len(indices):
            return cast("pd.Series", column.slice(0, 0).to_pandas()[name])
        # Row indices ascend, so that the slice between the first and the last holds them all.
        low, high = int(indices[0]), int(indices[-1]) + 1
        values: pd.Series = column.slice(low, high - low).to_pandas()[name]
        return values.iloc[indices - low].reset_index(drop=True)

    def numbers(self, name: str, start: int, stop: int) -> np.ndarray:
        """Return rows `start` to `stop` of a numeric column, float64 (stop − start,), NaN where one is missing."""
        column = self.table[name]
        indices = None if self.row_indices is None else self.row_indices[start:stop]
        if indices is not None and len(indices):
            start, stop = int(indices[0]), int(indices[-1]) + 1
        values, position = np.empty(max(0, stop - start)), 0
        for chunk in column.slice(start, stop - start).chunks:
            values[position : position + len(chunk)] = _as_floats(chunk)
            position += len(chunk)
        return values if indices is None else np.asarray(values[indices - start if len(indices) else slice(0)])

    def complete_rows(self, names: Sequence[str]) -> np.ndarray:
        """Return the rows that have a value in each of these columns, as a mask (R,)."""
        mask = np.ones(len(self), dtype=bool)
        for name in names:
            mask &= self[name].notna().to_numpy()
        return mask

    def memory_mapped(self, name: str, derivation: str, values: np.ndarray) -> np.ndarray:
        """Return an array derived from a column, memory-mapped from a file beside the table.

        Args:
            derivation: The name of the derivation, so that several arrays of one column have different files.
            values: The array; if a file for these names and rows exists, it is used instead.
        """
        row_digest = "" if self.row_indices is None else hashlib.sha256(self.row_indices.tobytes()).hexdigest()
        return memmap_cache.column(
            self.path.parent, [name, derivation, row_digest, str(values.dtype), len(values)], values
        )


def reopened(path: Path, columns: list[str], row_indices: np.ndarray | None) -> StoredTable:
    """Return a stored table that another process handed over."""
    stored = StoredTable.open(path)
    return StoredTable(path, stored.table.select(columns), row_indices)


class StoredNumbers:
    """A numeric column in a file, as a lazy array (R,) of float64 that reads the slices that are accessed.

    A missing number is NaN, and so is a number beyond `LARGEST`, unless the column `is_valid`: then there is none.
    """

    def __init__(self, table: StoredTable, name: str, *, is_valid: bool = False) -> None:
        self.table, self.name, self.is_valid = table, name, is_valid
        self.dtype = np.dtype(np.float64)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def shape(self) -> tuple[int]:
        return (len(self),)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self._read(0, len(self)).astype(dtype or np.float64, copy=False)

    def __getitem__(self, rows: Any) -> Any:
        """Return the number at an index, or the numbers of a slice or of an index array."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._read(start, max(start, stop))
        elif isinstance(rows, (int, np.integer)):
            index = _from_start(int(rows), len(self))
            # A single row is a slice of the file, not an index array, which would read the whole column
            return self._read(index, index + 1)[0]
        return np.asarray(self)[rows]

    def _read(self, start: int, stop: int) -> np.ndarray:
        numbers = self.table.numbers(self.name, start, stop)
        return numbers if self.is_valid else _out_of_range_to_nan(numbers)


def _from_start(index: int, length: int) -> int:
    """Return an index that is not negative; negative ones count from the end.

    Raises:
        IndexError: It is out of range, by which loops over a sequence end.
    """
    if not -length <= index < length:
        raise IndexError(f"Index {index} is out of range for {length:,} rows.")
    return index % length


class StoredTexts(Sequence[str]):
    """A text column in a file, as a lazy sequence of R strings; "" where one is missing."""

    def __init__(self, table: StoredTable, name: str) -> None:
        self.table, self.name = table, name

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            return conversion.texts(self.table.slice_column(self.name, start, stop))[:: index.step]
        position = _from_start(index, len(self))
        return conversion.texts(self.table.slice_column(self.name, position, position + 1))[0]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _ROWS_AT_ONCE):
            yield from self[start : start + _ROWS_AT_ONCE]

    def at(self, rows: np.ndarray) -> Iterator[str]:
        """Yield the texts of some rows in the order of the file, so that each block of the file is decoded once."""
        rows = np.sort(rows)
        for start in range(0, len(self), _ROWS_AT_ONCE):
            low, high = np.searchsorted(rows, (start, start + _ROWS_AT_ONCE))
            if high > low:
                texts = self[start : start + _ROWS_AT_ONCE]
                yield from (texts[row - start] for row in rows[low:high].tolist())


def with_attributes(schema: pa.Schema, written: dict[str, str], decimal: str, widths: dict[str, int]) -> pa.Schema:
    """Return the schema with the formats of the columns as metadata, which `StoredTable.attrs` reads."""
    attributes = json.dumps({"written": written, "decimal": decimal, WIDTHS: widths}).encode()
    return schema.with_metadata({**(schema.metadata or {}), _ATTRIBUTES: attributes})


def use_system_allocator() -> None:
    """Let Arrow allocate from the system.

    Its default allocator reserves one GiB of address space, which counts against the memory limit of a run. Conversions
    from Arrow to NumPy ignore this setting when they have to copy.
    """
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())


def keep_numbers(table: Any, name: str, values: np.ndarray, derivation: str = "") -> np.ndarray:
    """Return numbers read from a column (R,), memory-mapped if the table is.

    Args:
        derivation: The name of the conversion; "" if the numbers are the values of the column.
    """
    if not isinstance(table, StoredTable):
        return values
    if derivation:
        return table.memory_mapped(name, derivation, values)
    lazy: Any = StoredNumbers(table, name)
    return lazy  # type: ignore[no-any-return]


def stored_numbers(table: Any, name: str) -> np.ndarray | None:
    """Return the lazy numbers of a stored column; None if it is in memory or needs a conversion."""
    if not isinstance(table, StoredTable) or not table.has_valid_numbers(name):
        return None
    lazy: Any = StoredNumbers(table, name, is_valid=True)
    return lazy  # type: ignore[no-any-return]


def keep_labels(table: Any, name: str, values: Labels) -> Labels:
    """Return categories read from a column, whose codes are memory-mapped if the table is."""
    if not isinstance(table, StoredTable):
        return values
    return Labels(table.memory_mapped(name, "labels", values.codes), values.names)


def keep_texts(table: Any, name: str, values: pd.Series) -> Sequence[str]:
    """Return the texts of a column; those of a stored table are read on access."""
    return StoredTexts(table, name) if isinstance(table, StoredTable) else conversion.texts(values)


def _as_floats(chunk: pa.Array) -> np.ndarray:
    """Return the numbers of an Arrow array; missing ones become NaN. Copies only if some are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if chunk.null_count or pa.types.is_boolean(chunk.type):
        chunk = pc.fill_null(pc.cast(chunk, pa.float64(), safe=False), float("nan"))
    numbers: np.ndarray = chunk.to_numpy()
    return numbers


def _out_of_range_to_nan(numbers: np.ndarray) -> np.ndarray:
    is_out_of_range = abs(numbers) > LARGEST
    return np.where(is_out_of_range, np.nan, numbers) if is_out_of_range.any() else numbers
