"""The files of the measured variants of a run, in its folder."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from netloom.compression.method import registry

if TYPE_CHECKING:
    from pathlib import Path

    from netloom.store import RunArtifacts

_SAME_TIME_S = 1e-3  # a file system can round times


def variant_file(artifacts: RunArtifacts, method: str, checkpoint: str) -> Path:
    """Return the file of the variant of a checkpoint ("" for the current weights) by a method, which may not exist."""
    return artifacts.export_file("-".join(filter(None, ("variant", method, checkpoint))) + ".onnx")


def measured_variants(artifacts: RunArtifacts, checkpoint: str, written: float) -> dict[str, Path]:
    """Return the files of the variants of exactly these weights by method, which have their time `written`: not those
    that were made before the run was trained further, or from weights that were replaced since."""
    files = variant_files(artifacts, checkpoint)
    return {name: file for name, file in files.items() if abs(file.stat().st_mtime - written) < _SAME_TIME_S}


def variant_files(artifacts: RunArtifacts, checkpoint: str) -> dict[str, Path]:
    """Return the existing files of variants of a checkpoint by method, also those of earlier weights."""
    files = {name: variant_file(artifacts, name, checkpoint) for name in registry()}
    return {name: file for name, file in files.items() if file.is_file()}


def write_variant(path: Path, content: bytes, written: float) -> None:
    """Write a file with the time of its weights, so that another process sees all of it or none."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        temporary.write_bytes(content)
        os.utime(temporary, (written, written))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
