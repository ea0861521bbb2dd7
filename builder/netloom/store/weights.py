"""Imported weights: safetensors files in the data folder, named by their SHA-256.

Equal weights are stored once, and a name never refers to other weights. This module does not need torch.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from pathlib import Path

from netloom.document import write_bytes
from netloom.store.database import NotFoundError, StoreError

FOLDER = "weights"
MAX_BYTES = 8 * 2**30
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 2**22


def keep(home: Path, content: bytes) -> str:
    """Store the content of a safetensors file in a data folder. Returns its digest.

    Raises:
        StoreError: it is too large, not a safetensors file, or has no tensor; nothing is stored.
    """
    if len(content) > MAX_BYTES:
        raise StoreError(f"These weights have {len(content):,} bytes; at most {MAX_BYTES:,} can be kept.")
    digest = hashlib.sha256(content).hexdigest()
    final = home / FOLDER / f"{digest}.safetensors"
    if final.exists():
        return digest
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _write(final, content)
    except OSError as error:
        raise StoreError(f"The weights cannot be saved in {final.parent}: {error.strerror or error}.") from error
    return digest


def _write(final: Path, content: bytes) -> None:
    """Write a temporary file, verify it, and then rename it."""
    unseen = final.with_name(f".{uuid.uuid4().hex}")
    try:
        write_bytes(unseen, content)
        if not shapes(unseen):
            raise StoreError("This safetensors file holds no weights.")
        unseen.replace(final)
    finally:
        unseen.unlink(missing_ok=True)


def path(home: Path, digest: str) -> Path:
    """Return the file of stored weights.

    Raises:
        NotFoundError: the data folder has no weights with this digest.
    """
    file = home / FOLDER / f"{digest}.safetensors"
    if not _DIGEST.fullmatch(digest) or not file.is_file():
        raise NotFoundError("These weights are not in the data folder; import the model again.")
    return file


def verified(home: Path, digest: str) -> Path:
    """Return the file of stored weights after verifying its content.

    Raises:
        NotFoundError: the data folder has no weights with this digest.
        StoreError: the file was changed.
    """
    file_path, digester = path(home, digest), hashlib.sha256()
    with file_path.open("rb") as file:
        while part := file.read(_CHUNK):
            digester.update(part)
    if digester.hexdigest() != digest:
        raise StoreError(
            f"The weights in {file_path} were changed or damaged; delete that file, and import the model again."
        )
    return file_path


def shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a safetensors file by name, without reading the tensors.

    Raises:
        StoreError: it is not a safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        line = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
        raise StoreError(f"This is not a safetensors file, or it is damaged: {line[:200]}.") from error
