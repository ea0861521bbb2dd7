"""Explanations kept in a run's folder, by weights, input, method and parameters: plain arrays and JSON, no pickle."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints
from zipfile import BadZipFile

import numpy as np

from netloom.document import write_bytes
from netloom.explain.core.explanation import Explanation

if TYPE_CHECKING:
    import torch
    from _typeshed import DataclassInstance
    from torch import nn

# Raised whenever the same question may get another answer than before.
EDITION = 8
Kept = TypeVar("Kept")
FOLDER = "explanations"
MOST_FILES = 2_000


def weights_hash(model: nn.Module) -> str:
    """What tells the weights of one network, or of one checkpoint, from those of another: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).numpy().tobytes())
    return digest.hexdigest()[:16]


def key(weights: str, inputs: Mapping[str, torch.Tensor], question: Mapping[str, Any]) -> str:
    """The name under which an answer is kept."""
    digest = hashlib.sha256(f"{EDITION} {weights} {json.dumps(question, sort_keys=True, default=str)}".encode())
    for name, value in sorted(inputs.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().contiguous().reshape(-1).numpy().tobytes())
    return digest.hexdigest()[:32]


def load(folder: Path, name: str) -> Explanation | None:
    """A kept explanation; None where there is none, or where the file is not whole."""
    return load_as(Explanation, folder, name)


def load_as(kind: type[Kept], folder: Path, name: str) -> Kept | None:
    """What is kept as a dataclass of a kind; None where there is nothing, or where the file is not whole."""
    path = folder / FOLDER / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {place: file[place] for place in file.files}
        text = json.loads(bytes(arrays.pop("json")).decode())
        found = _read(kind, text, arrays)
    except (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, kind) else None


def save(folder: Path, name: str, explanation: DataclassInstance) -> None:
    """Keep an explanation; the oldest go when there are too many."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_written(explanation, arrays))
    buffer = io.BytesIO()
    json_array = np.frombuffer(text.encode(), dtype=np.uint8)
    np.savez_compressed(buffer, json=json_array, **arrays)  # type: ignore[arg-type]
    home = folder / FOLDER
    home.mkdir(parents=True, exist_ok=True)
    write_bytes(home / f"{name}.npz", buffer.getvalue())
    _prune(home, keep=f"{name}.npz")


def _prune(home: Path, *, keep: str) -> None:
    """Remove the oldest files where there are too many, but not the one that was just written. Other processes write
    and prune the same folder, so that any file may vanish between two looks at it."""
    found = []
    for path in home.glob("*.npz"):
        with suppress(OSError):
            found.append((path.stat().st_mtime_ns, path))
    found.sort()
    for _, path in found[: max(0, len(found) - MOST_FILES)]:
        if path.name != keep:
            with suppress(OSError):
                path.unlink()


def _written(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """JSON values, with arrays put aside by name."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        arrays[f"a{len(arrays)}"] = value
        return {"array": f"a{len(arrays) - 1}"}
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: _written(getattr(value, entry.name), arrays) for entry in fields(value)}
    if isinstance(value, dict):
        return {str(name): _written(item, arrays) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written(item, arrays) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _read(kind: Any, value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The value of a type from what `_written` made of it."""
    if isinstance(value, dict) and value.keys() == {"array"} and value["array"] in arrays:
        return arrays[value["array"]]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None:
            return None
        return _read(next(option for option in arguments if option is not NoneType), value, arrays)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{name: _read(hints[name], item, arrays) for name, item in value.items()})
    if origin is dict:
        return {name: _read(arguments[1], item, arrays) for name, item in value.items()}
    if origin is tuple:
        return tuple(_read(arguments[0], item, arrays) for item in value)
    if origin is Literal or kind is Any or not isinstance(value, (dict, list)):
        return value
    return value
