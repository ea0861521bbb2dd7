"""Existing models as documents: one importer per format. Nothing of a file is ever executed."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

from netloom.compile.importers.imported_model import Imported, TrainingFacts, Unreadable
from netloom.compile.importers.preparation import stated
from netloom.document import Preparation

__all__ = ["Imported", "TrainingFacts", "Unreadable", "read_model"]

# Files that people take for models, by how they begin; no ONNX file begins like that.
ZIP, JSON = b"PK\x03\x04", (b"{", b"[")
PICKLE = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
PICKLED = (
    "This file was written by torch.save. Loading it can execute code in the file, so it is not imported. Write the "
    "model with torch.export.save instead, or import your own code by netloom import module:function."
)


def read_model(
    path: str | Path, name: str = "", facts: TrainingFacts | None = None, prepare: Preparation | None = None
) -> Imported:
    """The network of a file, which is told by its content: of torch.export, Keras, or else ONNX.

    `name` is what the project is called, `facts` what is known of a program's module besides, `prepare` how its inputs
    are prepared, where a person says so.

    Raises:
        Unreadable: one sentence that says what is wrong and where.
    """
    return stated(_read(Path(path), name, facts), prepare)


def _read(path: Path, name: str, facts: TrainingFacts | None) -> Imported:
    from netloom.compile.importers.keras import looks_like_keras, read_keras
    from netloom.compile.importers.torch_export import import_file as read_pt2
    from netloom.compile.importers.torch_export import looks_like_pt2

    if looks_like_pt2(path):
        return read_pt2(path, name, facts)
    if not looks_like_keras(path):
        from netloom.compile.importers.onnx import import_file

        _refuse_others(path)
        return import_file(path, name)
    found = read_keras(path)
    return replace(found, project=found.project.model_copy(update={"name": name})) if name else found


def _refuse_others(path: Path) -> None:
    """Say what a file is that can be none of ONNX.

    Raises:
        Unreadable: it is an archive, a pickle or JSON.
    """
    names: list[str] = []
    try:
        with path.open("rb") as file:
            head = file.read(64)
        if head.startswith(ZIP):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
    except zipfile.BadZipFile:
        raise Unreadable("The archive is damaged or truncated; save or download it again.") from None
    except (OSError, ValueError, NotImplementedError):
        return  # which is said when it is read as ONNX
    if head.startswith(PICKLE) or any(name.endswith("data.pkl") for name in names):
        raise Unreadable(PICKLED)
    if names:
        raise Unreadable("The archive contains neither a torch.export program nor a Keras model.")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(JSON):
        raise Unreadable("This JSON file is not a Keras model; write one with model.to_json().")
