"""Arrays in MAT files of MATLAB and Octave. Nothing but numbers and texts is read.

Version 7.3 is HDF5, with the axes in reverse order: https://www.mathworks.com/help/matlab/import_export/mat-file-versions.html
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.limits import MAX_AXES, MAX_STORED_BYTES

SUFFIX = ".mat"
_DEPTH = 2  # of structures within structures
_ITEM_BYTES = 8  # of the largest type of numbers
_LONGEST = 200  # characters of the name of a variable


def read_mat(content: bytes, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of a MAT file by the names of their variables; those of structures are `structure.field`.

    Raises:
        DataError: The file is damaged, too large, or has no arrays.
    """
    read = _read_hdf5 if content.startswith(file_types.MAT_HDF5) else _read_level5
    try:
        variables = read(io.BytesIO(content))
    except (DataError, MemoryError):
        raise
    except Exception:
        # SciPy and HDF5 raise many kinds of errors on damaged files; the remedy is the same.
        raise DataError(
            f"{name[:100]!r} is not a readable MAT file: it is damaged or incomplete; copy or save it again."
        ) from None
    arrays = {key[:_LONGEST].replace("/", "_"): array for key, array in _arrays(variables, "", 0)}
    if not arrays:
        listed = ", ".join(f"{key[:40]!r}" for key in list(variables)[:6]) or "nothing"
        raise DataError(
            f"{name[:100]!r} has no arrays of numbers or texts (found: {listed}); save an array of inputs and one of "
            "targets, such as save('data.mat', 'X', 'y')."
        )
    return arrays


def rows_first(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return arrays whose first axis is that of the rows, which MATLAB often has last, such as 32 × 32 × 3 × rows.

    Columns and rows of numbers become vectors; their lengths are the possible numbers of rows.
    """
    flat = {name: _vector(array) for name, array in arrays.items()}
    lengths = {len(array) for array in flat.values() if array.ndim == 1}
    return {
        name: np.moveaxis(array, -1, 0)
        if array.ndim > 1 and array.shape[0] not in lengths and array.shape[-1] in lengths
        else array
        for name, array in flat.items()
    }


def _vector(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1) if array.ndim == 2 and 1 in array.shape else array


def _read_level5(stream: io.BytesIO) -> dict[str, Any]:
    from scipy.io import loadmat, whosmat

    variables = whosmat(stream)
    _refuse_large(sum(math.prod(shape) * _ITEM_BYTES for _, shape, kind in variables if kind != "sparse"))
    readable = [name for name, _, kind in variables if kind not in ("function", "opaque", "object", "unknown")]
    stream.seek(0)
    contents: dict[str, Any] = loadmat(stream, variable_names=readable, struct_as_record=True)
    return {name: value for name, value in contents.items() if not name.startswith("__")}


def _read_hdf5(stream: io.BytesIO) -> dict[str, Any]:
    import h5py

    with h5py.File(stream, "r") as file:
        return _group(file, 0)


def _group(group: Any, depth: int) -> dict[str, Any]:
    """Return the arrays of an HDF5 group; links and data in other files are not followed."""
    import h5py

    datasets: dict[str, Any] = {}
    for name in group:
        if name.startswith("#") or not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            if depth < _DEPTH:
                datasets |= {f"{name}.{key}": value for key, value in _group(item, depth + 1).items()}
        elif item.dtype.kind in "biuf" and not item.is_virtual and item.external is None:
            kind = item.attrs.get("MATLAB_class", b"")
            _refuse_large(item.size * _ITEM_BYTES)
            if kind not in (b"char", b"cell") and "MATLAB_empty" not in item.attrs:
                datasets[name] = item[()].T
    return datasets


def _refuse_large(size: int) -> None:
    if size > MAX_STORED_BYTES:
        raise DataError(
            f"The arrays of the MAT file take {size / 2**20:,.0f} MiB; at most {MAX_STORED_BYTES / 2**20:,.0f} MiB can "
            "be read, so save a part of them."
        )


def _arrays(variables: Mapping[str, Any], before: str, depth: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of numbers and texts in variables and structures."""
    for name, value in variables.items():
        array = value.toarray() if hasattr(value, "toarray") and value.shape[0] * value.shape[1] < 2**26 else value
        if not isinstance(array, np.ndarray):
            continue
        if array.dtype.names is not None and array.size == 1 and depth < _DEPTH:
            fields = {field: array.reshape(-1)[0][field] for field in array.dtype.names}
            yield from _arrays(fields, f"{before}{name}.", depth + 1)
        elif array.dtype.kind == "O" and array.dtype.names is None:
            with suppress(ValueError):
                yield f"{before}{name}", _texts(array)
        elif array.dtype.kind in "biufU" and array.dtype.names is None and array.ndim <= MAX_AXES and array.size:
            yield f"{before}{name}", np.char.strip(array) if array.dtype.kind == "U" else array


def _texts(cells: np.ndarray) -> np.ndarray:
    """Return a cell array of texts.

    Raises:
        ValueError: It holds something else.
    """
    texts = [cell.item() if isinstance(cell, np.ndarray) and cell.size == 1 else cell for cell in cells.reshape(-1)]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError
    return np.array(texts).reshape(cells.shape)
