"""The memory that a decoded file takes: a few bytes can decode to gigabytes, and are refused before that."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.data import limits

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

MAX_LINE_BYTES = 2**24  # of a table; more than any row of `limits.MAX_COLUMNS` cells needs
_PROBED_ROWS, _MAX_BATCH_ROWS = 256, 65_536
_BATCH_BYTES = 2**26


def row_bytes(file: parquet.ParquetFile) -> float:
    """Return the estimated bytes of a decoded row: the mean over the first rows, and at least 8 bytes per column."""
    numbers = 8.0 * int(file.metadata.num_columns)
    batch = next(file.iter_batches(batch_size=_PROBED_ROWS, use_threads=False), None)
    return max(numbers, decoded_bytes(batch) / batch.num_rows) if batch is not None and batch.num_rows else numbers


def read_parquet_table(file: parquet.ParquetFile, size: int, filename: str) -> pa.Table:
    """Return the table of a Parquet file of `size` bytes.

    Raises:
        DataError: The decoded table exceeds the memory limit.
    """
    import pyarrow as pa

    max_bytes = min(limits.MAX_UNPACKED_BYTES, max(limits.in_memory(), limits.MAX_RATIO * size))
    rows = max(_PROBED_ROWS, min(_MAX_BATCH_ROWS, int(_BATCH_BYTES // max(1.0, row_bytes(file)))))
    if _fixed_width_bytes(file) > max_bytes:
        raise _too_large(max_bytes, filename)
    memory_bytes, batches = 0, []
    # Batch by batch, because the sizes of texts are known only after decoding.
    for batch in file.iter_batches(batch_size=rows, use_threads=False):
        memory_bytes += decoded_bytes(batch)
        if memory_bytes > max_bytes:
            raise _too_large(max_bytes, filename)
        batches.append(batch)
    return pa.Table.from_batches(batches, file.schema_arrow)


def decoded_bytes(batch: pa.RecordBatch) -> int:
    """Return the bytes of a batch whose dictionary columns, which store long texts once, are decoded."""
    return sum(map(_decoded, batch.columns))


def refuse_long_lines(text: str, filename: str) -> None:
    """Refuse a text with a line that is too long for a row of a table.

    Raises:
        DataError: A line exceeds `MAX_LINE_BYTES`.
    """
    start = 0
    while len(text) - start > MAX_LINE_BYTES:
        # The last line break within the limit: the next line begins after it.
        end = max(text.rfind(mark, start, start + MAX_LINE_BYTES) for mark in "\n\r")
        if end < 0:
            raise _too_long(filename)
        start = end + 1


def refuse_long_lines_in(file: IO[bytes], filename: str) -> None:
    """Do the same as `refuse_long_lines` for a file, which is read in blocks."""
    since = 0
    while block := file.read(MAX_LINE_BYTES // 4):
        end = max(block.rfind(b"\n"), block.rfind(b"\r"))
        since = since + len(block) if end < 0 else len(block) - end - 1
        if since > MAX_LINE_BYTES:
            raise _too_long(filename)


def _fixed_width_bytes(file: parquet.ParquetFile) -> int:
    """Return the bytes of the columns with fixed-width types, a lower bound that is known without decoding."""
    import pyarrow as pa

    bits = sum(kind.bit_width for kind in file.schema_arrow.types if pa.types.is_primitive(kind))
    return int(file.metadata.num_rows * bits // 8)


def _too_large(most: int, filename: str) -> DataError:
    return DataError(
        f"{filename[:100]!r} would unpack to more than {most / 2**20:,.0f} MiB; at most {limits.MAX_RATIO} times its "
        f"size or {limits.in_memory() / 2**20:,.0f} MiB are allowed; upload a part of it, or raise "
        "NETLOOM_DATA_MEMORY_MB."
    )


def _too_long(filename: str) -> DataError:
    return DataError(
        f"{filename[:100]!r} has a line of more than {MAX_LINE_BYTES / 2**20:,.0f} MiB; save the table with one row "
        "per line."
    )


def _decoded(values: pa.Array) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if not pa.types.is_dictionary(kind):
        return int(values.nbytes)
    value_type = kind.value_type
    if pa.types.is_string(value_type) or pa.types.is_binary(value_type) or pa.types.is_large_string(value_type):
        lengths = pc.take(pc.binary_length(values.dictionary), values.indices)
        return int(pc.sum(lengths).as_py() or 0) + 8 * len(values)  # and an offset per text
    return 8 * len(values)
