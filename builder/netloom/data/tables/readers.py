"""From the bytes of a file to a table of plain columns: numbers, booleans, dates or texts."""

from __future__ import annotations

import csv
import io
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.decoded_size import refuse_long_lines, whole_table
from netloom.data.limits import MAX_CELLS, MAX_COLUMNS, MAX_ROWS, MAX_UNPACKED_BYTES
from netloom.data.tables import dialect
from netloom.data.tables.dialect import (
    BOOLEANS,
    LATIN,
    MISSING_MARKS,
    Dialect,
    FileError,
    column_names,
    dialect_of,
    has_no_header,
    numbered_names,
    refuse_empty,
    sample,
)
from netloom.data.tables.json_records import records
from netloom.data.tables.spreadsheets import spreadsheet
from netloom.modalities.columns.conversion import dated
from netloom.modalities.encoding.coercion import GROUPED, ISO, ISO_DATE, are_grouped, date_forms, number

if TYPE_CHECKING:
    import pandas as pd

TABLE_FORMS = ("text", "parquet", "excel")


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


def parser_reason(said: str) -> str:
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
    found = dialect_of(text)
    rows = sample(text, found)
    if (columns := max(map(len, rows), default=0)) > MAX_COLUMNS:  # in any line: pandas takes minutes for a wide one
        raise DataError(f"{filename[:100]!r} has {columns:,} columns; at most {MAX_COLUMNS:,} can be read.")
    headless = has_no_header(rows)
    names = named(rows, headless)
    try:
        table = pd.read_csv(io.BytesIO(text.encode()), names=names, **csv_options(found, headless))
        table = without_last(table, names)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error, ValueError, OverflowError) as error:
        reason = parser_reason(" ".join(str(error).split())[:150].rstrip(". "))
        raise DataError(f"{filename[:100]!r} cannot be read as CSV: {reason}.") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{filename[:100]!r} has rows with more fields than there are column names.")
    if headless:
        notes.append("The first line looks like data, not like column names, so the columns were numbered.")
    return plain_table(table, found.decimal, written=True)


def named(rows: list[list[str]], headless: bool) -> list[str] | None:
    """What the columns of a file are called, by its first lines; None where these cannot be parsed."""
    if not rows:
        return None
    return numbered_names(max(map(len, rows))) if headless else column_names(rows[0])


def csv_options(dialect: Dialect, headless: bool) -> dict[str, Any]:
    """What pandas needs to know to read cells as `netloom.data.tables.row_file` does, to the same bits."""
    return {
        "sep": dialect.separator,
        "header": None if headless else 0,
        "decimal": dialect.decimal,
        "quoting": dialect.quoting,
        "skipinitialspace": True,
        "low_memory": False,  # in parts, a column may become numbers here and texts there
        "na_values": sorted(MISSING_MARKS),
        "keep_default_na": False,
        **_exact_floats(),
    }


def _exact_floats() -> dict[str, Any]:
    """What makes pandas read the number that Python does, not one that is off in its last bit: since 3.1 it always
    does, and deprecates the option."""
    import pandas as pd

    release = tuple(int(part) for part in pd.__version__.split(".")[:2])
    return {"float_precision": "round_trip"} if release < (3, 1) else {}


def without_last(table: pd.DataFrame, names: list[str] | None) -> pd.DataFrame:
    """The table without the empty column behind a separator at the end of each line, which the header does not name."""
    import pandas as pd

    if names is None or isinstance(table.index, pd.RangeIndex) or table.index.nlevels > 1:
        return table
    if not len(names) or table.iloc[:, -1].notna().any():
        return table
    table = table.reset_index().iloc[:, : len(names)]
    table.columns = pd.Index(names)
    return table


def _decode(data: bytes, filename: str, notes: list[str]) -> str:
    text, encoding = decoded(data, filename)
    if encoding == LATIN:
        notes.append("The file is not UTF-8 and was read as Windows-1252; look whether its accents are right.")
    try:
        refuse_empty(text, filename)
    except FileError as error:
        raise DataError(str(error)) from None
    return text


def decoded(data: bytes, filename: str) -> tuple[str, str]:
    """The text in a file, and the encoding that it is in.

    Raises:
        DataError: it is none.
    """
    try:
        return dialect.decoded(data, filename)
    except FileError as error:
        raise DataError(str(error)) from None


def unique_names(columns: Any) -> list[str]:
    """Column names as text, each once."""
    names: list[str] = []
    for position, column in enumerate(columns, 1):
        name = str(column).strip()[:200] or f"column {position}"
        while name in names:
            name = f"{name} (2)"
        names.append(name)
    return names


def plain_table(table: pd.DataFrame, decimal: str = ".", *, written: bool = False) -> pd.DataFrame:
    """The table with nothing in it but numbers, booleans, dates and texts, so that it can be counted and stored.

    Where the cells were `written` by people, blanks around them do not count. How dates and grouped numbers were
    written is kept in `attrs["written"]`, by column, for the rows that are predicted for.
    """
    import pandas as pd

    names = unique_names(table.columns)
    columns = [table.iloc[:, place] for place in range(len(names))]
    if written:
        columns = [stripped(values, decimal) for values in columns]
    found = [inferred_column(values, decimal) for values in columns]
    plain = pd.DataFrame(dict(zip(names, found, strict=True)))
    forms = {name: form for name, values in zip(names, found, strict=True) if (form := values.attrs.get("written"))}
    for name in names:
        plain[name].attrs.clear()
    plain.attrs = {**({"written": forms} if forms else {}), **({"decimal": decimal} if decimal != "." else {})}
    return plain


def stripped(values: pd.Series, decimal: str = ".", *, as_texts: bool = False) -> pd.Series:
    """A column of texts without blanks around its cells, which kept pandas from seeing numbers and marks in them; it
    stays one of texts where that is settled."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(values) or pd.api.types.is_numeric_dtype(values):
        return values
    held = distinct(values)
    # Beside whole numbers beyond 64 bits, pandas itself takes a mark for a text.
    if all(text == text.strip() and text not in MISSING_MARKS for text in held):
        return values
    texts = {text: text.strip() for text in held}
    known = {plain for plain in texts.values() if plain not in MISSING_MARKS}
    meanings: dict[str, Any] = {text: plain if plain in known else None for text, plain in texts.items()}
    if not as_texts and all(number(plain, decimal) is not None and plain not in BOOLEANS for plain in known):
        return as_numbers(values, decimal)
    if not as_texts and known <= set(BOOLEANS):
        found = [BOOLEANS.get(str(meanings[text])) if isinstance(text, str) else None for text in values]
        return pd.Series(found, index=values.index)
    return values.map(meanings.get, na_action="ignore").astype("string")


def distinct(values: pd.Series) -> list[str]:
    """The texts in a column, each once."""
    return [text for text in np.asarray(values.dropna().unique(), dtype=object).tolist() if isinstance(text, str)]


def as_numbers(values: pd.Series, decimal: str = ".", *, grouped: bool = False) -> pd.Series:
    """A column of texts as numbers; not a number where one is missing or is none."""
    import pandas as pd

    codes, texts = pd.factorize(values)
    meanings = [number(text, decimal, grouped) for text in pd.Index(texts).to_numpy(dtype=object).tolist()]
    found = np.array([*(np.nan if one is None else one for one in meanings), np.nan])[codes]
    return pd.Series(found, index=values.index)


def inferred_column(values: pd.Series, decimal: str = ".") -> pd.Series:
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
    return _dates(_numbers(to_texts(values), decimal))


def to_texts(values: pd.Series) -> pd.Series:
    import pandas as pd

    if isinstance(values.dtype, pd.StringDtype):
        return values.astype("string")
    return values.map(_text, na_action="ignore").astype("string")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _numbers(values: pd.Series, decimal: str) -> pd.Series:
    """Texts that are numbers in groups of three digits, as numbers, where no cell can be meant otherwise."""
    known = values.dropna()
    if not are_grouped(known.head(100).tolist(), decimal, surely=False):
        return values
    if not are_grouped(distinct(values), decimal):
        return values
    return _noted(as_numbers(values, decimal, grouped=True), GROUPED)


def _dates(values: pd.Series) -> pd.Series:
    """Texts that are dates as dates: in ISO form, or in one that each cell can be read by and that no other can be."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(values):  # but numbers were made of it
        return values
    known = values.dropna()
    likely = date_forms(known.head(100).tolist())
    if not likely:
        return values
    texts = distinct(values)
    forms = likely if likely == [ISO] and all(map(re.compile(ISO_DATE).fullmatch, texts)) else date_forms(texts)
    if len(forms) != 1:
        return values
    found = dated(values, forms[0])
    return values if int(found.notna().sum()) < len(known) else _noted(found, forms[0])


def _noted(values: pd.Series, form: str) -> pd.Series:
    """A column that says how it was written."""
    values.attrs["written"] = form
    return values
