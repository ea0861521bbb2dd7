"""Raw rows from a file or from standard input."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Failure
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.data.tables.raw_rows import RowFile
    from netloom.modalities.encoding.cells import RawRow

MAX_BYTES = 200 * 2**20
STDIN = "-"


def read_rows(path: str, preprocess: Mapping[str, Any]) -> RowFile:
    """Read the rows of a file, as the Try it page does. "-" is standard input.

    Raises:
        Failure: the file cannot be read; the message names the line or the row.
    """
    from netloom.data import DataError
    from netloom.sandbox import read_batch

    try:
        return read_batch(_bytes(path), "standard input" if path == STDIN else path, preprocess)
    except DataError as error:
        raise Failure(str(error)) from None


def read_row(path: str, preprocess: Mapping[str, Any]) -> RawRow:
    """Read the only row of a file. Remarks, such as an unknown category, go to standard error.

    Raises:
        Failure: the file cannot be read.
        UsageError: the file has more or less than one row.
    """
    from netloom.data.tables.raw_rows import summarize_warnings, unknown_categories, with_warnings

    file = read_rows(path, preprocess)
    if len(file.rows) != 1:
        raise UsageError(f"{path[:80]!r} holds {len(file.rows):,} rows, but one row is needed; leave one row in it.")
    unknown = unknown_categories(preprocess, file.rows)
    for remark in (*file.notes, *summarize_warnings(with_warnings([{}], unknown=unknown, unreadable=file.unreadable))):
        print(plain(remark), file=sys.stderr, flush=True)
    return file.rows[0]


def _bytes(path: str) -> bytes:
    if path == STDIN:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Failure(f"{path} has more than {MAX_BYTES // 2**20} MiB; split it into parts.")
    return data
