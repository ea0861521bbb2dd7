"""Dialogs in two files, as in the Cornell Movie-Dialogs: their lines, and the order of the lines in each dialog."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.data import file_types
from netloom.data.dialect import LATIN
from netloom.data.limits import MAX_FILE_BYTES, MAX_ROWS
from netloom.data.uploads.files.source import Source

if TYPE_CHECKING:
    import pandas as pd

TEXT, ANSWER = "text", "answer"
_SEPARATOR = "+++$+++"
_TAB = "\t"  # in the copy of Kaggle
_LINE = re.compile(r"L\d+")
_LINE_CELLS = 5  # the line, the character, the movie, the name of the character, the text
_DIALOG = re.compile(r"\[\s*'L\d+'.*")
_DIALOG_CELLS = 4  # two characters, the movie, the lines
_MAX_FILES = 50
_SAMPLE = 50  # lines
_MOSTLY = 0.9  # the share of the lines that have this form


@dataclass(frozen=True)
class Dialogs:
    """The two files; "" for one that is missing."""

    lines: str
    order: str


def dialogs_of(source: Source) -> Dialogs | None:
    """Return the files of dialogs; None if there are none. Cached."""
    dialogs: Dialogs | None = source.once("dialogs", lambda: _dialogs(source))
    return dialogs


def read_dialogs(source: Source, dialogs: Dialogs) -> tuple[pd.DataFrame, list[str]]:
    """Return a table with each line and the line that answers it, and notes; cached.

    Raises:
        DataError: One of the two files is missing, or no line has an answer.
    """
    table: tuple[pd.DataFrame, list[str]] = source.once("dialog table", lambda: _read(source, dialogs))
    return table


def _dialogs(source: Source) -> Dialogs | None:
    texts = source.members.of(file_types.TEXT)
    if len(texts) > _MAX_FILES:
        return None
    heads = {name: _head(source, name) for name in texts}
    lines = next((name for name, rows in heads.items() if _are(rows, _LINE_CELLS, 0, _LINE)), "")
    order = next((name for name, rows in heads.items() if _are(rows, _DIALOG_CELLS, -1, _DIALOG)), "")
    half = "" if lines and order else lines or order
    # Half of the copy with tabs is a table
    is_refused = bool(half) and _SEPARATOR.encode() in source.members.head(half)
    return Dialogs(lines, order) if (lines and order) or is_refused else None


def _head(source: Source, name: str) -> list[list[str]]:
    lines = source.members.head(name).decode("latin-1").splitlines()[:_SAMPLE]
    return [_cells(line) for line in (lines[:-1] or lines) if line.strip()]


def _cells(line: str) -> list[str]:
    """Return the cells of a line; its text, the last one, can have tabs."""
    return [cell.strip() for cell in line.split(_SEPARATOR if _SEPARATOR in line else _TAB, _LINE_CELLS - 1)]


def _are(rows: Sequence[Sequence[str]], cells: int, place: int, pattern: re.Pattern[str]) -> bool:
    """Return whether most rows have this number of cells, and at one place a cell of this form."""
    matching = sum(len(row) == cells and pattern.fullmatch(row[place]) is not None for row in rows)
    return len(rows) > 1 and matching >= _MOSTLY * len(rows)


def _read(source: Source, dialogs: Dialogs) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd

    if not (dialogs.lines and dialogs.order):
        name, missing = (
            (dialogs.lines, "the file with the order of the lines, such as movie_conversations.txt")
            if dialogs.lines
            else (dialogs.order, "the file with the texts of the lines, such as movie_lines.txt")
        )
        raise DataError(
            f"{name[-80:]!r} has one half of the Cornell Movie-Dialogs; add {missing}, too. Or save a table with a "
            "column of texts and one of the answers to them."
        )
    text_of = {
        cells[0]: " ".join(cells[-1].split()) for cells in _rows(source, dialogs.lines) if len(cells) == _LINE_CELLS
    }
    pairs = [pair for cells in _rows(source, dialogs.order) for pair in pairwise(_LINE.findall(cells[-1]))]
    known = [(text_of[line], text_of[reply]) for line, reply in pairs if text_of.get(line) and text_of.get(reply)]
    if not known:
        raise DataError(f"No line in {dialogs.lines[-80:]!r} is answered by another one in {dialogs.order[-80:]!r}.")
    if len(known) > MAX_ROWS:
        raise DataError(f"The dialogs have {len(known):,} lines with an answer; at most {MAX_ROWS:,} can be read.")
    notes = ["Each line of a dialog and the line that answers it is a row; the lines before it are left out."]
    if missing_pairs := len(pairs) - len(known):
        notes.append(f"Left out {counted(missing_pairs, 'pair')} with a line that is missing or empty.")
    unused = [name for name in source.members.of(file_types.TEXT) if name not in (dialogs.lines, dialogs.order)]
    if unused:
        notes.append(f"Left out {counted(len(unused), 'file')} beside the dialogs, such as {unused[0][-60:]!r}.")
    return pd.DataFrame(known, columns=[TEXT, ANSWER], dtype="string"), notes


def _rows(source: Source, name: str) -> list[list[str]]:
    """Return the cells of each line of a file, which is Windows-1252 as published."""
    content = source.members.read(name, MAX_FILE_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode(LATIN, "replace")
    return [_cells(line) for line in text.split("\n") if line.strip()]
