"""Reading of a .pt2 file: a zip of JSON and raw tensors. Nothing in it is unpickled, executed or extracted to disk."""

from __future__ import annotations

import json
import math
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from netloom.compile.importers.imported_model import UnreadableModelError, quoted
from netloom.compile.importers.zip_checks import DAMAGED, check_member, is_zip
from netloom.core.text import plain

MODEL = "models/model.json"
PREPROCESS = "extra/preprocess.json"
WEIGHTS = ("data/weights/", "model_weights_config.json")
CONSTANTS = ("data/constants/", "model_constants_config.json")
MAX_MEMBERS = 50_000
MAX_JSON_BYTES = 256 * 2**20
MAX_WEIGHTS_BYTES = 8 * 2**30
MAX_AXES = 8
# The NumPy data type for each ScalarType of torch.export; bfloat16 is read as the upper half of a float32.
BFLOAT16 = 13
KINDS = {1: "u1", 2: "i1", 3: "i2", 4: "i4", 5: "i8", 6: "f2", 7: "f4", 8: "f8", 12: "?", BFLOAT16: "u2"}
_AGAIN = "save it again with torch.export.save"
_DAMAGED = (*DAMAGED, RuntimeError)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Archive:
    """The JSON of a program, and its tensors by their names in the module.

    `places` holds the location of each tensor in the file: tensors with the same location are tied. `refused` holds
    the reason for each tensor that is not loaded. `preprocess` is the JSON that Netloom adds to its own exports.
    """

    model: dict[str, Any]
    tensors: dict[str, Array]
    places: dict[str, str]
    refused: dict[str, str] = field(default_factory=dict)
    preprocess: str = ""


def looks_like_pt2(path: Path) -> bool:
    """Whether a file is an archive of torch.export, in the current format or an earlier one."""
    try:
        if not is_zip(path):
            return False
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:MAX_MEMBERS]
    except (OSError, ValueError, *_DAMAGED):
        return False
    return any(name.endswith((MODEL, "archive_format")) or _is_legacy(name) for name in names)


def _is_legacy(name: str) -> bool:
    return name.rpartition("/")[2] in ("serialized_exported_program.json", "serialized_state_dict.pt")


def read(path: Path) -> Archive:
    """Read an archive.

    Raises:
        UnreadableModelError: The archive is damaged, too large, or of an earlier format, which is a pickle.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(_Members(archive))
    except _DAMAGED as error:
        reason = plain(str(error))[:80]
        raise UnreadableModelError(f"The archive is damaged or incomplete ({reason}); {_AGAIN}.") from None
    except OSError as error:
        reason = plain(error.strerror or str(error))[:80]
        raise UnreadableModelError(
            f"The file cannot be read ({reason}); check that it is there and complete."
        ) from None


def _read(members: _Members) -> Archive:
    if members.is_legacy:
        raise UnreadableModelError(
            f"This program was written by an older PyTorch, as a pickle; {_AGAIN} of PyTorch 2.11 or later."
        )
    model = members.json(MODEL)
    order = members.text("byteorder") or sys.byteorder
    tensors: dict[str, Array] = {}
    storages: dict[str, str] = {}
    refused: dict[str, str] = {}
    for folder, config in (WEIGHTS, CONSTANTS):
        if not members.has(folder + config):
            continue
        entries = members.json(folder + config).get("config")
        if not isinstance(entries, dict):
            raise UnreadableModelError(
                f"The list of weights, {config}, does not have the format of torch.export; {_AGAIN}."
            )
        for name, entry in entries.items():
            with _described(name):
                if entry.get("use_pickle") or entry.get("tensor_meta") is None:
                    # An error only if an operator reads it
                    refused[name] = "is a pickled object, which is never loaded"
                    continue
                path = f"{folder}{entry['path_name']}"
                tensors[name] = _tensor(members.raw(path), entry["tensor_meta"], name, order)
                meta = entry["tensor_meta"]
                storages[name] = f"{path} {meta['sizes']} {meta['strides']} {meta['storage_offset']}"
    return Archive(model, tensors, storages, refused, members.text(PREPROCESS, MAX_JSON_BYTES))


@contextmanager
def _described(name: str) -> Iterator[None]:
    try:
        yield
    except UnreadableModelError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, MemoryError):
        raise UnreadableModelError(
            f"The tensor {quoted(name)} does not have the format of torch.export; {_AGAIN}."
        ) from None


def _tensor(data: bytes, meta: dict[str, Any], name: str, order: str) -> Array:
    """The bytes of a tensor as an array.

    Raises:
        UnreadableModelError: The data type is not supported, or shape and strides reach beyond the data.
    """
    kind = meta["dtype"]
    if kind not in KINDS:
        raise UnreadableModelError(
            f"The tensor {quoted(name)} has a data type that is not supported; save it as float32."
        )
    sizes, strides = [whole(size) for size in meta["sizes"]], [whole(step) for step in meta["strides"]]
    offset = whole(meta["storage_offset"])
    width = np.dtype(KINDS[kind])
    flat = np.frombuffer(data, width.newbyteorder("<" if order.startswith("little") else ">"))
    # The index of the last element: as_strided does not check bounds, so that it is checked here.
    reach = offset + sum((size - 1) * step for size, step in zip(sizes, strides, strict=True))
    count = math.prod(sizes)
    if len(sizes) > MAX_AXES or min([0, offset, *sizes, *strides]) < 0 or count > max(len(flat), 1):
        raise UnreadableModelError(
            f"The tensor {quoted(name)} has an impossible shape; the file is damaged, so {_AGAIN}."
        )
    if count and not 0 <= reach < len(flat):
        raise UnreadableModelError(
            f"The tensor {quoted(name)} has a different number of values than its shape; {_AGAIN}."
        )
    if not count:
        return np.zeros(sizes, np.float32)
    view = np.lib.stride_tricks.as_strided(
        flat[offset:], sizes, [step * width.itemsize for step in strides], writeable=False
    )
    if kind == BFLOAT16:
        # The bits of a bfloat16 are the upper 16 bits of the equal float32.
        return (view.astype(np.uint32) << 16).view(np.float32)
    if width.kind == "f":
        return np.ascontiguousarray(view, np.float32).reshape(sizes)
    return np.ascontiguousarray(view, bool if width.kind == "b" else np.int64).reshape(sizes)


def whole(value: Any) -> int:
    """An integer in the file, which is written as a number or as {"as_int": number}.

    Raises:
        ValueError: The value is not an integer.
    """
    integer = value.get("as_int") if isinstance(value, dict) else value
    if type(integer) is not int:
        raise ValueError("not an integer")
    return integer


class _Members:
    """The members of a zip by their path below the folder in which torch.export puts all of them."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._known: dict[str, bytes] = {}
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise UnreadableModelError(f"The archive has {len(infos):,} members; the limit is {MAX_MEMBERS:,}.")
        self.is_legacy = any(_is_legacy(info.filename) for info in infos)
        model_path = next((info.filename for info in infos if info.filename.endswith(MODEL)), None)
        if model_path is None and not self.is_legacy:
            raise UnreadableModelError(f"The archive contains no {MODEL}, so it is not an exported program; {_AGAIN}.")
        root = (model_path or "").removesuffix(MODEL)
        self._infos: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            if not info.filename.startswith(root):
                continue
            check_member(info)
            name = info.filename.removeprefix(root)
            if name in self._infos:
                raise UnreadableModelError(f"The archive contains {quoted(name)} twice; {_AGAIN}.")
            self._infos[name] = info
        if sum(info.file_size for info in self._infos.values()) > MAX_WEIGHTS_BYTES:
            size = MAX_WEIGHTS_BYTES // 2**30
            raise UnreadableModelError(f"The program takes more than {size} GiB, the limit of an import.")

    def has(self, name: str) -> bool:
        return name in self._infos

    def raw(self, name: str) -> bytes:
        """The bytes of a member, which is read once even if several tensors are in it.

        Raises:
            UnreadableModelError: The member does not exist or is incomplete.
        """
        if name not in self._infos:
            raise UnreadableModelError(f"The archive has no {quoted(name)}, which its list of weights names; {_AGAIN}.")
        if name not in self._known:
            info = self._infos[name]
            with self._archive.open(info) as file:
                data = file.read(info.file_size + 1)
            if len(data) != info.file_size:
                raise UnreadableModelError(f"{quoted(name)} is shorter than it declares; {_AGAIN}.")
            self._known[name] = data
        return self._known[name]

    def text(self, name: str, max_bytes: int = 100) -> str:
        if name not in self._infos or self._infos[name].file_size > max_bytes:
            return ""
        return self.raw(name).decode("utf-8", "replace").strip()

    def json(self, name: str) -> dict[str, Any]:
        if self._infos[name].file_size > MAX_JSON_BYTES:
            raise UnreadableModelError(
                f"{quoted(name)} is larger than {MAX_JSON_BYTES // 2**20} MiB, the limit for a program."
            )
        try:
            content = json.loads(self.raw(name))
        except RecursionError:
            raise UnreadableModelError(f"{quoted(name)} is nested too deeply to be a program.") from None
        except ValueError:
            raise UnreadableModelError(f"{quoted(name)} is not JSON; the file is damaged, so {_AGAIN}.") from None
        if not isinstance(content, dict):
            raise UnreadableModelError(f"{quoted(name)} does not have the format of torch.export; {_AGAIN}.")
        return content
