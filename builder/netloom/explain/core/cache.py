"""Explanations kept in a run's folder, by weights, input, method and parameters: plain arrays and JSON, no pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from netloom.document import write_bytes
from netloom.explain.core.explanation import Explanation
from netloom.explain.core.serialization import UNREADABLE, dumps, loads

if TYPE_CHECKING:
    import torch
    from _typeshed import DataclassInstance
    from torch import nn

# Raised whenever the same question may get another answer than before.
CACHE_VERSION = 9
ResultT = TypeVar("ResultT")
FOLDER = "explanations"
MAX_FILES = 2_000


def weights_hash(model: nn.Module) -> str:
    """What tells the weights of one network, or of one checkpoint, from those of another: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).numpy().tobytes())
    return digest.hexdigest()[:16]


def key(weights: str, inputs: Mapping[str, torch.Tensor], question: Mapping[str, Any]) -> str:
    """The name under which an answer is kept."""
    digest = hashlib.sha256(f"{CACHE_VERSION} {weights} {json.dumps(question, sort_keys=True, default=str)}".encode())
    for name, value in sorted(inputs.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().contiguous().reshape(-1).numpy().tobytes())
    return digest.hexdigest()[:32]


def load(folder: Path, name: str) -> Explanation | None:
    """A kept explanation; None where there is none, or where the file is not whole."""
    return load_as(Explanation, folder, name)


def load_as(kind: type[ResultT], folder: Path, name: str) -> ResultT | None:
    """What is kept as a dataclass of a kind; None where there is nothing, or where the file is not whole."""
    try:
        result = loads(kind, (folder / FOLDER / f"{name}.npz").read_bytes())
    except UNREADABLE:
        return None
    return result if isinstance(result, kind) else None


def save(folder: Path, name: str, explanation: DataclassInstance) -> None:
    """Keep an explanation; the oldest go when there are too many."""
    directory = folder / FOLDER
    directory.mkdir(parents=True, exist_ok=True)
    write_bytes(directory / f"{name}.npz", dumps(explanation, compressed=True))
    _prune(directory, keep=f"{name}.npz")


def _prune(directory: Path, *, keep: str) -> None:
    """Remove the oldest files where there are too many, but not the one that was just written. Other processes write
    and prune the same folder, so that any file may vanish between two looks at it."""
    files = []
    for path in directory.glob("*.npz"):
        with suppress(OSError):
            files.append((path.stat().st_mtime_ns, path))
    files.sort()
    for _, path in files[: max(0, len(files) - MAX_FILES)]:
        if path.name != keep:
            with suppress(OSError):
                path.unlink()
