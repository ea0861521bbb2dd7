"""Parquet files that are too large to be read at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.core.progress import ProgressCallback
from netloom.data import limits
from netloom.data.decoded_size import row_bytes
from netloom.data.tables import readers
from netloom.data.tables.streamed_table import StreamedTable, Types, phase_of

if TYPE_CHECKING:
    import pandas as pd


class StreamedParquet(StreamedTable):
    """A Parquet file, read in batches of rows."""

    def __init__(self, content: bytes | Path, filename: str) -> None:
        super().__init__(content, filename)
        from pyarrow import parquet

        try:
            with self._open() as file:
                opened = parquet.ParquetFile(file)
                metadata, self._row_bytes = opened.metadata, row_bytes(opened)
        except MemoryError:
            raise
        except Exception as error:
            # Arrow raises many kinds of errors on damaged files; the remedy is the same.
            raise readers.parquet_error(error, filename) from None
        self.rows, self.columns = metadata.num_rows, metadata.num_columns
        unpacked = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
        if unpacked > limits.MAX_STREAMED_BYTES:
            raise DataError(
                f"{filename[:100]!r} would unpack to more than {limits.MAX_STREAMED_BYTES / 2**30:,.0f} GiB; upload a "
                "part of it."
            )
        self._refuse_size(self.rows, self.columns)

    @property
    def decoded_bytes(self) -> int:
        """The estimated size of the decoded table in memory, extrapolated from its first rows."""
        return int((self.rows or 0) * self._row_bytes)

    def chunks(self, types: Types | None, progress: ProgressCallback) -> Iterator[pd.DataFrame]:
        from pyarrow import parquet

        rows = 0
        with self._open() as stream:
            # Without prefetching, memory holds one batch; `buffer_size` reads column chunks in parts.
            file = parquet.ParquetFile(stream, pre_buffer=False, buffer_size=2**20)
            for batch in file.iter_batches(batch_size=self.rows_per_chunk(self.columns), use_threads=False):
                batch.validate(full=True)
                rows += batch.num_rows
                progress(rows / max(1, self.rows or 0), phase_of(types, rows, self.rows))
                # The metadata of pandas (an index, extension types) is not trusted.
                yield batch.replace_schema_metadata(None).to_pandas()
