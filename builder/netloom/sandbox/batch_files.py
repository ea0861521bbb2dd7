"""Reads files with rows for prediction: tables, and zips of images, sounds and texts.

CSV and JSON are read as exported networks read them; all other files are opened in a confined process.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.dialect import SEPARATORS, FileError, decode_text, encoding_of
from netloom.data.limits import MAX_STORED_BYTES
from netloom.data.tables import row_file
from netloom.data.tables.arff import is_arff
from netloom.data.tables.raw_rows import RowFile
from netloom.data.tables.svmlight import is_svmlight
from netloom.modalities.encoding.cells import EncodeError
from netloom.modalities.encoding.field_encoder import FieldEncoder, field_encoder
from netloom.modalities.encoding.image_field import image_encoder
from netloom.modalities.fields.registry import modality_of
from netloom.modalities.row_field import FileKind
from netloom.sandbox.examples import decoded_picture, from_json
from netloom.sandbox.process import EndedError, Process, RefusedError

MAX_BYTES = 200 * 2**20
MAX_ROWS = 100_000
_HEAD_BYTES = 2**20  # from which the format of a text is inferred
# The column with the name of a file of a zip.
FILE = "file"
_SEPARATOR = re.compile(f"[{re.escape(SEPARATORS)}]")
_FLOAT_BYTES = 4
_CONFINED = (file_types.PARQUET, file_types.ZIP, file_types.GZIP)
_SINGLE = (file_types.PICTURE, file_types.SOUND)
_KINDS = {
    file_types.PICTURE: FileKind.PICTURE,
    file_types.SOUND: FileKind.SOUND,
    file_types.TEXT: FileKind.TEXT,
}


def read_batch(
    content: bytes,
    name: str,
    preprocess: Mapping[str, Any],
    progress: Callable[[float], None] = lambda share: None,
) -> RowFile:
    """Read the rows of a table in any format of the import, a row from an image or a sound, or one from each image,
    sound or text in a zip.

    Args:
        preprocess: The fitted state of the fields that the network reads.

    Raises:
        DataError: the file cannot be read, or does not fit the inputs of the network.
    """
    if len(content) > MAX_BYTES:
        raise DataError(f"{name[:100]!r} has more than {MAX_BYTES // 2**20} MiB; split it into parts.")
    form = file_types.file_type(content[: file_types.HEAD_BYTES])
    if form in _SINGLE:
        content = _zipped(content, name)
    elif form not in _CONFINED and not _has_table_of_its_own(content):
        read = _table_or_text if name.lower().endswith((".txt", ".md")) else _rows
        return read(content, name, preprocess)
    try:
        process = Process(len(content))
        try:
            return _read_confined(process, content, name, preprocess, progress)
        finally:
            process.close()
    except RefusedError as error:
        raise DataError(str(error)) from None
    except EndedError as error:
        raise DataError(f"{name[:100]!r} cannot be read: {error}; use a smaller file.") from None


def _table_or_text(content: bytes, name: str, preprocess: Mapping[str, Any]) -> RowFile:
    """Return the rows of a table; if it has no column of a network that reads a text alone, the whole text as a row."""
    field = _field_for(file_types.TEXT, preprocess)
    if field is None:
        return _rows(content, name, preprocess)
    try:
        text, _ = decode_text(content, name)
    except FileError as error:
        raise DataError(str(error)) from None
    if not text.strip():
        raise DataError(f"{name[:100]!r} is empty.")
    columns = row_file.readable_columns(preprocess)
    try:
        return _rows(content, name, preprocess)
    except DataError:
        # A table with a broken line is not a text
        header = {cell.strip(' "') for cell in _SEPARATOR.split(text.strip().partition("\n")[0])}
        if header.intersection(columns):
            raise
    note = f"{name[:100]!r} is read as one text, as its first line does not name the column {columns[-1]!r}."
    return RowFile([{field.name: text}], notes=[note], is_single=True)


def _has_table_of_its_own(content: bytes) -> bool:
    """Return whether a file is a text with a table that exported networks do not read."""
    head = content[:_HEAD_BYTES].decode(encoding_of(content[: file_types.HEAD_BYTES]), "ignore")
    if len(content) > _HEAD_BYTES:
        head = head.rpartition("\n")[0]  # without a part of a line
    return is_arff(head) or is_svmlight(head)


def _zipped(content: bytes, name: str) -> bytes:
    """Return a file as the only one of a zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(PurePath(name).name, content)
    return stream.getvalue()


def _rows(content: bytes, name: str, preprocess: Mapping[str, Any]) -> RowFile:
    try:
        rows = row_file.read_rows(content, name, preprocess)
    except (FileError, EncodeError) as error:
        raise DataError(str(error)) from None
    if len(rows.rows) > MAX_ROWS:
        raise DataError(f"{name[:100]!r} has {len(rows.rows):,} rows; at most {MAX_ROWS:,} are predicted at once.")
    return rows


def _read_confined(
    process: Process,
    content: bytes,
    name: str,
    preprocess: Mapping[str, Any],
    progress: Callable[[float], None],
) -> RowFile:
    process.ask({"do": "open", "path": "", "names": [name], "filename": name}, (content,))
    columns = row_file.readable_columns(preprocess)
    texts = _field_for(file_types.TEXT, preprocess) is not None
    answer = process.ask({"do": "batch", "texts": texts, "columns": columns})
    if "table" in answer:
        file = _rows(str(answer["table"]).encode(), f"{name}.json", preprocess)
        return replace(file, notes=[*map(str, answer["notes"]), *file.notes])
    files = [(str(path), str(form)) for path, form in answer["files"]]
    fields = {form: _field_for(form, preprocess) for form in {form for _, form in files}}
    unread = [path for path, form in files if fields[form] is None]
    read = [(path, form, field) for path, form in files if (field := fields[form]) is not None]
    if not read:
        raise DataError(_nothing_fits(name, files, preprocess))
    _refuse_large(name, [field for _, _, field in read])
    rows = []
    for number, (path, form, field) in enumerate(read, 1):
        decoded = _DECODERS[_KINDS[form]](process, field, path)
        rows.append({FILE: path, field.name: modality_of(field).raw_value(field, decoded)})
        progress(number / len(read))
    notes = [
        f"Left out {len(unread):,} of {len(files):,} files in {name[:100]!r}, such as {path[:100]!r}."
        for path in unread[:1]
    ]
    return RowFile(rows, notes=notes, names=[path for path, _, _ in read], name_column=FILE)


def _refuse_large(name: str, fields: Sequence[FieldEncoder[Any]]) -> None:
    """Raise a DataError if the decoded files do not fit into memory at once."""
    most = MAX_STORED_BYTES // max(_FLOAT_BYTES * math.prod(field.raw_shape) for field in fields)
    if len(fields) > most:
        raise DataError(
            f"{name[:100]!r} has {len(fields):,} files, but at most {most:,} of this size are predicted at once; split "
            "it into parts."
        )


def _field_for(form: str, preprocess: Mapping[str, Any]) -> FieldEncoder[Any] | None:
    """Return the field that a file of this type can be; None if the network needs other inputs, too."""
    required = [field for field in map(field_encoder, preprocess["fields"]) if field.is_required]
    if len(required) != 1:
        return None
    [field] = required
    kind = modality_of(field).file_kind_of(field)
    if kind is None or kind is not _KINDS.get(form) or (kind is FileKind.TEXT and not field.is_text):
        return None
    return field


def _picture(process: Process, field: FieldEncoder[Any], path: str) -> np.ndarray:
    """Return the decoded pixels of an image, bytes."""
    image = image_encoder(field)
    request = {"do": "batch_picture", "name": path, "side": image.file_side, "shape": image.file_shape}
    return decoded_picture(process.ask(request), path, image.file_side, image.file_shape)


def _sound(process: Process, field: FieldEncoder[Any], path: str) -> np.ndarray:
    """Return the decoded samples (L,) of a sound."""
    request = {"do": "batch_sound", "name": path, "rate": field.sample_rate, "most": field.raw_shape[0]}
    samples = from_json(process.ask(request), np.dtype(np.float32), path)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise DataError(f"{path[:100]!r} cannot be read: the decoded sound does not have the expected size.")
    return samples


def _text(process: Process, field: FieldEncoder[Any], path: str) -> str:
    return str(process.ask({"do": "batch_text", "name": path}))


# By the kind of file, the decoding in the confined process
_DECODERS: dict[FileKind, Callable[[Process, FieldEncoder[Any], str], Any]] = {
    FileKind.PICTURE: _picture,
    FileKind.SOUND: _sound,
    FileKind.TEXT: _text,
}


def _nothing_fits(name: str, files: Sequence[tuple[str, str]], preprocess: Mapping[str, Any]) -> str:
    names = ", ".join(repr(field["name"]) for field in preprocess["fields"])
    types = ", ".join(sorted({form or "unknown" for _, form in files}))
    contents = f"files of the types {types}" if types else "no files"
    return (
        f"{name[:100]!r} has {contents}, but the network reads {names}; put one image, sound or text per row into the "
        "zip, or use a table with these columns."
    )
