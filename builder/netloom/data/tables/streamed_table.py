"""Base of the tables that are too large to be read at once: a reader of chunks, and the two passes of an import."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.core.progress import ProgressCallback, ignore_progress
from netloom.data import limits
from netloom.data.caching import memmap_cache
from netloom.data.tables import arrow_table, plain_types, readers
from netloom.data.tables.code_columns import ZeroPadded
from netloom.data.tables.streamed_types import ColumnScan, ColumnType, typed_chunk

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_ROWS = 10_000  # shown and inferred from before a table is added
MAX_CELLS = 4_000_000  # in memory at a time: 32 MB of numbers
Types = Mapping[str, ColumnType]


class StreamedTable:
    """A table in a file that is too large to be read at once.

    It is imported in two passes: the first finds a type for each column that fits all rows, the second writes the rows
    with these types to an Arrow file. Only one chunk of rows is in memory at a time.

    Attributes:
        rows: The number of rows, if the file declares it.
        decimal: The decimal mark of the cells.
        widths: The digits of columns of padded numbers, by column.
        notes: What had to be assumed while the file was read.
    """

    rows: int | None = None
    decimal = "."
    widths: Mapping[str, int] = MappingProxyType({})

    def __init__(self, content: bytes | Path, filename: str) -> None:
        self.content, self.filename = content, filename
        self.notes: list[str] = []

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)

    def chunks(self, types: Types | None, progress: ProgressCallback) -> Iterator[pd.DataFrame]:
        """Yield chunks of neighboring rows. If the `types` are known, cells of text columns are read literally."""
        raise NotImplementedError

    def sample(self) -> pd.DataFrame:
        """Return the first rows.

        Raises:
            DataError: There are none.
        """
        chunk = next(self._checked_chunks(None, ignore_progress), None)
        if chunk is None:
            raise self._no_rows()
        padded = ZeroPadded([], dict(self.widths))
        return plain_types.plain_table(chunk.head(SAMPLE_ROWS), self.decimal, padded=padded)

    def write_arrow(self, path: Path, progress: ProgressCallback) -> int:
        """Write the table as an Arrow file.

        Returns:
            The number of rows.

        Raises:
            DataError: The file is damaged, or the disk is too full.
        """
        import pyarrow as pa

        arrow_table.use_system_allocator()
        scans, rows = self._scan(progress)
        types = {name: scan.column_type for name, scan in scans.items()}
        formats = {name: scan.format for name, scan in scans.items() if scan.format is not None}
        memmap_cache.refuse_full(path.parent, sum(column.cell_bytes for column in types.values()) * rows)
        schema, count = None, 0
        with pa.OSFile(str(path), "wb") as file:
            writer = None
            for chunk in self._checked_chunks(types, lambda share, phase: progress(0.45 + 0.45 * share, phase)):
                typed = typed_chunk(chunk, types, formats, self.decimal)
                if writer is None:
                    schema = arrow_table.with_attributes(
                        pa.Schema.from_pandas(typed, preserve_index=False), formats, self.decimal, dict(self.widths)
                    )
                    writer = pa.ipc.new_file(file, schema)
                writer.write_table(pa.Table.from_pandas(typed, schema=schema, preserve_index=False))
                count += len(typed)
                del typed, chunk  # the next chunk is read before the names are bound again
            if writer is not None:
                writer.close()
        if not count:
            raise self._no_rows()
        return count

    def _scan(self, progress: ProgressCallback) -> tuple[dict[str, ColumnScan], int]:
        """Return the contents of each column, and the number of rows."""
        scans: dict[str, ColumnScan] = {}
        rows = 0
        for chunk in self._checked_chunks(None, lambda share, phase: progress(0.05 + 0.4 * share, phase)):
            rows += len(chunk)
            self._refuse_size(rows, chunk.shape[1])
            for name, values in chunk.items():
                scans.setdefault(str(name), ColumnScan()).update(values, self.decimal)
        return scans, rows

    def _checked_chunks(self, types: Types | None, progress: ProgressCallback) -> Iterator[pd.DataFrame]:
        """Yield the chunks that have rows, with unique column names.

        Raises:
            DataError: The file cannot be read, or has a single column.
        """
        try:
            for chunk in self.chunks(types, progress):
                chunk.columns = plain_types.unique_names(chunk.columns)
                if chunk.shape[1] < 2:
                    raise DataError(
                        f"{self.filename[:100]!r} has one column; a table needs a column to predict and others to "
                        "learn from."
                    )
                if len(chunk):
                    yield chunk
        except (DataError, MemoryError):
            raise
        except Exception as error:
            # The readers raise many kinds of errors; the remedy is the same.
            reason = readers.parser_reason(" ".join(str(error).split())[:150].rstrip(". "))
            raise DataError(f"{self.filename[:100]!r} cannot be read as a table: {reason}.") from None

    def _refuse_size(self, rows: int, columns: int) -> None:
        if rows > limits.MAX_STREAMED_ROWS or columns > limits.MAX_COLUMNS:
            raise DataError(
                f"{self.filename[:100]!r} has more than {limits.MAX_STREAMED_ROWS:,} rows or {limits.MAX_COLUMNS:,} "
                "columns; upload a part of it."
            )

    def _no_rows(self) -> DataError:
        return DataError(f"{self.filename[:100]!r} has column names but no rows; put the rows below them.")

    @staticmethod
    def rows_per_chunk(columns: int) -> int:
        """Return the number of rows per chunk of a table with this number of columns."""
        return max(1_024, min(65_536, MAX_CELLS // max(1, columns)))

    def _open(self) -> IO[bytes]:
        return self.content.open("rb") if isinstance(self.content, Path) else io.BytesIO(self.content)


def max_record_cells() -> int:
    """Return the number of cells of JSON records per chunk; fewer than of arrays, as each cell is a Python object."""
    return MAX_CELLS // 8


def phase_of(types: Types | None, rows: int, total: int | None = None) -> str:
    """Return the phrase for the progress of either pass."""
    of_total = f" of {total:,}" if total is not None else ""
    return f"{'Storing' if types else 'Scanning'} row {rows:,}{of_total}"
