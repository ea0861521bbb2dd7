"""Existing models as documents: one importer per format. Nothing of a file is ever executed."""

from __future__ import annotations

from pathlib import Path

from builder.compile.importers.base import Imported, Unreadable

__all__ = ["Imported", "Unreadable", "read_model"]


def read_model(path: str | Path, name: str = "") -> Imported:
    """The network of a file, which is told by its content: of torch.export, Keras, or else ONNX.

    `name` is what the project is called.

    Raises:
        Unreadable: one sentence that says what is wrong and where.
    """
    from builder.compile.importers.keras import looks_like_keras, read_keras
    from builder.compile.importers.torch_export import import_file as read_pt2
    from builder.compile.importers.torch_export import looks_like_pt2

    if looks_like_pt2(Path(path)):
        return read_pt2(path, name)
    if not looks_like_keras(Path(path)):
        from builder.compile.importers.onnx import import_file

        return import_file(path, name)
    found = read_keras(Path(path))
    if not name:
        return found
    return Imported(found.project.model_copy(update={"name": name}), found.weights, found.remarks)
