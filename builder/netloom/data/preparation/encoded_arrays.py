"""Encodes all rows as arrays: in memory, or in memory-mapped files if they are too large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.data import limits
from netloom.data.caching import memmap_cache
from netloom.data.caching.memmap_cache import Mapped
from netloom.data.raw_dataset import in_memory
from netloom.modalities.encoding.field_encoder import FieldEncoder, FieldState, field_encoder

if TYPE_CHECKING:
    from netloom.data.raw_dataset import RawDataset

CHUNK, CHUNK_BYTES = 4_096, 2**24  # limits of the rows that are encoded at once, and of their bytes


def encoded(fields: Sequence[FieldState], raw: RawDataset) -> tuple[dict[str, np.ndarray], dict[str, Mapped]]:
    """Return all rows by field, and the files of the memory-mapped fields.

    Raises:
        DataError: the disk has no space for them.
    """
    encoders = list(map(field_encoder, fields))
    if raw.folder is None or not (raw.large or _bytes(raw, encoders) > limits.in_memory()):
        return _filled(encoders, raw, in_memory), {}
    cache = memmap_cache.ArrayFiles(
        raw.folder, memmap_cache.key(raw.identity, len(raw), [field.to_json() for field in fields])
    )
    arrays_in_files = cache.load()
    if arrays_in_files is None:
        try:
            _filled(encoders, raw, cache.array)
            arrays_in_files = cache.finish()
        except BaseException:
            # Also on KeyboardInterrupt, as half-written files would occupy the disk
            cache.give_up()
            raise
    # In the order of the schema; the files are in the order in which they were encoded
    arrays_in_files = {field.name: arrays_in_files[field.name] for field in fields}
    return {name: array.array() for name, array in arrays_in_files.items()}, arrays_in_files


def _bytes(raw: RawDataset, encoders: Sequence[FieldEncoder[Any]]) -> int:
    """Return the estimated bytes of all rows, from those of the first row."""
    first = [raw.row(0)]
    return sum(encoder.encode(first).nbytes for encoder in encoders) * len(raw)


def _filled(encoders: Sequence[FieldEncoder[Any]], raw: RawDataset, cache: Any) -> dict[str, np.ndarray]:
    """Return all rows, column by column if the data supports it; otherwise in parts, as lists of Python numbers take
    many times the memory."""
    arrays: dict[str, np.ndarray] = raw.encoded(encoders, cache)
    remaining = [encoder for encoder in encoders if encoder.name not in arrays]
    count = len(raw) if remaining else 0
    chunk = max(1, min(CHUNK, CHUNK_BYTES // max(1, _bytes(raw, remaining) // count))) if count else 1
    for start in range(0, count, chunk):
        rows = raw.rows(start, min(start + chunk, count))
        for encoder in remaining:
            part = encoder.encode(rows)
            if encoder.name not in arrays:
                arrays[encoder.name] = cache(encoder.name, (len(raw), *part.shape[1:]), part.dtype)
            arrays[encoder.name][start : start + len(part)] = part
    return {encoder.name: arrays[encoder.name] for encoder in encoders}
