"""Raw rows from the body of a request, read as the app reads files."""

from __future__ import annotations

import asyncio
from typing import Any

from netloom.core.errors import DataError
from netloom.data.dialect import FileError
from netloom.data.tables.raw_rows import RowFile
from netloom.data.tables.row_file import read_rows
from netloom.modalities.encoding.cells import EncodeError, RawRow
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.image_field import image_encoder
from netloom.modalities.fields.registry import modality_of
from netloom.modalities.row_field import FileKind
from netloom.sandbox import read_picture, read_sound
from netloom.serving.errors import RequestError
from netloom.serving.http import JSON, Call
from netloom.serving.models.served_model import ServedModel

# What curl -d and others send without a header
_JSON_TYPES = (JSON, "", "application/x-www-form-urlencoded")
_LINES = {
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
}
_FILES = {"image": FileKind.PICTURE, "audio": FileKind.SOUND, "text": FileKind.TEXT}
_SMALL_BODY = 16 * 2**10
_decoders = asyncio.Semaphore(2)  # each decodes in a process of its own


async def rows_of(call: Call, model: ServedModel) -> RowFile:
    """Return the rows of a request.

    Raises:
        RequestError: the body cannot be read, or is of a kind that the model does not take.
    """
    content_type = call.content_type
    if content_type in _JSON_TYPES:
        return await read_records(call, call.json(allow_nan=True), model)
    if content_type in _LINES:
        return await _table_rows(call, model, f"body.{_LINES[content_type]}")
    kind = _FILES.get(content_type.partition("/")[0])
    if kind is None:
        known = ", ".join((JSON, *_LINES, "image/*, audio/*, text/plain"))
        raise RequestError(f"The content type {content_type[:60]!r} is not supported; send one of {known}.", 415)
    return RowFile([await _file_row(call, model, kind)], is_single=True)


async def read_records(call: Call, records: Any, model: ServedModel) -> RowFile:
    """Return a JSON object of a body, or a list of them, as raw rows, read as the same records in a file.

    Raises:
        RequestError: it is something else, or the time steps of a series cannot be read.
    """
    try:
        if len(call.body) <= _SMALL_BODY:  # reading it takes less time than starting a thread
            return model.reader.read(records)
        return await asyncio.to_thread(model.reader.read, records)
    except (FileError, EncodeError) as error:
        raise RequestError(str(error)) from None


async def _table_rows(call: Call, model: ServedModel, name: str) -> RowFile:
    try:
        return await asyncio.to_thread(read_rows, call.body, name, model.preprocess)
    except (FileError, EncodeError) as error:
        raise RequestError(str(error)) from None


async def _file_row(call: Call, model: ServedModel, kind: FileKind) -> RawRow:
    """Return the row whose only field is the file in the body."""
    fields = [encoder for encoder in model.encoders if modality_of(encoder).file_kind_of(encoder) is kind]
    required_names = [field.name for field in model.fields if field.is_required]
    if len(fields) != 1 or len(required_names) != 1:
        names = ", ".join(map(repr, required_names[:20]))
        raise RequestError(
            f"The model {model.name!r} does not read a file of the type {call.content_type[:40]!r}; send JSON with the "
            f"fields {names}.",
            415,
        )
    if not call.body:
        raise RequestError("The body is empty; send the file as the body.")
    encoder = fields[0]
    try:
        async with _decoders:
            decoded = await asyncio.to_thread(_decode, call.body, kind, encoder)
    except DataError as error:
        raise RequestError(str(error)) from None
    return {encoder.source_column or encoder.name: modality_of(encoder).raw_value(encoder, decoded)}


def _decode(body: bytes, kind: FileKind, encoder: FieldEncoder[Any]) -> Any:
    """Return the pixels, samples or text of a file; pictures and sounds are decoded in a confined process."""
    if kind is FileKind.PICTURE:
        image = image_encoder(encoder)
        return read_picture(body, "body", image.file_side, image.file_shape)
    if kind is FileKind.SOUND:
        return read_sound(body, "body", encoder.sample_rate, encoder.raw_shape[0])
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise DataError("The text in the body is not UTF-8.") from None
