"""Arrays in memory-mapped files: values computed from an upload that is too large for memory.

The files are in the folder of their upload, with a name derived from their inputs, so that runs and pages share them.
They are deleted with the upload; only the most recently used ones are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.document import write_bytes

FOLDER = "maps"
FORMAT = 1  # to increase whenever equal rows would be encoded differently
MAX_ENCODINGS = 3  # the number of encodings per upload that are kept
UNUSED_S = 86_400.0  # the time in seconds for which an unused column is kept
_INDEX = "index.json"


def key(*parts: Any) -> str:
    """Return a name derived from these parts, which are plain JSON."""
    return hashlib.sha256(json.dumps([FORMAT, *parts], sort_keys=True, default=str).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Mapped:
    """An array in a file. It can also be read without memory mapping, with `read`."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    descriptor: int  # open as long as this object exists, because the file can be removed meanwhile

    @classmethod
    def open(cls, path: Path, shape: Sequence[int], dtype: str) -> Mapped:
        """Open the file of an array.

        Raises:
            OSError: the file does not exist, or is too short.
        """
        mapped = cls(path, tuple(shape), np.dtype(dtype), os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
        # Tensors and workers share the object, so no one of them could close the descriptor
        close = weakref.finalize(mapped, os.close, mapped.descriptor)
        if os.fstat(mapped.descriptor).st_size != mapped.nbytes:
            close()
            raise OSError(f"{path} is cut short")
        return mapped

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def row_bytes(self) -> int:
        """Return the bytes of a row."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the file itself."""
        return reopened, (self.path, self.shape, self.dtype.str)

    def array(self) -> np.ndarray:
        """Return the read-only array, whose values are read from the file on access."""
        # An empty file cannot be mapped
        if not self.nbytes:
            return np.empty(self.shape, self.dtype)
        # A plain array, because indexing a memmap creates memmaps, which is slow
        return np.memmap(self.path, self.dtype, "r", shape=self.shape).view(np.ndarray)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return rows from the file in new memory. Unlike memory mapping, this does not keep pages in the memory of the
        process.

        Raises:
            OSError: the file is damaged.
        """
        values = np.empty((stop - start, *self.shape[1:]), self.dtype)
        view, offset = values.reshape(-1).view(np.uint8).data, start * self.row_bytes
        while view:
            count = _read(self.descriptor, view, offset)
            if not count:
                raise OSError(f"{self.path} is cut short")
            view, offset = view[count:], offset + count
        return values


def reopened(path: Path, shape: Sequence[int], dtype: str) -> Mapped:
    """Return a mapped array that another process handed over."""
    return Mapped.open(path, shape, dtype)


def _read(descriptor: int, view: memoryview, offset: int) -> int:
    # Positional, because threads share the descriptor and with it the file offset; Windows lacks preadv
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [view], offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    content = os.read(descriptor, len(view))
    view[: len(content)] = content
    return len(content)


class ArrayFiles:
    """Allocates arrays in files of a temporary folder, which gets its final name only when all are complete."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder / FOLDER, f"rows-{name}"
        self._index: dict[str, dict[str, Any]] = {}
        self._arrays: list[np.memmap[Any, Any]] = []
        self._unfinished: Path | None = None

    def load(self) -> dict[str, Mapped] | None:
        """Return the arrays if they exist already."""
        folder = self.folder / self.name
        try:
            index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
            arrays = {
                name: Mapped.open(folder / entry["file"], entry["shape"], entry["dtype"])
                for name, entry in index.items()
            }
        except (OSError, ValueError, KeyError, TypeError):
            return None
        with suppress(OSError):
            # `_forget` removes the encodings with the oldest time
            os.utime(folder)
        return arrays

    def array(self, name: str, shape: Sequence[int], dtype: Any) -> np.ndarray:
        """Return an array of zeros in a file.

        Raises:
            DataError: the disk has no space for it.
        """
        if self._unfinished is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            _forget_halves(self.folder)
            # In the same folder, so that the rename in `finish` is atomic
            self._unfinished = Path(tempfile.mkdtemp(prefix=".half-", dir=self.folder))
        kind = np.dtype(dtype)
        byte_count = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        refuse_full(self.folder, byte_count)
        file = f"{len(self._index)}.bin"
        self._index[name] = {"file": file, "shape": list(shape), "dtype": kind.str}
        if not byte_count:
            (self._unfinished / file).touch()
            return np.zeros(shape, kind)
        with (self._unfinished / file).open("wb") as stream:
            if hasattr(os, "posix_fallocate"):
                # Allocates the blocks: writing to a mapped file on a full disk would kill the process.
                os.posix_fallocate(stream.fileno(), 0, byte_count)
            else:
                stream.truncate(byte_count)
        array: np.memmap[Any, Any] = np.memmap(self._unfinished / file, kind, "r+", shape=tuple(shape))
        self._arrays.append(array)
        return array

    def finish(self) -> dict[str, Mapped]:
        """Return the arrays after all are filled."""
        if self._unfinished is None:
            raise ValueError("No array was made.")
        while self._arrays:
            self._arrays.pop().flush()
        # Written last: an array listed in the index is complete
        write_bytes(self._unfinished / _INDEX, json.dumps(self._index).encode())
        target = self.folder / self.name
        try:
            self._unfinished.rename(target)
        except OSError:  # another process has created the same arrays, or they are damaged
            if self.load() is None:
                shutil.rmtree(target, ignore_errors=True)
                self._unfinished.rename(target)
            else:
                shutil.rmtree(self._unfinished, ignore_errors=True)
        _forget(self.folder, target)
        arrays = self.load()
        if arrays is None:
            raise DataError("The cached files of this data cannot be read back; check the disk for errors.")
        return arrays

    def give_up(self) -> None:
        """Remove the incomplete files."""
        if self._unfinished is not None:
            shutil.rmtree(self._unfinished, ignore_errors=True)


def filled(folder: Path, parts: Sequence[Any], shape: Sequence[int], fill: Callable[[np.ndarray], Any]) -> np.ndarray:
    """Return a float32 array in a file: zeros, which `fill` changes unless it was filled before.

    Raises:
        DataError: the disk has no space for it.
    """
    cache = ArrayFiles(folder, key(*parts, list(shape)))
    arrays = cache.load()
    if arrays is None:
        try:
            fill(cache.array("values", shape, np.float32))
            arrays = cache.finish()
        except BaseException:
            cache.give_up()
            raise
    return arrays["values"].array()


def column(folder: Path, parts: Sequence[Any], values: np.ndarray) -> np.ndarray:
    """Return these numbers (R,), memory-mapped from a file, which is written unless it exists.

    Raises:
        DataError: the disk has no space for it.
    """
    path = folder / FOLDER / f"column-{key(*parts)}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _forget_columns(path.parent)
        refuse_full(path.parent, values.nbytes)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".half-", delete=False) as file:
            np.save(file, values)
            file.flush()
            os.fsync(file.fileno())
        # Atomic, as another process may write or map the same column
        os.replace(file.name, path)
    with suppress(OSError):
        os.utime(path)
    mapped: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def remembered(folder: Path | None, name: str, make: Callable[[], Any]) -> Any:
    """Return the result of `make`, plain JSON, cached in a file of this name; without a folder, it is not cached."""
    if folder is None:
        return make()
    path = folder / FOLDER / f"{name}.json"
    with suppress(OSError, ValueError):  # it does not exist yet, or is incomplete
        return json.loads(path.read_text(encoding="utf-8"))
    result = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, json.dumps(result, ensure_ascii=False).encode())
    return result


def refuse_full(folder: Path, byte_count: int) -> None:
    """Check the disk space.

    Raises:
        DataError: the disk has no space for this number of bytes.
    """
    free = shutil.disk_usage(folder).free
    if byte_count > free:
        raise DataError(
            f"This data needs {byte_count / 2**30:,.1f} GiB of disk space, but only {free / 2**30:,.1f} GiB are free; "
            "free some space, or use a part of the data."
        )


def _forget(folder: Path, but: Path) -> None:
    """Remove the least recently used encodings. Processes that have them open can still read them."""
    folders_by_time = []
    for path in folder.glob("rows-*"):
        with suppress(OSError):
            folders_by_time.append((path.stat().st_mtime, path))
    for _, path in sorted(folders_by_time, reverse=True)[MAX_ENCODINGS:]:
        if path != but:
            shutil.rmtree(path, ignore_errors=True)


def _forget_columns(folder: Path) -> None:
    for path in folder.glob("column-*.npy"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > UNUSED_S:
                path.unlink()


def _forget_halves(folder: Path) -> None:
    """Remove incomplete files of processes that have ended."""
    for path in folder.glob(".half-*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > UNUSED_S:
                # A younger one may belong to a process that is still writing
                shutil.rmtree(path) if path.is_dir() else path.unlink()
