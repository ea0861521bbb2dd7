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
EDITION = 9
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
    try:
        found = loads(kind, (folder / FOLDER / f"{name}.npz").read_bytes())
    except UNREADABLE:
        return None
    return found if isinstance(found, kind) else None


def save(folder: Path, name: str, explanation: DataclassInstance) -> None:
    """Keep an explanation; the oldest go when there are too many."""
    home = folder / FOLDER
    home.mkdir(parents=True, exist_ok=True)
    write_bytes(home / f"{name}.npz", dumps(explanation, compressed=True))
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
