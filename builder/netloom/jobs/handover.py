"""Objects that a worker hands over to the process that started it: the rows of data, without a copy of their arrays.

A value is pickled. Its arrays are not part of the bytes: they are written to anonymous memory, which the receiver maps,
or stay in the file from which the worker has mapped them. So the receiver spends the same time on large and small data.

Only what a worker of this process sends through its own channel is unpickled, never a file or what a person sent, and
only classes of Netloom, arrays and plain values are created.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

_ALIGNMENT = 64  # bytes, as NumPy aligns arrays for vector instructions
# Functions that create the objects of a pickle, besides classes of Netloom.
_FUNCTIONS = {
    ("netloom.jobs.handover", "mapped_array"),
    ("netloom.data.caching.memmap_cache", "reopened"),
    ("netloom.data.tables.arrow_table", "reopened"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("pathlib", "Path"),
    ("pathlib", "PosixPath"),
    ("pathlib._local", "Path"),  # in Python 3.13
    ("pathlib._local", "PosixPath"),
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "complex"),
    ("builtins", "slice"),
}


@dataclass(frozen=True)
class Handover:
    """A pickled value. `file` is the descriptor of the memory with its arrays, whose `sizes` are in bytes; None without
    arrays."""

    content: bytes
    sizes: list[int]
    file: int | None

    def close(self) -> None:
        if self.file is not None:
            os.close(self.file)


def pack(value: Any) -> Handover:
    """Pickle a value and write its arrays to a file, which the caller closes.

    Raises:
        OSError: there is no memory for them.
        TypeError, pickle.PicklingError: the value has a part that only exists in this process.
    """
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, 5, buffer_callback=buffers.append).dump(value)
    views = [buffer.raw() for buffer in buffers]
    sizes = [view.nbytes for view in views]
    if not views:
        return Handover(stream.getvalue(), [], None)
    file = _anonymous_file()
    try:
        for view, offset in zip(views, _offsets(sizes), strict=True):
            os.lseek(file, offset, os.SEEK_SET)
            while view.nbytes:
                view = view[os.write(file, view) :]
    except BaseException:
        os.close(file)
        raise
    return Handover(stream.getvalue(), sizes, file)


def unpack(handover: Handover) -> Any:
    """Return the value. Its arrays are read-only and map the file, which is closed.

    Raises:
        pickle.UnpicklingError: it has an object that is not allowed.
        OSError: a file from which the worker has mapped an array was removed.
    """
    buffers: list[memoryview] = []
    if handover.file is not None:
        try:
            size = os.fstat(handover.file).st_size
            content = mmap.mmap(handover.file, size, access=mmap.ACCESS_READ) if size else b""
        finally:
            handover.close()
        whole = memoryview(content)
        buffers = [
            whole[offset : offset + size] for offset, size in zip(_offsets(handover.sizes), handover.sizes, strict=True)
        ]
    return _Unpickler(io.BytesIO(handover.content), buffers=buffers).load()


def mapped_array(path: str, dtype: np.dtype, shape: tuple[int, ...], offset: int) -> np.ndarray:
    """Return the array of a file that the worker has mapped."""
    return np.memmap(path, dtype, "r", offset, shape).view(np.ndarray)


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.size and value.flags.c_contiguous:
            whole = _memmap_of(value)
            if whole is not None:
                # In bytes from the beginning of the file; `value` can be a part of the mapped array.
                offset = int(whole.offset) + value.ctypes.data - whole.ctypes.data
                return mapped_array, (str(whole.filename), value.dtype, value.shape, offset)
        return NotImplemented


def _memmap_of(array: np.ndarray) -> np.memmap[Any, Any] | None:
    """Return the read-only mapped file that contains an array; None if it is in memory."""
    mapped_file, base = None, array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.filename is not None and base.mode in ("r", "c"):
            mapped_file = base  # the last of several is the whole file, whose offset is known
        base = base.base  # type: ignore[assignment]
    return mapped_file


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _FUNCTIONS:
            return super().find_class(module, name)
        cls = getattr(import_module(module), name, None) if module.partition(".")[0] == "netloom" else None
        if isinstance(cls, type):
            return cls
        raise pickle.UnpicklingError(f"A worker handed over {module}.{name}, which is not allowed.")


def _offsets(sizes: list[int]) -> Iterator[int]:
    """Yield the place of each buffer in the file."""
    offset = 0
    for size in sizes:
        yield offset
        offset += -(-size // _ALIGNMENT) * _ALIGNMENT


def _anonymous_file() -> int:
    """Return the descriptor of a file without a name, which exists as long as a process has it open or mapped."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("netloom-handover")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
