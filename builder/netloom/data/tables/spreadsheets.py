"""Tables from Excel files. Formulas have the values that were saved with the file; no formula or macro is run."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from netloom.core.errors import DataError
from netloom.data.limits import MAX_COLUMNS, MAX_ROWS, MAX_SHEET_CELLS

if TYPE_CHECKING:
    import pandas as pd


def sheet_names(data: bytes, filename: str) -> list[str]:
    """Return the names of a file's sheets.

    Raises:
        DataError: The spreadsheet cannot be read.
    """
    with _open_workbook(data, filename) as book:
        return [str(name) for name in book.sheetnames]


def read_spreadsheet(
    data: bytes, filename: str, sheet: str, notes: list[str], columns: Collection[str] = ()
) -> pd.DataFrame:
    """Return a sheet as a table. Its first row with values has the column names; columns after the last are cut.

    Args:
        sheet: The name of the sheet; "" chooses the first with one of the `columns`, or without `columns` the first
            table, which has two columns; if there is none, the first sheet that is not empty.

    Raises:
        DataError: The file cannot be read, is too large, or has no such sheet.
    """
    import pandas as pd

    read = _Sheet("", [], 0)
    with _open_workbook(data, filename) as book:
        names = [str(name) for name in book.sheetnames]
        if sheet and sheet not in names:
            listed = ", ".join(repr(name[:40]) for name in names[:20])
            raise DataError(f"{filename[:100]!r} has no sheet {sheet[:60]!r}; it has {listed}.")
        for name in [sheet] if sheet else names:
            other = _Sheet(name, *_rows(book[name], filename))
            read = read if read.rows else other
            if other.has(columns):
                read = other
                break
    if not read.rows:
        raise DataError(f"{filename[:100]!r} has no cells in {'that sheet' if sheet else 'any sheet'}.")
    if not sheet and len(names) > 1:
        notes.append(f"Of {len(names)} sheets, {read.name!r} was read.")
    head, body = read.head, read.body
    width = max((column_index for column_index, cell in enumerate(head, 1) if cell is not None), default=0)
    if width > MAX_COLUMNS:
        raise DataError(f"{filename[:100]!r} has {width:,} columns; at most {MAX_COLUMNS:,} can be read.")
    # Formulas without saved results read as empty cells
    if read.empty_rows > len(body):
        raise DataError(
            f"{filename[:100]!r} has formulas whose results were never saved; open it in Excel, save it, and try again."
        )
    cells = {
        column_index: [row[column_index] if column_index < len(row) else None for row in body]
        for column_index in range(width)
    }
    table = pd.DataFrame(cells)
    table.columns = pd.Index(
        [str(head[column_index] if head[column_index] is not None else "") for column_index in range(width)]
    )
    return table


class _Sheet(NamedTuple):
    """The rows of a sheet with values, and the number of empty rows."""

    name: str
    rows: list[tuple[Any, ...]]
    empty_rows: int

    @property
    def head(self) -> tuple[Any, ...]:
        return self.rows[_header_row(self.rows)]

    @property
    def body(self) -> list[tuple[Any, ...]]:
        return self.rows[_header_row(self.rows) + 1 :]

    def has(self, columns: Collection[str]) -> bool:
        """Return whether the sheet has one of these columns, or without `columns`, two columns with rows below."""
        if not self.rows:
            return False
        names = [str(cell).strip() for cell in self.head if cell is not None]
        return any(name in columns for name in names) if columns else len(names) > 1 and bool(self.body)


def _header_row(rows: list[tuple[Any, ...]]) -> int:
    """Return the index of the first row that is not a title, a single text above rows of at least three cells."""
    widths = [sum(cell is not None for cell in row) for row in rows]
    if median(widths) <= 2:
        return 0
    is_title = (
        width == 1 and any(isinstance(cell, str) for cell in row) for row, width in zip(rows, widths, strict=True)
    )
    return next((index for index, title in enumerate(is_title) if not title), 0)


def _rows(sheet: Any, filename: str) -> tuple[list[tuple[Any, ...]], int]:
    """Return the rows with values, and the number of empty rows. Errors such as #N/A count as missing."""
    if not hasattr(sheet, "reset_dimensions"):
        return [], 0  # a sheet of charts
    sheet.reset_dimensions()  # the size that a sheet declares may be wrong
    filled: list[tuple[Any, ...]] = []
    cells = empty_rows = 0
    for row in sheet.iter_rows(values_only=True):
        cells += len(row) + 1
        if cells > MAX_SHEET_CELLS or len(filled) > MAX_ROWS:
            raise DataError(
                f"{filename[:100]!r} has a sheet of more than {MAX_SHEET_CELLS:,} cells; save it as CSV or Parquet."
            )
        values = tuple(
            None if isinstance(cell, str) and cell[:1] == "#" and cell[-1:] in "!?A" else cell for cell in row
        )
        if any(cell is not None for cell in values):
            filled.append(values)
        elif values:
            empty_rows += 1
    return filled, empty_rows


@contextmanager
def _open_workbook(data: bytes, filename: str) -> Iterator[Any]:
    from openpyxl import load_workbook

    book = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unsupported styles and extensions, which hold no data
            book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False, keep_vba=False)
            yield book
    except DataError:
        raise
    except Exception as error:
        # openpyxl and the XML parser raise many kinds of errors on damaged files; the remedy is the same.
        reason = " ".join(str(error).split())[:100].rstrip(". ") or type(error).__name__
        raise DataError(f"{filename[:100]!r} is not a readable Excel file: {reason}.") from None
    finally:
        if book is not None:
            book.close()
