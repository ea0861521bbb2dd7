"""Tables larger than memory: kept as an Arrow file that is mapped, and read a column or a stretch at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np

from netloom.core.errors import DataError
from netloom.data.preparation import memmap_cache
from netloom.modalities.columns import conversion
from netloom.modalities.encoding.coercion import LARGEST
from netloom.modalities.labels import Labels

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ARROW = "table.arrow"
_ATTRIBUTES = b"netloom"
_AT_ONCE = 65_536  # rows of texts that are in memory at a time


class StoredTable:
    """A table in a file, to be used like one of pandas as far as columns are looked at one by one: each is read when it
    is asked for, and forgotten. `kept` are the rows that count, in order; None stands for all."""

    def __init__(self, path: Path, table: pa.Table, kept: np.ndarray | None = None) -> None:
        self.path, self.table, self.kept = path, table, kept
        self.columns = [str(name) for name in table.column_names]

    @classmethod
    def open(cls, path: Path) -> StoredTable:
        """The table of a file.

        Raises:
            DataError: it is damaged.
        """
        import pyarrow as pa

        lean()
        try:
            return cls(path, pa.ipc.open_file(pa.memory_map(str(path))).read_all())
        except (OSError, pa.ArrowException):
            raise DataError("What was kept of this upload is damaged; remove it, and upload the file again.") from None

    @property
    def attrs(self) -> dict[str, Any]:
        """How its columns were written, as tables of pandas have it."""
        known = (self.table.schema.metadata or {}).get(_ATTRIBUTES)
        return dict(json.loads(known)) if known else {}

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), len(self.columns)

    def __len__(self) -> int:
        return self.table.num_rows if self.kept is None else len(self.kept)

    @overload
    def __getitem__(self, what: str) -> pd.Series: ...
    @overload
    def __getitem__(self, what: list[str] | pd.Series | np.ndarray) -> StoredTable: ...
    def __getitem__(self, what: Any) -> Any:
        """A column by its name, a table of some columns by theirs, or of the rows for which something is true."""
        import pandas as pd

        if isinstance(what, str):
            values = self.table.select([what]).to_pandas()[what]
            return values if self.kept is None else values.iloc[self.kept].reset_index(drop=True)
        if isinstance(what, pd.Series) or (isinstance(what, np.ndarray) and what.dtype == bool):
            if np.asarray(what, dtype=bool).all():
                return StoredTable(self.path, self.table, self.kept)
            places = np.flatnonzero(np.asarray(what, dtype=bool))
            return StoredTable(self.path, self.table, places if self.kept is None else self.kept[places])
        return StoredTable(self.path, self.table.select(list(what)), self.kept)

    def typed(self, name: str) -> pd.Series:
        """A column of texts; of any other kind, none of its rows, as its type says what it is."""
        import pandas as pd

        first = self.table.select([name]).slice(0, 0).to_pandas()[name]
        return self[name] if pd.api.types.is_string_dtype(first) else first

    def holds(self, name: str) -> bool:
        """Whether a column holds anything."""
        column = self.table[name]
        return bool(column.null_count < len(column)) and (self.kept is None or bool(self[name].notna().any()))

    def sound(self, name: str) -> bool:
        """Whether a column holds numbers as such, none of which is too large."""
        import pyarrow.compute as pc
        from pyarrow import types

        column = self.table[name]
        if not (types.is_floating(column.type) or types.is_integer(column.type)) or not self.holds(name):
            return False
        found = pc.min_max(column).as_py()
        return all(abs(one) <= LARGEST for one in found.values())

    def items(self) -> Iterator[tuple[str, pd.Series]]:
        """Each column in turn."""
        for name in self.columns:
            yield name, self[name]

    def head(self, rows: int) -> pd.DataFrame:
        """The first rows, as a table of pandas."""
        if self.kept is None:
            return cast("pd.DataFrame", self.table.slice(0, rows).to_pandas())
        return cast("pd.DataFrame", self.table.take(self.kept[:rows]).to_pandas())

    def stretch(self, name: str, start: int, stop: int) -> pd.Series:
        """Some neighbouring rows of a column."""
        column = self.table.select([name])
        if self.kept is None:
            return cast("pd.Series", column.slice(start, stop - start).to_pandas()[name])
        places = self.kept[start:stop]
        if not len(places):
            return cast("pd.Series", column.slice(0, 0).to_pandas()[name])
        low, high = int(places[0]), int(places[-1]) + 1
        values: pd.Series = column.slice(low, high - low).to_pandas()[name]
        return values.iloc[places - low].reset_index(drop=True)

    def numbers(self, name: str, start: int, stop: int) -> np.ndarray:
        """Some neighbouring rows of a column of numbers, as float64; not a number where one is missing."""
        column = self.table[name]
        places = None if self.kept is None else self.kept[start:stop]
        if places is not None and len(places):
            start, stop = int(places[0]), int(places[-1]) + 1
        found, place = np.empty(max(0, stop - start)), 0
        for chunk in column.slice(start, stop - start).chunks:
            found[place : place + len(chunk)] = _unmasked(chunk)
            place += len(chunk)
        return found if places is None else np.asarray(found[places - start if len(places) else slice(0)])

    def all_known(self, names: Sequence[str]) -> np.ndarray:
        """Which rows lack none of these columns (R,)."""
        found = np.ones(len(self), dtype=bool)
        for name in names:
            found &= self[name].notna().to_numpy()
        return found

    def spilled(self, name: str, what: str, values: np.ndarray) -> np.ndarray:
        """What was worked out of a column, in a file beside the table instead of in memory. `what` tells it from other
        things that are worked out of the same column."""
        kept = "" if self.kept is None else hashlib.sha256(self.kept.tobytes()).hexdigest()
        return memmap_cache.column(self.path.parent, [name, what, kept, str(values.dtype), len(values)], values)


class Numbers:
    """A column of R numbers in a file, as an array (R,) of float64 that is read as it is asked for; not a number where
    one is missing, or far too large."""

    def __init__(self, table: StoredTable, name: str, *, sound: bool = False) -> None:
        self.table, self.name, self.sound = table, name, sound
        self.dtype = np.dtype(np.float64)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def shape(self) -> tuple[int]:
        return (len(self),)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self._read(0, len(self)).astype(dtype or np.float64, copy=False)

    def __getitem__(self, rows: Any) -> Any:
        """One number, those of a slice, or those of some rows by their numbers."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._read(start, max(start, stop))
        elif isinstance(rows, (int, np.integer)):
            place = int(rows) % len(self)
            return self._read(place, place + 1)[0]
        return np.asarray(self)[rows]

    def _read(self, start: int, stop: int) -> np.ndarray:
        found = self.table.numbers(self.name, start, stop)
        return found if self.sound else _finite(found)


class Strings(Sequence[str]):
    """A column of R texts in a file, empty where one is missing."""

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
            return conversion.texts(self.table.stretch(self.name, start, stop))[:: index.step]
        place = index % len(self)
        return conversion.texts(self.table.stretch(self.name, place, place + 1))[0]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self[start : start + _AT_ONCE]

    def at(self, rows: np.ndarray) -> Iterator[str]:
        """The texts of some rows, in the order of the file."""
        rows = np.sort(rows)
        for start in range(0, len(self), _AT_ONCE):
            low, high = np.searchsorted(rows, (start, start + _AT_ONCE))
            if high > low:
                texts = self[start : start + _AT_ONCE]
                yield from (texts[row - start] for row in rows[low:high].tolist())


def with_attributes(schema: pa.Schema, written: dict[str, str], decimal: str) -> pa.Schema:
    """A schema that says how the columns of its table were written."""
    attributes = json.dumps({"written": written, "decimal": decimal}).encode()
    return schema.with_metadata({**(schema.metadata or {}), _ATTRIBUTES: attributes})


def lean() -> None:
    """Have Arrow take its memory from the system as it needs it: its own allocator reserves a GiB, which counts as
    memory of a run. What makes numpy's arrays of Arrow's does not heed this where it needs memory."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())


def numbers(table: Any, name: str, found: np.ndarray, what: str = "") -> np.ndarray:
    """Numbers that were read from a column; of a stored table they stay in a file. `what` says how they were worked out
    of it, "" if they simply stand there."""
    if not isinstance(table, StoredTable):
        return found
    if what:
        return table.spilled(name, what, found)
    stands: Any = Numbers(table, name)
    return stands  # type: ignore[no-any-return]


def sound(table: Any, name: str) -> np.ndarray | None:
    """The numbers that stand in a column of a stored table as such, where nothing is wrong with any of them."""
    if not isinstance(table, StoredTable) or not table.sound(name):
        return None
    stands: Any = Numbers(table, name, sound=True)
    return stands  # type: ignore[no-any-return]


def labels(table: Any, name: str, found: Labels) -> Labels:
    """Categories that were read from a column; of a stored table their places stay in a file."""
    if not isinstance(table, StoredTable):
        return found
    return Labels(table.spilled(name, "labels", found.codes), found.names)


def texts(table: Any, name: str, values: pd.Series) -> Sequence[str]:
    """The texts of a column; of a stored table they stay in the file."""
    return Strings(table, name) if isinstance(table, StoredTable) else conversion.texts(values)


def _unmasked(chunk: pa.Array) -> np.ndarray:
    """Numbers of Arrow, looked at where they lie; not a number where one is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if chunk.null_count or pa.types.is_boolean(chunk.type):
        chunk = pc.fill_null(pc.cast(chunk, pa.float64(), safe=False), float("nan"))
    found: np.ndarray = chunk.to_numpy()
    return found


def _finite(found: np.ndarray) -> np.ndarray:
    wrong = abs(found) > LARGEST
    return np.where(wrong, np.nan, found) if wrong.any() else found
