"""Arrays from NPY and IDX files. Headers are checked before data is read, and nothing is unpickled."""

from __future__ import annotations

import io
import math
import struct
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.limits import MAX_AXES, MAX_FILE_BYTES, MAX_STORED_BYTES
from netloom.data.uploads.files.source import Source


def read_array(source: Source, name: str) -> np.ndarray:
    """Read a file as an array of numbers or texts.

    Raises:
        DataError: The file is damaged, holds Python objects, or is too large.
    """
    limit = min(MAX_STORED_BYTES, MAX_FILE_BYTES * 2)
    content = source.members.read(name, limit)
    return _idx(content, name) if source.members.form(name) == file_types.IDX else _npy(content, name)


def shape_of(source: Source, name: str) -> tuple[tuple[int, ...], str]:
    """Return the shape and dtype of an array, from its header.

    Raises:
        DataError: The header is damaged.
    """
    head = source.members.head(name)
    if source.members.form(name) == file_types.IDX:
        return _idx_shape(head, name), file_types.IDX_TYPES[head[2]][1:]
    shape, _, dtype = _npy_header(io.BytesIO(head), name)
    return shape, str(dtype)


def _idx_shape(content: bytes, name: str) -> tuple[int, ...]:
    axes = content[3]
    if len(content) < 4 + 4 * axes:
        raise DataError(f"{name[:100]!r} begins like an IDX file, but ends within its header.")
    # IDX is big-endian
    return struct.unpack_from(f">{axes}I", content, 4)


def _idx(content: bytes, name: str) -> np.ndarray:
    """Read an IDX file; http://yann.lecun.com/exdb/mnist/ describes the format."""
    shape = _idx_shape(content, name)
    dtype = np.dtype(file_types.IDX_TYPES[content[2]])
    start, data_bytes = 4 + 4 * len(shape), math.prod(shape) * dtype.itemsize
    if len(content) - start != data_bytes:
        raise DataError(
            f"{name[:100]!r} is an IDX file of shape {_shown(shape)}, which takes {data_bytes:,} bytes, but has "
            f"{len(content) - start:,}; it is cut short or damaged; copy it again."
        )
    array = np.frombuffer(content, dtype, offset=start).reshape(shape)
    # PyTorch only takes arrays of native byte order
    return array.astype(dtype.newbyteorder("="), copy=False)


def _npy_header(stream: io.BytesIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        # NumPy parses the header with `ast.literal_eval`, which large inputs can crash
        shape, fortran, dtype = read(stream, max_header_size=10_000)
    except Exception:
        # NumPy raises many kinds of errors on damaged headers; the remedy is the same.
        raise DataError(
            f"{name[:100]!r} is not a readable NPY array: its header is damaged; save it again with numpy.save."
        ) from None
    if dtype.hasobject:
        raise DataError(
            f"{name[:100]!r} holds Python objects, which is refused because opening them can run a program; "
            "save it as an array of numbers or texts."
        )
    if dtype.names is not None:
        raise DataError(f"{name[:100]!r} holds records with fields {dtype.names[:5]}; save it as CSV or Parquet.")
    if dtype.kind not in "biufUS" or len(shape) > MAX_AXES:
        raise DataError(f"{name[:100]!r} holds {dtype} of shape {_shown(shape)}; arrays of numbers or texts are read.")
    return shape, fortran, dtype


def _npy(content: bytes, name: str) -> np.ndarray:
    stream = io.BytesIO(content)
    shape, fortran, dtype = _npy_header(stream, name)
    start, data_bytes = stream.tell(), math.prod(shape) * dtype.itemsize
    if len(content) - start != data_bytes:
        raise DataError(
            f"{name[:100]!r} is an array of shape {_shown(shape)}, which takes {data_bytes:,} bytes, but has "
            f"{len(content) - start:,}; it is cut short or damaged; copy it again."
        )
    if not data_bytes:
        return np.zeros(shape, dtype)
    array = np.frombuffer(content, dtype, offset=start).reshape(shape[::-1] if fortran else shape)
    return array.T if fortran else array


def _shown(shape: tuple[int, ...]) -> str:
    return " × ".join(f"{length:,}" for length in shape) or "a single number"


def as_column(values: np.ndarray) -> Any:
    """Return an array (R,) as the column of a table; bytes are decoded."""
    import pandas as pd

    texts = np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values
    return pd.array(texts.astype(str), dtype="string") if texts.dtype.kind == "U" else texts
