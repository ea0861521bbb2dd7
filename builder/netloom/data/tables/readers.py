"""Read a table from the bytes of a CSV, JSON, ARFF, SVMlight, Parquet or spreadsheet file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from netloom.core.errors import DataError
from netloom.data import dialect
from netloom.data.decoded_size import read_parquet_table, refuse_long_lines
from netloom.data.dialect import (
    LATIN,
    MISSING_MARKS,
    Dialect,
    FileError,
    column_names,
    has_no_header,
    infer_dialect,
    numbered_names,
    preamble_lines,
    refuse_empty,
    sample_records,
    with_tabs,
    without_preamble,
)
from netloom.data.limits import MAX_CELLS, MAX_COLUMNS, MAX_ROWS, MAX_UNPACKED_BYTES
from netloom.data.tables.arff import arff_table
from netloom.data.tables.code_columns import LEADING_ZERO, NONE_PADDED, ZeroPadded, zero_padded
from netloom.data.tables.json_records import NOTES, json_table
from netloom.data.tables.labeled_lines import labeled_lines
from netloom.data.tables.plain_types import distinct_texts, plain_table
from netloom.data.tables.rasa import rasa_table
from netloom.data.tables.spreadsheets import read_spreadsheet
from netloom.data.tables.svmlight import svmlight_table

if TYPE_CHECKING:
    import pandas as pd

TABLE_FORMS = ("text", "parquet", "excel")
LATIN_NOTE = "The file is not UTF-8 and was read as Windows-1252; check its accented letters."
QUOTED_DECIMAL_NOTE = 'Numbers in quotes such as "0,5" are read with a decimal comma.'
HEADLESS_NOTE = "The first line looks like data, not like column names, so the columns were numbered."


def read_table(
    data: bytes,
    form: str,
    filename: str,
    sheet: str = "",
    *,
    to_learn: bool = True,
    columns: Collection[str] = (),
) -> tuple[pd.DataFrame, list[str]]:
    """Return the table in the bytes of a file, and notes on what had to be assumed.

    Args:
        form: One of `TABLE_FORMS`.
        sheet: The name of a sheet of a spreadsheet; "" chooses the first that is a table, or that has one of the
            `columns`.
        to_learn: Whether a network learns from it, which needs two columns, and not only predicts its rows.

    Raises:
        DataError: The file cannot be read, or has no rows.
    """
    notes: list[str] = []
    if form == "parquet":
        table = _parquet(data, filename)
    elif form == "excel":
        table = plain_table(read_spreadsheet(data, filename, sheet, notes, columns))
    else:
        text = _decode_noting(data, filename, notes)
        frame = layout_table(text, filename)
        table = _csv(text, filename, notes) if frame is None else plain_table(frame)
        notes += [] if frame is None else frame.attrs.get(NOTES, [])
    if to_learn and table.shape[1] < 2:
        raise DataError(
            f"{filename[:100]!r} has one column; a table needs a column to predict and others to learn from, with "
            "commas, semicolons, tabs or | between them."
        )
    if not len(table):
        raise DataError(f"{filename[:100]!r} has column names but no rows; put the rows below them.")
    _refuse_size(*table.shape, filename)
    return table, notes


def layout_table(text: str, filename: str) -> pd.DataFrame | None:
    """Return the table of a text in another layout than CSV, such as JSON, with notes in its `attrs`; None for CSV.

    Raises:
        DataError: The text begins like such a layout, but cannot be read.
    """
    tables = (read(text, filename) for read in (json_table, rasa_table, arff_table, svmlight_table, labeled_lines))
    return next((table for table in tables if table is not None), None)


def preamble_note(lines: int) -> str:
    """Return the note that the first lines of a file are not read."""
    what = f"first {lines} lines are" if lines > 1 else "first line is"
    return f"The {what} not part of the table."


def csv_notes(skipped: int, dialect: Dialect, headless: bool) -> list[str]:
    """Return notes on what had to be assumed about a CSV file, of which the first lines are `skipped`."""
    notes = [preamble_note(skipped)] if skipped else []
    if headless:
        notes.append(HEADLESS_NOTE)
    if (dialect.separator, dialect.decimal) == (",", ","):
        notes.append(QUOTED_DECIMAL_NOTE)
    return notes


def _refuse_size(rows: int, columns: int, filename: str) -> None:
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        raise DataError(
            f"{filename[:100]!r} has {rows:,} rows and {columns:,} columns; at most {MAX_ROWS:,} and {MAX_COLUMNS:,}, "
            f"and {MAX_CELLS:,} cells, can be read."
        )


def _parquet(data: bytes, filename: str) -> pd.DataFrame:
    from pyarrow import BufferReader, parquet

    try:
        file = parquet.ParquetFile(BufferReader(data))
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        _refuse_size(file.metadata.num_rows, file.metadata.num_columns, filename)
        if sum(group.total_byte_size for group in groups) > MAX_UNPACKED_BYTES:
            raise DataError(
                f"{filename[:100]!r} would unpack to more than {MAX_UNPACKED_BYTES / 2**20:,.0f} MiB; "
                "upload a part of it."
            )
        # The metadata of pandas (an index, extension types) is not trusted, and not needed.
        table = read_parquet_table(file, len(data), filename).replace_schema_metadata(None)
        table.validate(full=True)
        return plain_table(table.to_pandas())
    except (DataError, MemoryError):
        raise
    except Exception as error:
        # Arrow raises many kinds of errors on damaged files; the remedy is the same.
        raise parquet_error(error, filename) from None


def parquet_error(error: Exception, filename: str) -> DataError:
    """Return the error for a Parquet file that Arrow cannot read."""
    reason = " ".join(str(error).split()).partition(". ")[0][:100].rstrip(". ")
    return DataError(
        f"{filename[:100]!r} is not a readable Parquet file ({reason}): it is damaged or incomplete; copy it again."
    )


def parser_reason(message: str) -> str:
    """Return the reason of a parser error of pandas, with its remedy.

    Raises:
        MemoryError: pandas ran out of memory, which is not a fault of the file.
    """
    if "out of memory" in message:
        raise MemoryError(message)
    match = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message)
    if not match:
        return message.removeprefix("Error tokenizing data. C error: ")
    expected, line, received = match.groups()
    return (
        f"line {line} has {received} cells where {expected} were expected; put quotes around text that holds the "
        "separator, or remove the extra cell"
    )


def _csv(text: str, filename: str, notes: list[str]) -> pd.DataFrame:
    import pandas as pd

    refuse_long_lines(text, filename)
    skipped = preamble_lines(text)
    text = with_tabs(without_preamble(text))
    dialect = infer_dialect(text)
    rows = sample_records(text, dialect)
    if (
        columns := max(map(len, rows), default=0)
    ) > MAX_COLUMNS:  # checked first: pandas takes minutes for a very wide line
        raise DataError(f"{filename[:100]!r} has {columns:,} columns; at most {MAX_COLUMNS:,} can be read.")
    headless = has_no_header(rows)
    names = header_names(rows, headless)
    options = csv_options(dialect, headless)
    try:
        padded = _zero_padded(text, names, options)
        types = dict.fromkeys(padded.codes, str) or None
        table = pd.read_csv(io.BytesIO(text.encode()), names=names, dtype=types, **options)
        table = drop_unnamed_last(table, names)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, ValueError, OverflowError) as error:
        reason = parser_reason(" ".join(str(error).split())[:150].rstrip(". "))
        raise DataError(f"{filename[:100]!r} cannot be read as CSV: {reason}.") from None
    # pandas makes surplus cells at the start of each row an index
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{filename[:100]!r} has rows with more fields than there are column names.")
    notes += csv_notes(skipped, dialect, headless)
    return plain_table(table, dialect.decimal, written=True, padded=padded)


def _zero_padded(text: str, names: list[str] | None, options: Mapping[str, Any]) -> ZeroPadded:
    """Return the columns of a CSV text with leading zeros; it is parsed for them only if a cell begins with 0."""
    import pandas as pd

    if names is None or not LEADING_ZERO.search(text):
        return NONE_PADDED
    table = pd.read_csv(io.BytesIO(text.encode()), names=names, dtype=str, **options)
    table = drop_unnamed_last(table, names)
    return zero_padded({name: distinct_texts(table[name]) for name in names if name in table})


def header_names(rows: list[list[str]], headless: bool) -> list[str] | None:
    """Return the column names of a file, from its first records; None if there are none."""
    if not rows:
        return None
    return numbered_names(max(map(len, rows))) if headless else column_names(rows[0])


def csv_options(dialect: Dialect, headless: bool) -> dict[str, Any]:
    """Return the arguments of `pandas.read_csv` that give the same bits as `netloom.data.tables.row_file`."""
    return {
        "sep": dialect.separator,
        "header": None if headless else 0,
        "decimal": dialect.decimal,
        "quoting": dialect.quoting,
        "skipinitialspace": True,
        "low_memory": False,  # read in parts, one column may get numbers in some rows and texts in others
        "na_values": sorted(MISSING_MARKS),
        "keep_default_na": False,
        **_exact_floats(),
    }


def _exact_floats() -> dict[str, Any]:
    """Return the argument that makes pandas round numbers as Python does, instead of with an error in the last bit.

    From release 3.1 on pandas always does, and deprecates the argument.
    """
    import pandas as pd

    release = tuple(int(part) for part in pd.__version__.split(".")[:2])
    return {"float_precision": "round_trip"} if release < (3, 1) else {}


def drop_unnamed_last(table: pd.DataFrame, names: list[str] | None) -> pd.DataFrame:
    """Return the table without the unnamed empty column that results from a separator at the end of each line."""
    import pandas as pd

    if names is None or isinstance(table.index, pd.RangeIndex) or table.index.nlevels > 1:
        return table
    if not len(names) or table.iloc[:, -1].notna().any():
        return table
    table = table.reset_index().iloc[:, : len(names)]
    table.columns = pd.Index(names)
    return table


def _decode_noting(data: bytes, filename: str, notes: list[str]) -> str:
    text, encoding = decode_text(data, filename)
    if encoding == LATIN:
        notes.append(LATIN_NOTE)
    try:
        refuse_empty(text, filename)
    except FileError as error:
        raise DataError(str(error)) from None
    return text


def decode_text(data: bytes, filename: str) -> tuple[str, str]:
    """Return the text of a file and its encoding.

    Raises:
        DataError: The file is not text.
    """
    try:
        return dialect.decode_text(data, filename)
    except FileError as error:
        raise DataError(str(error)) from None
