"""Reads files with rows for prediction: tables, and zips of images, sounds and texts.

CSV and JSON are read as exported networks read them; all other files are opened in a confined process.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.data import file_types
from netloom.data.dialect import SEPARATORS, FileError, decode_text, encoding_of
from netloom.data.limits import MAX_STORED_BYTES
from netloom.data.tables import row_file
from netloom.data.tables.arff import is_arff
from netloom.data.tables.intents_json import example_intents, text_records
from netloom.data.tables.raw_rows import RowFile
from netloom.data.tables.svmlight import is_svmlight
from netloom.data.uploads.files import series_files
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
_INTENTS = re.compile(r'"(intents|patterns)"\s*:\s*\[')
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
    """Read the rows of a table or of sentences in any format of the import, a row from an image or a sound, one from
    each image, sound or text in a zip, or one from each pair of images in a zip.

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
        return _read_text(content, name, preprocess)
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


def _read_text(content: bytes, name: str, preprocess: Mapping[str, Any]) -> RowFile:
    """Return the rows of CSV or JSON as exported networks read them, or of a layout that only the import reads; for a
    network that reads a text alone, a plain text is a row.

    Raises:
        DataError: the file cannot be read, or has no column of the network.
    """
    if series_files.is_series_file(content, name):
        return _labeled_series(content, name, preprocess)
    try:
        file = _rows(_texts_of_intents(content, name), name, preprocess)
    except DataError:
        other_file = _without_columns(content, name, preprocess)
        if other_file is None:
            raise
        return other_file
    has_columns = _has_columns(file, preprocess)
    return file if has_columns else _in_layout_of_import(content, name, preprocess) or file


def _labeled_series(content: bytes, name: str, preprocess: Mapping[str, Any]) -> RowFile:
    """Return the series of a `.ts` file, without their labels; zeros follow those with fewer steps, as in the import.

    Raises:
        DataError: the file cannot be read, or the network reads something else than one series.
    """
    fields = [*map(field_encoder, preprocess["fields"])]
    if len(fields) != 1 or len(fields[0].raw_shape) != 2:
        columns = ", ".join(map(repr, row_file.readable_columns(preprocess)[:20]))
        raise DataError(f"{name[:100]!r} has series, but the network reads {columns}; use a table with these columns.")
    rows, steps = series_files.read_series(content, name).rows, fields[0].raw_shape[0]
    padded = [np.pad(row, ((0, max(0, steps - len(row))), (0, 0))) for row in rows]
    shorter = sum(len(row) < steps for row in rows)
    notes = [f"Zeros follow {counted(shorter, 'series', 'series')} with fewer than {steps:,} steps."] if shorter else []
    return RowFile([{fields[0].name: row.tolist()} for row in padded], notes=notes)


def _has_columns(file: RowFile, preprocess: Mapping[str, Any]) -> bool:
    known = {*row_file.readable_columns(preprocess)}
    return any(row.keys() & known for row in file.rows)


def _texts_of_intents(content: bytes, name: str) -> bytes:
    """Return the texts in a file such as intents.json as records; other content unchanged."""
    if not _INTENTS.search(_head(content)):
        return content
    try:
        intents = example_intents(json.loads(decode_text(content, name)[0]))
    except (FileError, ValueError, RecursionError):
        return content
    return json.dumps(text_records(intents)).encode() if intents else content


def _without_columns(content: bytes, name: str, preprocess: Mapping[str, Any]) -> RowFile | None:
    """Return the rows of a text that is not a table with columns of the network; None if it cannot be read."""
    try:
        text, _ = decode_text(content, name)
    except FileError:
        return None
    columns = row_file.readable_columns(preprocess)
    if not text.strip() or _names_columns(text, columns):
        return None  # a table with a broken line is not a text
    if (file := _in_layout_of_import(content, name, preprocess)) is not None:
        return file
    field = _field_for(file_types.TEXT, preprocess)
    if field is None or not name.lower().endswith((".txt", ".md")):
        return None
    note = f"{name[:100]!r} is read as one text, as its first line does not name the column {columns[-1]!r}."
    return RowFile([{field.name: text}], notes=[note], is_single=True)


def _names_columns(text: str, columns: Sequence[str]) -> bool:
    """Return whether the first line of a text names one of the columns."""
    header = {cell.strip(' "') for cell in _SEPARATOR.split(text.strip().partition("\n")[0])}
    return not header.isdisjoint(columns)


def _in_layout_of_import(content: bytes, name: str, preprocess: Mapping[str, Any]) -> RowFile | None:
    """Return the rows of a file of conversations or of labels in front of texts, or, for a network that reads lists of
    words, of sentences, as the import reads them; None if it is something else, or if the network reads no text."""
    if not any(field_encoder(field).is_text for field in preprocess["fields"]):
        return None
    try:
        process = Process(len(content))
        try:
            process.ask({"do": "open", "path": "", "names": [name], "filename": name}, (content,))
            columns, words = row_file.readable_columns(preprocess), _word_list(preprocess) is not None
            answer = process.ask({"do": "batch_layout", "columns": columns, "words": words})
        finally:
            process.close()
    except (RefusedError, EndedError):
        return None
    return _rows_of_answer(answer, name, preprocess) if answer else None


def _word_list(preprocess: Mapping[str, Any]) -> FieldEncoder[Any] | None:
    """Return the only field of a network that reads lists of words; None for another network."""
    field = _field_for(file_types.TEXT, preprocess)
    return field if field is not None and field.is_word_list else None


def _has_table_of_its_own(content: bytes) -> bool:
    """Return whether a file is a text with a table that exported networks do not read."""
    head = _head(content)
    return is_arff(head) or is_svmlight(head)


def _head(content: bytes) -> str:
    """Return the first lines of a text, whatever else a file is."""
    head = content[:_HEAD_BYTES].decode(encoding_of(content[: file_types.HEAD_BYTES]), "ignore")
    return head.rpartition("\n")[0] if len(content) > _HEAD_BYTES else head  # without a part of a line


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
    return _limited(rows, name)


def _limited(file: RowFile, name: str) -> RowFile:
    if len(file.rows) > MAX_ROWS:
        raise DataError(f"{name[:100]!r} has {len(file.rows):,} rows; at most {MAX_ROWS:,} are predicted at once.")
    return file


def _rows_of_answer(answer: Mapping[str, Any], name: str, preprocess: Mapping[str, Any]) -> RowFile:
    """Return the rows of a table, or of sentences, that a confined process has read."""
    words = _word_list(preprocess)
    if words is not None and "sentences" in answer:
        sentences = [[str(word) for word in sentence] for sentence in answer["sentences"]]
        note = f"{name[:100]!r} is read as {counted(len(sentences), 'sentence')}, each with its words."
        return _limited(RowFile([{words.name: sentence} for sentence in sentences], notes=[note]), name)
    file = _rows(str(answer["table"]).encode(), f"{name}.json", preprocess)
    return replace(file, notes=[*map(str, answer["notes"]), *file.notes])


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
    words = _word_list(preprocess) is not None
    answer = process.ask({"do": "batch", "texts": texts, "columns": columns, "words": words})
    if "files" not in answer:
        return _rows_of_answer(answer, name, preprocess)
    if fields_of_pair := _image_pair(preprocess):
        return _rows_of_pairs(process, name, fields_of_pair, progress)
    files = [(str(path), str(form)) for path, form in answer["files"]]
    if texts and len(files) == 1 and (file := _rows_of_only_text(process, *files[0], preprocess)) is not None:
        return file
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


def _rows_of_only_text(process: Process, path: str, form: str, preprocess: Mapping[str, Any]) -> RowFile | None:
    """Return the rows of the only file of an archive; None if it is a plain text, which is a row as a whole."""
    if form != file_types.TEXT:
        return None
    text, name = str(process.ask({"do": "batch_text", "name": path})), path.removesuffix(".gz")
    try:
        file = _read_text(text.encode(), name.removesuffix(".txt").removesuffix(".md"), preprocess)
    except DataError:
        if _names_columns(text, row_file.readable_columns(preprocess)):
            raise
        return None
    return file if _has_columns(file, preprocess) else None


def _image_pair(preprocess: Mapping[str, Any]) -> list[FieldEncoder[Any]]:
    """Return the two fields of a network that reads a pair of images; [] for another network."""
    required = [field for field in map(field_encoder, preprocess["fields"]) if field.is_required]
    are_images = all(modality_of(field).file_kind_of(field) is FileKind.PICTURE for field in required)
    return required if len(required) == 2 and are_images else []


def _rows_of_pairs(
    process: Process, name: str, fields: Sequence[FieldEncoder[Any]], progress: Callable[[float], None]
) -> RowFile:
    """Return a row for each pair of images in a zip. An image in many pairs is decoded once for each field."""
    answer = process.ask({"do": "batch_pairs"})
    pairs = [[str(path) for path in pair] for pair in answer["pairs"]]
    needed = [(field, path) for place, field in enumerate(fields) for path in sorted({pair[place] for pair in pairs})]
    _refuse_large(name, [field for field, _ in needed])
    values = {}
    for number, (field, path) in enumerate(needed, 1):
        values[field.name, path] = modality_of(field).raw_value(field, _picture(process, field, path))
        progress(number / len(needed))
    names = [" ".join(pair) for pair in pairs]
    rows = [
        {FILE: of_pair, **{field.name: values[field.name, path] for field, path in zip(fields, pair, strict=True)}}
        for of_pair, pair in zip(names, pairs, strict=True)
    ]
    return _limited(RowFile(rows, notes=list(map(str, answer["notes"])), names=names, name_column=FILE), name)


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
