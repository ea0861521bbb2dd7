"""Chooses the files that are imported in chunks, because they are too large to be read at once."""

from __future__ import annotations

import io
from pathlib import Path

from netloom.core.errors import DataError
from netloom.data import file_types, limits
from netloom.data.tables.streamed_parquet import StreamedParquet
from netloom.data.tables.streamed_table import StreamedTable
from netloom.data.tables.streamed_text import StreamedText


def streamed_table(content: bytes | Path, form: str, filename: str) -> StreamedTable | None:
    """Return the table of a file that is too large to be read at once; None for other files.

    Raises:
        DataError: The file is damaged, or too large even to be streamed.
    """
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    if form not in (file_types.PARQUET, file_types.TEXT) or (form == file_types.TEXT and not _is_large(content, size)):
        return None
    if size > limits.MAX_STREAMED_BYTES:
        raise DataError(
            f"{filename[:100]!r} is too large; at most {limits.MAX_STREAMED_BYTES / 2**30:,.0f} GiB can be read."
        )
    if form == file_types.TEXT:
        return StreamedText(content, filename)
    table = StreamedParquet(content, filename)
    if table.decoded_bytes > size * limits.MAX_RATIO:
        return None  # such a ratio suggests a decompression bomb; the reader of small files refuses it
    is_large = (table.rows or 0) > limits.MAX_ROWS or size > limits.MAX_FILE_BYTES
    return table if is_large or table.decoded_bytes > limits.in_memory() else None


def _is_large(content: bytes | Path, size: int) -> bool:
    """Return whether a text has more bytes or lines than are read at once."""
    if size > min(limits.in_memory(), limits.MAX_FILE_BYTES):
        return True
    if size <= 2 * limits.MAX_ROWS:  # a row has at least a cell and a line break
        return False
    with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(2**22), b"")) > limits.MAX_ROWS
