"""Files that hold several arrays, as NPY files in their place: `X` of train.mat becomes train/X.npy."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np

from netloom.data import file_types
from netloom.data.limits import MAX_FILE_BYTES
from netloom.data.uploads.files import matfiles, series_files
from netloom.data.uploads.files.members import Files, Members


def unfolded(members: Members) -> Members:
    """Return files with the arrays of MAT files and of files of labeled series in their place.

    Raises:
        DataError: Such a file is damaged, too large, or has no arrays.
    """
    mat_names = [name for name in _candidates(members, matfiles.SUFFIX) if members.form(name) == file_types.MAT]
    texts = [name for name in _candidates(members, *series_files.SUFFIXES) if members.form(name) == file_types.TEXT]
    series = {name: content for name in texts if series_files.is_series_file(content := _content(members, name), name)}
    if not mat_names and not series:
        return members
    files: dict[str, bytes] = {
        name: members.read(name) for name in members.names if name not in mat_names and name not in series
    }
    for name in mat_names:
        files |= _stored(name, matfiles.rows_first(matfiles.read_mat(_content(members, name), name)))
    notes: list[str] = []
    if series:
        read = {name: series_files.read_series(content, name) for name, content in series.items()}
        arrays, notes = series_files.as_arrays(read)
        for name, named in arrays.items():
            files |= _stored(name, named)
    return Files(files, notes)


def _candidates(members: Members, *suffixes: str) -> list[str]:
    """Return the files of a type by name; in an archive, the first bytes of each of its files take long to read."""
    return [name for name in members.names if len(members.names) == 1 or name.lower().endswith(suffixes)]


def _content(members: Members, name: str) -> bytes:
    return members.read(name, MAX_FILE_BYTES)


def _stored(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    folder = str(PurePosixPath(name.replace("\\", "/")).with_suffix(""))
    return {f"{folder}/{variable}.npy": _npy(array) for variable, array in arrays.items()}


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()
