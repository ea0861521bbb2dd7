"""Weights that were brought in: safetensors files in the data folder, named by their SHA-256.

Equal weights are kept once, and a name never comes to mean other weights. Nothing here needs torch.
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
    """Keep the content of a safetensors file in a data folder. Returns its digest.

    Raises:
        StoreError: it is too large, no safetensors file, or holds no tensor; nothing is kept then.
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
        raise StoreError(f"The weights cannot be kept in {final.parent}: {error.strerror or error}.") from error
    return digest


def _write(final: Path, content: bytes) -> None:
    """Write what is looked at before it gets its name."""
    unseen = final.with_name(f".{uuid.uuid4().hex}")
    try:
        write_bytes(unseen, content)
        if not shapes(unseen):
            raise StoreError("This safetensors file holds no weights.")
        unseen.replace(final)
    finally:
        unseen.unlink(missing_ok=True)


def path(home: Path, digest: str) -> Path:
    """The file of kept weights.

    Raises:
        NotFoundError: there are none of this digest in the data folder.
    """
    file = home / FOLDER / f"{digest}.safetensors"
    if not _DIGEST.fullmatch(digest) or not file.is_file():
        raise NotFoundError("These weights are not in the data folder; import the model again.")
    return file


def verified(home: Path, digest: str) -> Path:
    """The file of kept weights, read through and found to be what was kept.

    Raises:
        NotFoundError: there are none of this digest in the data folder.
        StoreError: the file was changed since.
    """
    file_path, digester = path(home, digest), hashlib.sha256()
    with file_path.open("rb") as file:
        while part := file.read(_CHUNK):
            digester.update(part)
    if digester.hexdigest() != digest:
        raise StoreError(
            f"The weights in {file_path} were changed or damaged; delete that file, import the model again."
        )
    return file_path


def shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """The tensors of a safetensors file by name, with their shapes; the tensors themselves are not read.

    Raises:
        StoreError: it is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        line = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
        raise StoreError(f"This is no safetensors file, or a damaged one: {line[:200]}.") from error
