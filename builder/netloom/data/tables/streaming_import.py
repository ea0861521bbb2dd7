"""Large tables as they come in: read twice by stretches of rows, first for their types, then to be kept."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data import file_types, limits
from netloom.data.decoded_size import refuse_long_lines_in, row_bytes
from netloom.data.preparation import memmap_cache
from netloom.data.tables import arrow_table, json_records, readers
from netloom.data.tables.dialect import LATIN, dialect_of, has_no_header, sample
from netloom.modalities.columns import conversion
from netloom.modalities.encoding.coercion import GROUPED, ISO

if TYPE_CHECKING:
    import pandas as pd

Tell = Callable[[float, str], None]
SAMPLE = 10_000  # rows that are looked at before a table is added
_CELLS = 4_000_000  # that are in memory at a time
_TEXT, _DATE, _BOOLEAN, _NUMBER, _NOTHING = "text", "date", "boolean", "number", "nothing"
_LOGICAL = "logical"  # true, false and missing, which are kept as texts


@dataclass
class _Kind:
    """What a column holds, as far as it was read. `exact` are the types of its numbers, `written` how its dates or its
    numbers are written."""

    kinds: set[str] = field(default_factory=set)
    exact: list[np.dtype] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    last: Any = None

    def see(self, values: pd.Series, decimal: str) -> None:
        """Take note of a stretch of the column."""
        import pandas as pd

        if not values.notna().any():
            self.kinds.add(_NOTHING)
            self.last = readers.inferred_column(values).dtype if self.last is None else self.last
            if pd.api.types.is_numeric_dtype(values):
                self.exact.append(np.dtype(np.float64) if values.dtype == object else _exact(values))
            return
        found = readers.inferred_column(values, decimal)
        self.last = found.dtype
        self.written |= {found.attrs["written"]} if "written" in found.attrs else set()
        if pd.api.types.is_bool_dtype(found):
            self.kinds.add(_BOOLEAN)
        elif pd.api.types.is_numeric_dtype(found):
            self.kinds.add(_NUMBER)
            self.exact.append(_exact(found))
        elif pd.api.types.is_datetime64_any_dtype(found):
            self.kinds.add(_DATE)
        elif pd.api.types.is_bool_dtype(values) or pd.api.types.infer_dtype(values, skipna=True) == "boolean":
            self.kinds.add(_LOGICAL)
        else:
            self.kinds.add(_TEXT)

    def settled(self) -> tuple[str, Any]:
        """What the whole column is, and its type."""
        kinds = self.kinds - {_NOTHING}
        if not kinds:
            return (_NUMBER if self.exact else _TEXT), np.dtype(np.float64) if self.exact else "string"
        if kinds == {_BOOLEAN}:
            return (_LOGICAL, "string") if _NOTHING in self.kinds else (_BOOLEAN, np.dtype(bool))
        if kinds == {_NUMBER}:
            alike = len(set(self.exact)) == 1
            return _NUMBER, self.exact[0] if alike else np.dtype(np.float64)
        if kinds == {_DATE} and len(self.written) <= 1:
            return _DATE, self.last
        return (_LOGICAL if kinds <= {_BOOLEAN, _LOGICAL} else _TEXT), "string"


def _exact(values: pd.Series) -> np.dtype:
    """The type of a column's numbers; those that pandas has beside NumPy's become float64 where one is missing."""
    kind = values.dtype
    return kind if isinstance(kind, np.dtype) else np.dtype(np.float64)


class Incoming:
    """A file that is a table too large to be read at once. `rows` are known only where the file says them."""

    rows: int | None = None
    decimal = "."

    def __init__(self, content: bytes | Path, filename: str) -> None:
        self.content, self.filename = content, filename
        self.notes: list[str] = []

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)

    def frames(self, types: dict[str, tuple[str, Any]] | None, tell: Tell) -> Iterator[pd.DataFrame]:
        """Stretches of rows, in order; where the types are known, texts are read as they stand."""
        raise NotImplementedError

    def sample(self) -> pd.DataFrame:
        """The first rows."""
        frame = next(self._read(None, readers_silent), None)
        if frame is None:
            raise DataError(f"{self.filename[:100]!r} has column names but no rows; put the rows below them.")
        return readers.plain_table(frame.head(SAMPLE), self.decimal)

    def keep(self, path: Path, tell: Tell) -> int:
        """Write the table as an Arrow file. Returns how many rows it has.

        Raises:
            DataError: it is damaged, or the disk has no room for it.
        """
        import pyarrow as pa

        arrow_table.lean()
        kinds, rows = self._kinds(tell)
        types = {name: kind.settled() for name, kind in kinds.items()}
        written = {name: next(iter(kind.written)) for name, kind in kinds.items() if len(kind.written) == 1}
        memmap_cache.refuse_full(path.parent, sum(_width(kind, dtype) for kind, dtype in types.values()) * rows)
        schema, count = None, 0
        with pa.OSFile(str(path), "wb") as file:
            writer = None
            for frame in self._read(types, lambda share, what: tell(0.45 + 0.45 * share, what)):
                plain = _plain(frame, types, written, self.decimal)
                if writer is None:
                    schema = arrow_table.with_attributes(
                        pa.Schema.from_pandas(plain, preserve_index=False), written, self.decimal
                    )
                    writer = pa.ipc.new_file(file, schema)
                writer.write_table(pa.Table.from_pandas(plain, schema=schema, preserve_index=False))
                count += len(plain)
                del plain, frame
            if writer is not None:
                writer.close()
        if not count:
            raise DataError(f"{self.filename[:100]!r} has column names but no rows; put the rows below them.")
        return count

    def _kinds(self, tell: Tell) -> tuple[dict[str, _Kind], int]:
        """What each column holds, and how many rows there are."""
        kinds: dict[str, _Kind] = {}
        rows = 0
        for frame in self._read(None, lambda share, what: tell(0.05 + 0.4 * share, what)):
            rows += len(frame)
            self._refuse(rows, frame.shape[1])
            for name, values in frame.items():
                kinds.setdefault(str(name), _Kind()).see(values, self.decimal)
        return kinds, rows

    def _read(self, types: dict[str, tuple[str, Any]] | None, tell: Tell) -> Iterator[pd.DataFrame]:
        """As `frames`, with errors in words."""
        try:
            for frame in self.frames(types, tell):
                frame.columns = readers.unique_names(frame.columns)
                if frame.shape[1] < 2:
                    raise DataError(
                        f"{self.filename[:100]!r} has one column; a table needs a column to predict and others to "
                        "learn from."
                    )
                if len(frame):
                    yield frame
        except (DataError, MemoryError):
            raise
        except Exception as error:
            # What reads these forms raises many kinds of errors; each means the same to a person.
            reason = readers.parser_reason(" ".join(str(error).split())[:150].rstrip(". "))
            raise DataError(f"{self.filename[:100]!r} cannot be read as a table: {reason}.") from None

    def _refuse(self, rows: int, columns: int) -> None:
        if rows > limits.MAX_STREAMED_ROWS or columns > limits.MAX_COLUMNS:
            raise DataError(
                f"{self.filename[:100]!r} has more than {limits.MAX_STREAMED_ROWS:,} rows or {limits.MAX_COLUMNS:,} "
                "columns; bring a part of it."
            )

    def _open(self) -> IO[bytes]:
        return self.content.open("rb") if isinstance(self.content, Path) else io.BytesIO(self.content)


class _Parquet(Incoming):
    def __init__(self, content: bytes | Path, filename: str) -> None:
        super().__init__(content, filename)
        from pyarrow import parquet

        try:
            with self._open() as file:
                opened = parquet.ParquetFile(file)
                self._about, self._row_bytes = opened.metadata, row_bytes(opened)
        except MemoryError:
            raise
        except Exception as error:
            # Arrow raises many kinds of errors on damaged files; each means the same to a person.
            raise readers.no_parquet(error, filename) from None
        self.rows, self.columns = self._about.num_rows, self._about.num_columns
        unpacked = sum(self._about.row_group(place).total_byte_size for place in range(self._about.num_row_groups))
        if unpacked > limits.MAX_STREAMED_BYTES:
            raise DataError(
                f"{filename[:100]!r} would unpack to more than {limits.MAX_STREAMED_BYTES / 2**30:,.0f} GiB; bring a "
                "part of it."
            )
        self._refuse(self.rows, self.columns)

    def memory(self) -> int:
        """What the whole table would take once it is decoded, going by its first rows."""
        return int((self.rows or 0) * self._row_bytes)

    def frames(self, types: dict[str, tuple[str, Any]] | None, tell: Tell) -> Iterator[pd.DataFrame]:
        from pyarrow import parquet

        at_once, done = _rows_at_once(self.columns), 0
        with self._open() as stream:
            file = parquet.ParquetFile(stream, pre_buffer=False, buffer_size=2**20)
            for batch in file.iter_batches(batch_size=at_once, use_threads=False):
                batch.validate(full=True)
                done += batch.num_rows
                tell(
                    done / max(1, self.rows or 0),
                    f"{'Keeping' if types else 'Looking at'} row {done:,} of {self.rows:,}",
                )
                # What pandas once wrote beside the columns (an index, types of its own) is not to be trusted.
                yield batch.replace_schema_metadata(None).to_pandas()


class _Text(Incoming):
    """CSV, or one JSON record per line, in UTF-8 or Windows-1252."""

    def __init__(self, content: bytes | Path, filename: str) -> None:
        super().__init__(content, filename)
        with self._open() as file:
            self._head = file.read(2**20)
        self._encoding = file_types.encoding_of(self._head)
        if self._encoding == "utf-8-sig":
            self._encoding = self._checked()
        self._json = json_records.BEGIN.match(self._head.decode(self._encoding, "replace")) is not None
        with self._open() as file:
            refuse_long_lines_in(file, filename)

    def _checked(self) -> str:
        """UTF-8, or Windows-1252 if it is not that."""
        import codecs

        decoder = codecs.getincrementaldecoder("utf-8")()
        with self._open() as file:
            try:
                while block := file.read(2**22):
                    decoder.decode(block)
            except UnicodeDecodeError:
                self.notes.append(
                    "The file is not UTF-8 and was read as Windows-1252; look whether its accents are right."
                )
                return LATIN
        return "utf-8-sig"

    def frames(self, types: dict[str, tuple[str, Any]] | None, tell: Tell) -> Iterator[pd.DataFrame]:
        with self._open() as file:
            read = self._records if self._json else self._csv
            rows = 0
            for frame in read(file, types):
                rows += len(frame)
                share = min(1.0, file.tell() / max(1, self.size))
                tell(share, f"{'Keeping' if types else 'Looking at'} row {rows:,}")
                yield frame

    def _csv(self, file: IO[bytes], types: dict[str, tuple[str, Any]] | None) -> Iterator[pd.DataFrame]:
        import pandas as pd

        head = self._head.decode(self._encoding, "replace")
        head = head[: head.rfind("\n") + 1] or head
        found = dialect_of(head)
        self.decimal = found.decimal
        rows = sample(head, found)
        headless = has_no_header(rows)
        if headless and not self.notes:
            self.notes.append("The first line looks like data, not like column names, so the columns were numbered.")
        names = readers.named(rows, headless)
        if names is None:
            raise DataError(f"{self.filename[:100]!r} cannot be read as CSV: its first line has no column names.")
        # A text is read as it stands: what looks like a number in one stretch may be a code in another.
        plain = [name for name in names if types and types.get(name, ("",))[0] in (_TEXT, _DATE)]
        frames = pd.read_csv(
            file,
            encoding=self._encoding,
            names=names,
            dtype=dict.fromkeys(plain, str) or None,
            chunksize=_rows_at_once(len(names)),
            **readers.csv_options(found, headless),
        )
        with frames:
            for frame in frames:
                frame = readers.without_last(frame, names)
                if not isinstance(frame.index, pd.RangeIndex):
                    raise DataError(f"{self.filename[:100]!r} has rows with more fields than there are column names.")
                columns = {name: readers.stripped(frame[name], found.decimal, as_texts=name in plain) for name in names}
                yield pd.DataFrame(columns).reset_index(drop=True)

    def _records(self, file: IO[bytes], types: dict[str, tuple[str, Any]] | None) -> Iterator[pd.DataFrame]:

        names: dict[str, None] = dict.fromkeys(types or {})
        lines = io.TextIOWrapper(file, self._encoding)
        rows: list[dict[str, Any]] = []
        for place, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line, parse_constant=json_records.refuse_constant)
            except (ValueError, RecursionError):
                value = None
            if not isinstance(value, dict):
                raise DataError(
                    f"Line {place:,} of {self.filename[:100]!r} is no JSON record; a large file has one in each line."
                )
            rows.append(dict(json_records.flattened(value)))
            names.update(dict.fromkeys(rows[-1]))
            if len(rows) * max(1, len(names)) >= _CELLS // 8:
                yield _frame(rows, names, types)
                rows = []
        if rows:
            yield _frame(rows, names, types)
        lines.detach()


def incoming(content: bytes | Path, form: str, filename: str) -> Incoming | None:
    """A file that is a table too large to be read at once; None where it is small, or is no such table.

    Raises:
        DataError: it is damaged, or too large even for this.
    """
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    if form not in (file_types.PARQUET, file_types.TEXT) or (form == file_types.TEXT and not _much_text(content, size)):
        return None
    if size > limits.MAX_STREAMED_BYTES:
        raise DataError(
            f"{filename[:100]!r} is too large; at most {limits.MAX_STREAMED_BYTES / 2**30:,.0f} GiB can be read."
        )
    if form == file_types.TEXT:
        return _Text(content, filename)
    found = _Parquet(content, filename)
    if found.memory() > size * limits.MAX_RATIO:
        return None  # so much out of so little means harm, and is refused as in any small file
    many = (found.rows or 0) > limits.MAX_ROWS or size > limits.MAX_FILE_BYTES
    return found if many or found.memory() > limits.in_memory() else None


def _much_text(content: bytes | Path, size: int) -> bool:
    """Whether a text is large, or has more lines than are read at once."""
    if size > min(limits.in_memory(), limits.MAX_FILE_BYTES):
        return True
    if size <= 2 * limits.MAX_ROWS:
        return False
    with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(2**22), b"")) > limits.MAX_ROWS


def readers_silent(share: float, what: str) -> None:
    """Tells nobody how far it is."""


def _frame(
    rows: list[dict[str, Any]], names: dict[str, None], types: dict[str, tuple[str, Any]] | None
) -> pd.DataFrame:
    import pandas as pd

    # Where a column holds texts among others, numbers must not become such with a point before they are written.
    return pd.DataFrame(
        {
            name: pd.Series(
                [row.get(name) for row in rows], dtype=object if types and types[name][0] == _TEXT else None
            )
            for name in names
        }
    )


def _rows_at_once(columns: int) -> int:
    return max(1_024, min(65_536, _CELLS // max(1, columns)))


def _width(kind: str, dtype: Any) -> int:
    return np.dtype(dtype).itemsize if kind in (_NUMBER, _BOOLEAN) else 8


def _plain(
    frame: pd.DataFrame, types: dict[str, tuple[str, Any]], written: dict[str, str], decimal: str
) -> pd.DataFrame:
    """A stretch of rows in the types that the whole table has."""
    import pandas as pd

    found = {}
    for name, (kind, dtype) in types.items():
        if name in frame.columns:
            found[name] = _as(frame[name], kind, dtype, written.get(name, ISO), decimal)
        else:
            found[name] = pd.Series(np.nan if kind == _NUMBER else None, index=frame.index, dtype=dtype)
    return pd.DataFrame(found)


def _as(values: pd.Series, kind: str, dtype: Any, written: str, decimal: str) -> pd.Series:
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.dtype.categories.dtype)
    if kind == _NUMBER and pd.api.types.is_string_dtype(values):
        return readers.as_numbers(values, decimal, grouped=written == GROUPED).astype(dtype)
    if kind in (_NUMBER, _BOOLEAN):
        return readers.inferred_column(values, decimal).astype(dtype)
    if kind == _DATE and not pd.api.types.is_datetime64_any_dtype(values):
        return conversion.dated(readers.to_texts(values), written).astype(dtype)
    if kind == _DATE:
        return pd.to_datetime(values, utc=True).astype(dtype)
    return readers.to_texts(values)
