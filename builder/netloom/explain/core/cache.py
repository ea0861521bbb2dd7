"""The cache of explanations in a run's folder, keyed by weights, input, method and options: arrays and JSON, no
pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
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

# Increase this number whenever the same key may lead to another result.
CACHE_VERSION = 11
ResultT = TypeVar("ResultT")
FOLDER = "explanations"
MAX_FILES = 2_000


def weights_hash(model: nn.Module) -> str:
    """Hash the weights of a network as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).numpy().tobytes())
    return digest.hexdigest()[:16]


def key(weights: str, inputs: Mapping[str, torch.Tensor], question: Mapping[str, Any]) -> str:
    """Return the cache key of a result."""
    digest = hashlib.sha256(f"{CACHE_VERSION} {weights} {json.dumps(question, sort_keys=True, default=str)}".encode())
    for name, value in sorted(inputs.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().contiguous().reshape(-1).numpy().tobytes())
    return digest.hexdigest()[:32]


def load(folder: Path, name: str) -> Explanation | None:
    """Return a cached explanation; None if there is none or the file is damaged."""
    return load_as(Explanation, folder, name)


def load_as(kind: type[ResultT], folder: Path, name: str) -> ResultT | None:
    """Return a cached dataclass of a type; None if there is none or the file is damaged."""
    try:
        result = loads(kind, (folder / FOLDER / f"{name}.npz").read_bytes())
    except UNREADABLE:
        return None
    return result if isinstance(result, kind) else None


def stored_name(kind: str, weights: str, name: str) -> str:
    """Return the name of a result that `stored_results` lists for its weights, from its cache key."""
    return f"{kind}-{weights}-{name}"


def stored_results(kind: type[ResultT], folder: Path, prefix: str, weights: str) -> Iterator[ResultT]:
    """Yield the results of some weights, saved with the names of `stored_name`, the newest first."""
    times = {}
    for path in (folder / FOLDER).glob(f"{prefix}-{weights}-*.npz"):
        with suppress(OSError):  # another process may prune the folder
            times[path] = path.stat().st_mtime_ns
    for path in sorted(times, key=times.__getitem__, reverse=True):
        result = load_as(kind, folder, path.stem)
        if result is not None:
            yield result


def save(folder: Path, name: str, explanation: DataclassInstance) -> None:
    """Save a result, and remove the oldest ones above `MAX_FILES`."""
    directory = folder / FOLDER
    directory.mkdir(parents=True, exist_ok=True)
    write_bytes(directory / f"{name}.npz", dumps(explanation, compressed=True))
    _prune(directory, keep=f"{name}.npz")


def _prune(directory: Path, *, keep: str) -> None:
    """Remove the oldest files above the limit, except the one just written.

    Other processes write to and prune the same folder, so any file may disappear at any time.
    """
    files = []
    for path in directory.glob("*.npz"):
        with suppress(OSError):
            files.append((path.stat().st_mtime_ns, path))
    files.sort()
    for _, path in files[: max(0, len(files) - MAX_FILES)]:
        if path.name != keep:
            with suppress(OSError):
                path.unlink()
