"""Import of ONNX files. No code of a file is executed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from netloom.compile.importers.imported_model import ImportedModel, UnreadableModelError, with_batch_axis
from netloom.compile.importers.onnx.importer import OnnxImporter
from netloom.compile.importers.onnx.operators.recurrent import is_time_first, with_batch_axes
from netloom.compile.importers.onnx.parser import LIMIT, read
from netloom.core.text import plain

__all__ = ["import_bytes", "import_file"]


def import_file(path: str | Path, name: str = "") -> ImportedModel:
    """A document and its weights from an ONNX file, and from the files beside it that have its weights.

    Raises:
        UnreadableModelError: The file is not an ONNX file, or contains something that no layer expresses.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LIMIT:
            raise UnreadableModelError("The file is larger than 2 GiB, the limit of ONNX.")
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableModelError(f"{plain(str(path))[:200]} cannot be read: {error.strerror}.") from None
    return import_bytes(content, name or plain(path.stem)[:200], path.parent)


def import_bytes(content: bytes, name: str = "", folder: Path | None = None) -> ImportedModel:
    """A document and its weights from the content of an ONNX file, and from the other files of its folder.

    Raises:
        UnreadableModelError: It is not an ONNX file, or contains something that no layer expresses.
    """
    graph = read(content, folder)

    def imported(time_first: bool) -> ImportedModel:
        inputs = with_batch_axes(graph, time_first=time_first)
        return OnnxImporter(replace(graph, inputs=inputs), name).run()

    return with_batch_axis(imported, can_be_time_first=lambda: is_time_first(graph))
