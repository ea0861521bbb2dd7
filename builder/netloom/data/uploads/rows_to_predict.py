"""Rows to predict in layouts of the import that are not tables with the columns of a network."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from itertools import groupby
from typing import Any

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.limits import MAX_FILE_BYTES
from netloom.data.tables.json_records import NOTES
from netloom.data.tables.plain_types import plain_table, records
from netloom.data.tables.readers import decode_text, layout_table
from netloom.data.uploads.file_labels.filetables import naming_table, rows_of
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.pairing import FIELDS
from netloom.data.uploads.texts.tagged_sentences import layout_of, sentences
from netloom.data.uploads.texts.word_rows import sentences_of_rows, word_rows

_COMMENT = "#"


def rows_in_layout(source: Source, columns: Collection[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of a text in a layout that is not CSV, such as intents.json or conversations, and notes; none if
    it has none of the columns of a network."""
    [name] = source.names
    if source.form() != file_types.TEXT:
        return [], []
    text, _ = decode_text(source.members.read(name, MAX_FILE_BYTES), name)
    table = layout_table(text, name)
    if table is None or not {*map(str, table.columns)}.intersection(columns):
        return [], []
    return records(plain_table(table)), list(table.attrs.get(NOTES, []))


def words_of_sentences(source: Source) -> list[list[str]]:
    """Return the words of each sentence in a file of words, with or without their tags; [] for other files."""
    if layout_of(source) is not None:
        return [sentence.words for sentence in sentences(source)]
    if (rows := word_rows(source, tagged=False)) is not None:
        return [sentence.words for sentence in sentences_of_rows(rows, "", None)]
    return _untagged(source)


def _untagged(source: Source) -> list[list[str]]:
    """Return the words of a text with a word per line, or with tabs between a word and other columns, and empty lines
    between sentences; [] for other texts."""
    if source.form() != file_types.TEXT:
        return []
    lines = [line for line in source.lines(source.names[0]) if not line.startswith(_COMMENT)]
    widths = {len(line.split()) for line in lines if line}
    if len(widths) != 1 or "" not in lines[1:-1]:
        return []
    if widths == {1}:
        return [list(block) for is_block, block in groupby(lines, key=bool) if is_block]
    if b"\t" in source.members.head(source.names[0]):
        with suppress(DataError):
            return [sentence.words for sentence in sentences(source)]
    return []


def pairs_of_images(source: Source) -> tuple[list[list[str]], list[str]]:
    """Return the two images of each pair in a zip, as the import of pairs finds them, and notes.

    Raises:
        DataError: There are none, or the images are triplets.
    """
    pictures = source.members.of(file_types.PICTURE)
    naming = naming_table(source, pictures)
    if naming is None or len(naming.columns) != len(FIELDS):
        raise DataError(
            f"{source.filename[:100]!r} has no pairs of images; add a table whose rows name two images each, or put "
            "the two images of each pair into a folder, such as same/1."
        )
    notes = list(naming.notes)
    table = rows_of(naming.table, naming.columns, pictures, notes)
    return table[naming.columns].to_numpy().tolist(), notes
