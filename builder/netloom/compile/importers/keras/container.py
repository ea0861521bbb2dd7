"""Reading of a file: a zip of configuration and weights, or JSON alone. The content is not trusted: all sizes are
limited, and no path in the zip is used on the disk."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import h5py
import numpy as np

from netloom.compile.importers.imported_model import UnreadableModelError, quoted
from netloom.compile.importers.zip_checks import DAMAGED, HARMLESS_BYTES, check_member, is_zip
from netloom.core.text import plain

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MAX_MEMBERS = 10_000
# Weights are read as float32, which takes up to four times the memory of smaller types in the file.
MAX_GROWTH = 4
MAX_CONFIG_BYTES = 32 * 2**20
MAX_WEIGHTS_BYTES = 8 * 2**30
_CHUNK = 2**20


@contextmanager
def open_model(path: Path) -> Iterator[tuple[Any, Weights | None]]:
    """The configuration of a Keras file, and its weights if it has any. The weights are valid within the context.

    Raises:
        UnreadableModelError: The file is damaged, too large, or not a Keras file.
    """
    try:
        if not is_zip(path):
            with path.open("rb") as file:
                yield parse_json(file.read(MAX_CONFIG_BYTES + 1)), None
            return
        with zipfile.ZipFile(path) as archive, TemporaryFile() as space:
            members = _members(archive)
            if CONFIG not in members:
                raise UnreadableModelError(
                    f"The zip has no {CONFIG}, so it is not a .keras file; save the model with model.save()."
                )
            config = parse_json(_text(archive, members[CONFIG]))
            if WEIGHTS not in members:
                yield config, None
                return
            _copy(archive, members[WEIGHTS], space)
            space.seek(0)
            with _hdf5(space) as file:
                yield config, Weights(file, max(HARMLESS_BYTES, MAX_GROWTH * members[WEIGHTS].file_size))
    # Also for errors in the body of the `with` statement, where weights are read
    except DAMAGED as error:
        raise UnreadableModelError(
            f"The zip is damaged or incomplete ({plain(str(error))[:80]}); save the model again."
        ) from None
    except OSError as error:
        reason = plain(error.strerror or str(error))[:80]
        raise UnreadableModelError(
            f"The file cannot be read ({reason}); check that it is there and complete."
        ) from None


def parse_json(data: bytes) -> Any:
    """Parse JSON of limited size.

    Raises:
        UnreadableModelError: The text is not JSON, too large, or too deeply nested.
    """
    if len(data) > MAX_CONFIG_BYTES:
        raise UnreadableModelError(
            f"The configuration is larger than {MAX_CONFIG_BYTES // 2**20} MiB, the limit for a model."
        )
    try:
        content = json.loads(data.decode("utf-8"))
        return (
            json.loads(content) if isinstance(content, str) else content
        )  # some save the text of to_json() as JSON again
    except RecursionError:
        raise UnreadableModelError("The configuration is nested too deeply to be a model.") from None
    except ValueError:
        raise UnreadableModelError(
            "The configuration is not JSON; save the text of model.to_json(), or model.save()."
        ) from None


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    # All headers are checked before any member is read; sizes are checked again while reading.
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise UnreadableModelError(f"The zip has {len(infos):,} members; the limit is {MAX_MEMBERS:,}.")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        check_member(info)
        if info.filename.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", info.filename):
            raise UnreadableModelError(
                f"The zip contains {quoted(info.filename)}, a path outside the archive, which is not allowed."
            )
        if info.filename in members:
            raise UnreadableModelError(f"The zip contains {quoted(info.filename)} twice; save the model again.")
        members[info.filename] = info
    return members


def _text(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as file:
        return file.read(MAX_CONFIG_BYTES + 1)


def _copy(archive: zipfile.ZipFile, info: zipfile.ZipInfo, space: IO[bytes]) -> None:
    if info.file_size > MAX_WEIGHTS_BYTES:
        raise UnreadableModelError(
            f"The weights take more than {MAX_WEIGHTS_BYTES // 2**30} GiB, the limit of an import."
        )
    remaining_bytes = info.file_size
    with archive.open(info) as file:
        while chunk := file.read(_CHUNK):
            # The declared size, which was checked, can be wrong: the data itself is counted.
            remaining_bytes -= len(chunk)
            if remaining_bytes < 0:
                raise UnreadableModelError("The zip contains more data than it declares; save the model again.")
            space.write(chunk)


def _hdf5(space: IO[bytes]) -> h5py.File:
    try:
        return h5py.File(space, "r")
    except (OSError, RuntimeError, ValueError, KeyError):
        raise UnreadableModelError(
            "The weights are not an HDF5 file or are damaged; save the model again with model.save()."
        ) from None


class Weights:
    """The weights in a group of an HDF5 file. Only plain arrays are read; links are refused."""

    def __init__(
        self, group: h5py.Group, max_bytes: int, arrays_by_address: dict[int, np.ndarray] | None = None
    ) -> None:
        self._group = group
        # The limit for all arrays together. HDF5 can compress, but Keras does not: more would be a decompression bomb.
        self._room = max_bytes
        self._known: dict[int, np.ndarray] = {} if arrays_by_address is None else arrays_by_address

    def group(self, *names: str) -> Weights | None:
        """The group at a path, if it exists."""
        group = self._group
        for name in names:
            member = self._member(group, name)
            if not isinstance(member, h5py.Group):
                return None
            group = member
        return Weights(group, self._room, self._known)

    def __len__(self) -> int:
        """The number of variables in this group."""
        holder = self.group("vars")
        return 0 if holder is None else len(holder._group)

    def arrays(self) -> list[np.ndarray]:
        """The variables in this group, in the order of Keras."""
        holder = self.group("vars")
        return [] if holder is None else [holder._array(str(number)) for number in range(len(self))]

    def _array(self, name: str) -> np.ndarray:
        member = self._member(self._group, name)
        try:
            return self._read(member, name)
        except UnreadableModelError:
            raise
        except (OSError, RuntimeError, ValueError, TypeError, KeyError, MemoryError):
            raise UnreadableModelError("The weights are damaged; save the model again with model.save().") from None

    def _read(self, dataset: Any, name: str) -> np.ndarray:
        # Virtual and external datasets would read other files of this machine.
        if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
            raise UnreadableModelError(
                f"The weights contain {quoted(name)}, which is not a plain array; save the model again."
            )
        if dataset.dtype.kind not in "fiu":
            raise UnreadableModelError(
                f"Weights of the type {quoted(dataset.dtype)} are not supported; save the model as float32."
            )
        # Hard links can give one dataset many names: it is read and counted once.
        address = h5py.h5o.get_info(dataset.id).addr
        if address not in self._known:
            bytes_read = sum(array.nbytes for array in self._known.values())
            if bytes_read + int(dataset.size or 0) * 4 > self._room:
                raise UnreadableModelError(
                    "The weights would unpack to much more than the size of their file; save them again."
                )
            self._known[address] = np.asarray(dataset[()], dtype=np.float32)
        return self._known[address]

    @staticmethod
    def _member(group: h5py.Group, name: str) -> Any:
        try:
            link = group.get(name, getlink=True)
            # External links lead to other files, and Keras writes only hard links.
            member = group[name] if isinstance(link, h5py.HardLink) else None
        except (OSError, RuntimeError, KeyError, ValueError, TypeError):
            raise UnreadableModelError("The weights are damaged; save the model again with model.save().") from None
        if link is not None and member is None:
            raise UnreadableModelError(f"The weights contain the link {quoted(name)}; only plain arrays are allowed.")
        return member
