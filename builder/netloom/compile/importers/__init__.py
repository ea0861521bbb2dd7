"""Import of existing models as documents, one importer per format. No code in a file is ever executed."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

from netloom.compile.importers.imported_model import ImportedModel, TrainingFacts, UnreadableModelError
from netloom.compile.importers.preparation import with_preparation
from netloom.document import Preparation

__all__ = ["ImportedModel", "TrainingFacts", "UnreadableModelError", "read_model"]

# The first bytes of other files that people try to import. ONNX files, which are protobuf messages, have no signature.
ZIP, JSON, HDF5 = b"PK\x03\x04", (b"{", b"["), b"\x89HDF\r\n\x1a\n"
PICKLE = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
PICKLED = (
    "This file was written by torch.save. Loading it can execute code in the file, so it is not imported. Write the "
    "model with torch.export.save instead, or import your own code by netloom import module:function."
)


def read_model(
    path: str | Path, name: str = "", facts: TrainingFacts | None = None, prepare: Preparation | None = None
) -> ImportedModel:
    """Import a file. Its content determines the format: torch.export, Keras, otherwise ONNX.

    `name` is the name of the project, `facts` describes the exported module in training mode, and `prepare` is the
    preparation of inputs that the user requested.

    Raises:
        UnreadableModelError: The file cannot be imported; the message says what is wrong and where.
    """
    return with_preparation(_read(Path(path), name, facts), prepare)


def _read(path: Path, name: str, facts: TrainingFacts | None) -> ImportedModel:
    from netloom.compile.importers.keras import looks_like_keras, read_keras
    from netloom.compile.importers.torch_export import import_file as read_pt2
    from netloom.compile.importers.torch_export import looks_like_pt2

    if looks_like_pt2(path):
        return read_pt2(path, name, facts)
    if not looks_like_keras(path):
        from netloom.compile.importers.onnx import import_file

        _refuse_others(path)
        return import_file(path, name)
    imported = read_keras(path)
    return replace(imported, project=imported.project.model_copy(update={"name": name})) if name else imported


def _refuse_others(path: Path) -> None:
    """Name the format of a file that cannot be ONNX.

    Raises:
        UnreadableModelError: The file is an archive, a pickle, HDF5 or JSON.
    """
    names: list[str] = []
    try:
        with path.open("rb") as file:
            head = file.read(64)
        if head.startswith(ZIP):
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
    except zipfile.BadZipFile:
        raise UnreadableModelError("The archive is damaged or truncated; save or download it again.") from None
    except (OSError, ValueError, NotImplementedError):
        return  # the ONNX importer reports it
    # Files of torch.save are pickles, since PyTorch 1.6 inside a zip as data.pkl.
    if head.startswith(PICKLE) or any(name.endswith("data.pkl") for name in names):
        raise UnreadableModelError(PICKLED)
    if head.startswith(HDF5):
        raise UnreadableModelError(
            "This is an HDF5 file (.h5), as Keras 2 writes it. Open it in Keras, save it with "
            "model.save('model.keras'), and import that file."
        )
    if names:
        raise UnreadableModelError("The archive contains neither a torch.export program nor a Keras model.")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(JSON):
        raise UnreadableModelError("This JSON file is not a Keras model; write one with model.to_json().")
