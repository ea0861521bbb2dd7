"""From the bytes of a file to a table of plain columns: numbers, booleans, dates or texts."""

from __future__ import annotations

import csv
import io
import re
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from builder.data.decoded_size import refuse_long_lines, whole_table
from builder.data.forms import encoding_of
from builder.data.limits import MAX_CELLS, MAX_COLUMNS, MAX_ROWS, MAX_UNPACKED_BYTES
from builder.data.records import records
from builder.data.schema import DataError
from builder.data.spreadsheets import spreadsheet

if TYPE_CHECKING:
    import pandas as pd

TABLE_FORMS = ("text", "parquet", "excel")
LATIN = "cp1252"
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
ISO_DATE = r"\d{4}-\d{2}(-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?"
_DECIMAL_COMMA = re.compile(r"(?:^|;)-?\d+,\d+(?:;|$)", re.MULTILINE)
# Dates as people write them, and numbers in groups of three digits, such as 31.12.2024 and 1,234.50.
_WRITTEN_DATE = r"(?:\d{1,2}\.\d{1,2}\.\d{4}|\d{1,2}/\d{1,2}/\d{4})"
_GROUPED, _SURELY = r"[+-]?\d{1,3}(?:,\d{3})*(?:\.\d+)?", r",\d{3}[,.]"
_QUOTED = re.compile(r'"[^"]*"')
_SAMPLE_LINES = 200
_SAMPLE_CHARACTERS = 2**16


def read_table(data: bytes, form: str, filename: str, sheet: str = "") -> tuple[pd.DataFrame, list[str]]:
    """A table from the bytes of a file of one of the `TABLE_FORMS`, and what had to be assumed while reading it.
    `sheet` is for spreadsheets: the name of one, else the first that holds something.

    Raises:
        DataError: it cannot be read, or has no rows.
    """
    notes: list[str] = []
    if form == "parquet":
        table = _parquet(data, filename)
    elif form == "excel":
        table = plain_table(spreadsheet(data, filename, sheet, notes))
    else:
        text = _decode(data, filename, notes)
        found = records(text, filename)
        table = _csv(text, filename, notes) if found is None else plain_table(found)
    if table.shape[1] < 2:
        raise DataError(
            f"{filename[:100]!r} has one column; a table needs a column to predict and others to learn from, with "
            "commas, semicolons, tabs or | between them."
        )
    if not len(table):
        raise DataError(f"{filename[:100]!r} has column names but no rows; put the rows below them.")
    _refuse_size(*table.shape, filename)
    return table, notes


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
        # What pandas once wrote beside the columns (an index, types of its own) is not to be trusted, nor needed.
        table = whole_table(file, len(data), filename).replace_schema_metadata(None)
        table.validate(full=True)
        return plain_table(table.to_pandas())
    except (DataError, MemoryError):
        raise
    except Exception as error:
        # Arrow raises many kinds of errors on damaged files; each means the same to a person.
        raise no_parquet(error, filename) from None


def no_parquet(error: Exception, filename: str) -> DataError:
    """What Arrow says of a damaged file, in words that say how to mend it."""
    reason = " ".join(str(error).split()).partition(". ")[0][:100].rstrip(". ")
    return DataError(
        f"{filename[:100]!r} is no Parquet file that can be read ({reason}): it is damaged, or was not copied to its "
        "end; copy it again."
    )


def _reason(said: str) -> str:
    """What pandas says of a broken line, in words that say how to mend it.

    Raises:
        MemoryError: it says that there is no memory, which is no fault of the file's form.
    """
    if "out of memory" in said:
        raise MemoryError(said)
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", said)
    if not found:
        return said.removeprefix("Error tokenizing data. C error: ")
    expected, line, saw = found.groups()
    return (
        f"line {line} has {saw} cells where {expected} were expected; put quotes around text that holds the separator, "
        "or take the surplus cell away"
    )


def _csv(text: str, filename: str, notes: list[str]) -> pd.DataFrame:
    import pandas as pd

    refuse_long_lines(text, filename)
    separator = _separator(text)
    rows = _sample(text, separator)
    if rows and len(rows[0]) > MAX_COLUMNS:
        raise DataError(f"{filename[:100]!r} has {len(rows[0]):,} columns; at most {MAX_COLUMNS:,} can be read.")
    headless = _headless(rows)
    options: dict[str, Any] = {
        "sep": separator,
        "header": None if headless else 0,
        "decimal": "," if separator == ";" and _DECIMAL_COMMA.search(text[:_SAMPLE_CHARACTERS]) else ".",
        "skipinitialspace": True,
        "low_memory": False,  # in parts, a column may become numbers here and texts there
    }
    try:
        table = _parse(text, options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, ValueError, OverflowError) as error:
        reason = _reason(" ".join(str(error).split())[:150].rstrip(". "))
        raise DataError(f"{filename[:100]!r} cannot be read as CSV: {reason}.") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{filename[:100]!r} has rows with more fields than there are column names.")
    if headless:
        table.columns = pd.Index([f"column {number}" for number in range(1, table.shape[1] + 1)])
        notes.append("The first line looks like data, not like column names, so the columns were numbered.")
    return plain_table(table)


def _parse(text: str, options: dict[str, Any]) -> pd.DataFrame:
    """The table. In tab-separated text a quote is mostly just a quote: where taking it for more would glue lines
    together that are whole by themselves, it is taken for what it is."""
    import pandas as pd

    def parse(quoting: Literal[0, 3]) -> pd.DataFrame:
        table: pd.DataFrame = pd.read_csv(io.BytesIO(data), quoting=quoting, **options)
        return table

    data = text.encode()
    if options["sep"] != "\t":
        return parse(csv.QUOTE_MINIMAL)
    counts = {line.count("\t") for line in io.StringIO(text, newline=None) if line.strip()}
    if len(counts) > 1:
        return parse(csv.QUOTE_MINIMAL)
    whole = parse(csv.QUOTE_NONE)
    try:
        quoted = parse(csv.QUOTE_MINIMAL)
    except pd.errors.ParserError:
        return whole
    return whole if len(quoted) < len(whole) else quoted


def _decode(data: bytes, filename: str, notes: list[str]) -> str:
    text, encoding = decoded(data, filename)
    if encoding == LATIN:
        notes.append("The file is not UTF-8 and was read as Windows-1252; look whether its accents are right.")
    if not text.strip():
        raise DataError(f"{filename[:100]!r} is empty; choose the file that holds the data.")
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise DataError(
            f"{filename[:100]!r} holds a NUL character in line {line:,}, so it is no CSV text; save it again as CSV."
        )
    return text


def decoded(data: bytes, filename: str) -> tuple[str, str]:
    """The text in a file, and the encoding that it is in.

    Raises:
        DataError: it is none.
    """
    encoding = encoding_of(data)
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError as error:
        # One byte per letter can be read from anything, so it has to look like text: no control characters at all.
        if encoding == "utf-8-sig" and not _CONTROL.search(data):
            with suppress(UnicodeDecodeError):
                return data.decode(LATIN), LATIN
        cut = error.start > len(data) - 4
        wrong = "ends in the middle of a letter" if cut else f"has {data[error.start]:#04x} there, which is no letter"
        named = encoding.removesuffix("-sig").upper()
        raise DataError(
            f"{filename[:100]!r} is not {named} text at byte {error.start:,}: it {wrong}; "
            f"{'copy it again to its end' if cut else 'save it as CSV UTF-8 and upload it again'}."
        ) from None


def _separator(text: str) -> str:
    first = _QUOTED.sub("", next(line for line in io.StringIO(text, newline=None) if line.strip()))
    return max(",;\t|", key=first.count)


def _sample(text: str, separator: str) -> list[list[str]]:
    """The fields of the first lines."""
    lines = islice((line for line in io.StringIO(text, newline=None) if line.strip()), _SAMPLE_LINES)
    try:
        return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator, skipinitialspace=True)]
    except csv.Error:
        return []


def _headless(rows: list[list[str]]) -> bool:
    """Whether the first line is data: a name above numbers would say that it is not, and then it has to be numbers
    itself, or one of its texts has to come again and again below itself, or to be a sentence above sentences."""
    if len(rows) < 2:
        return False
    again = False
    for place, name in enumerate(rows[0]):
        below = [row[place] for row in rows[1:] if len(row) > place and row[place]]
        if name and below and not _is_number(name):
            if all(map(_is_number, below)):
                return False
            again = again or below.count(name) > 1 or (_ends(name) and 2 * sum(map(_ends, below)) > len(below))
    return again or all(map(_is_number, filter(None, rows[0])))


def _ends(text: str) -> bool:
    """Whether a text ends as sentences do, and names of columns do not."""
    return text[-1:] in tuple(".!?…。！？")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?", text) is not None


def _names(columns: Any) -> list[str]:
    """Column names as text, each once."""
    names: list[str] = []
    for position, column in enumerate(columns, 1):
        name = str(column).strip()[:200] or f"column {position}"
        while name in names:
            name = f"{name} (2)"
        names.append(name)
    return names


def plain_table(table: pd.DataFrame) -> pd.DataFrame:
    """The table with nothing in it but numbers, booleans, dates and texts, so that it can be counted and stored."""
    import pandas as pd

    names = _names(table.columns)
    return pd.DataFrame({name: _column(table.iloc[:, place]) for place, name in enumerate(names)})


def _column(values: pd.Series) -> pd.Series:
    import pandas as pd

    kinds = pd.api.types
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.dtype.categories.dtype)
    if kinds.is_bool_dtype(values):
        return values if not values.isna().any() else values.map(str, na_action="ignore").astype("string")
    if kinds.is_timedelta64_dtype(values):
        return pd.Series(values.dt.total_seconds())
    if kinds.is_datetime64_any_dtype(values):
        return pd.to_datetime(values, utc=True)
    if kinds.is_numeric_dtype(values):
        return values
    known = values.dropna()
    if len(known) and kinds.infer_dtype(known, skipna=True) in ("decimal", "integer", "mixed-integer-float"):
        with suppress(OverflowError):  # whole numbers of more digits than any float has stay texts
            return pd.Series([np.nan if pd.isna(value) else float(value) for value in values], dtype=np.float64)
    return _dates(_numbers(_texts(values)))


def _texts(values: pd.Series) -> pd.Series:
    import pandas as pd

    if isinstance(values.dtype, pd.StringDtype):
        return values.astype("string")
    return values.map(_text, na_action="ignore").astype("string")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _numbers(values: pd.Series) -> pd.Series:
    """Texts that are numbers in groups of three digits, as numbers, where no cell can be meant otherwise."""
    import pandas as pd

    known = values.dropna()
    if known.empty or not known.head(100).str.fullmatch(_GROUPED).all() or not known.str.fullmatch(_GROUPED).all():
        return values
    plain = values.str.replace(",", "") if known.str.contains(_SURELY).any() else None
    return values if plain is None else pd.Series(plain.astype("Float64").to_numpy(np.float64, na_value=np.nan))


def _dates(values: pd.Series) -> pd.Series:
    """Texts that are dates as dates: in ISO form, or in one that each cell can be read by and that no other can be."""
    import pandas as pd

    known = values.dropna()
    first, found = known.head(100), []
    if not known.empty and pd.api.types.is_string_dtype(values):  # and not made numbers of
        iso = bool(first.str.fullmatch(ISO_DATE).all())
        forms = ("ISO8601",) if iso else ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
        if iso or first.str.fullmatch(_WRITTEN_DATE).all():
            found = [pd.to_datetime(values, errors="coerce", format=form, utc=True) for form in forms]
    whole = [dates for dates in found if dates.notna().sum() == len(known)]
    return whole[0] if len(whole) == 1 else values
