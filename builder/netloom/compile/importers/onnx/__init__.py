"""Import of ONNX files. No code of a file is executed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from netloom.compile.importers.imported_model import ImportedModel, TimeFirstError, UnreadableModelError
from netloom.compile.importers.onnx.importer import OnnxImporter
from netloom.compile.importers.onnx.operators.recurrent import is_time_first, with_batch_axes
from netloom.compile.importers.onnx.parser import LIMIT, read
from netloom.core.text import plain

__all__ = ["import_bytes", "import_file"]


def import_file(path: str | Path, name: str = "") -> ImportedModel:
    """A document and its weights from an ONNX file.

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
    return import_bytes(content, name or plain(path.stem)[:200])


def import_bytes(content: bytes, name: str = "") -> ImportedModel:
    """A document and its weights from the content of an ONNX file.

    Raises:
        UnreadableModelError: It is not an ONNX file, or contains something that no layer expresses.
    """
    graph = read(content)
    graph = replace(graph, inputs=with_batch_axes(graph))
    try:
        return OnnxImporter(graph, name).run()
    except UnreadableModelError as error:
        if not is_time_first(graph):
            raise
        # A sequence (T, N, D) does not say which axis is the batch, and with the first one, layers mix examples.
        try:
            return OnnxImporter(replace(graph, inputs=with_batch_axes(graph, time_first=True)), name).run()
        except UnreadableModelError as second_error:
            raise (second_error if isinstance(error, TimeFirstError) else error) from None
