"""Raw rows from a file, to predict for."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netloom.cli.command import Failure
from netloom.core.errors import UsageError
from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.data.tables.row_file import RowFile

MAX_BYTES = 200 * 2**20
STDIN = "-"


def read_rows(name: str, preprocess: Mapping[str, Any]) -> RowFile:
    """The rows of a CSV file with a header, or of JSON, as an exported network reads them. "-" reads standard input.

    Raises:
        Failure: it cannot be read; the message names the place.
    """
    from netloom.data.tables import row_file
    from netloom.data.tables.dialect import FileError
    from netloom.modalities.encoding.cells import EncodeError

    try:
        return row_file.read_rows(_bytes(name), "standard input" if name == STDIN else name, preprocess)
    except (FileError, EncodeError) as error:
        raise Failure(str(error)) from None


def read_row(name: str, preprocess: Mapping[str, Any]) -> dict[str, Any]:
    """The only row of a file, what is odd about it told on standard error.

    Raises:
        Failure: it cannot be read.
        UsageError: it holds several rows.
    """
    from netloom.data.tables.row_file import reported, summary, unknown_categories

    found = read_rows(name, preprocess)
    if len(found.rows) != 1:
        raise UsageError(
            f"{name[:80]!r} holds {len(found.rows):,} rows, but explain takes one row at a time; leave one row in it."
        )
    unknown = unknown_categories(preprocess, found.rows)
    for remark in (*found.notes, *summary(reported([{}], unknown=unknown, unreadable=found.unreadable))):
        print(plain(remark), file=sys.stderr, flush=True)
    return found.rows[0]


def _bytes(name: str) -> bytes:
    if name == STDIN:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with open(name, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Failure(f"{name} has more than {MAX_BYTES // 2**20} MiB; split it into parts.")
    return data
