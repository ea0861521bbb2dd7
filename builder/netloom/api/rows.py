"""Rows as callers of the API have them, for the reader of files and requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError, UsageError
from netloom.data.dialect import FileError
from netloom.data.tables.record_reader import RecordReader
from netloom.modalities.encoding.cells import EncodeError

if TYPE_CHECKING:
    import pandas as pd

    from netloom.data.tables.raw_rows import RowFile
    from netloom.runs import TrainedRun

_SCALARS = (np.bool_, np.integer, np.floating, np.str_)


def read_rows(run: TrainedRun, rows: Iterable[Mapping[str, Any]] | pd.DataFrame) -> RowFile:
    """Return rows with their cells read as in files and in requests to the model server.

    Raises:
        DataError: a row is not a mapping, or does not fit the network.
        UsageError: these are not rows.
    """
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        return read_rows(run, [{str(name): cell for name, cell in row.items()} for row in rows.to_dict("records")])
    if isinstance(rows, (Mapping, str, bytes)) or not isinstance(rows, Iterable):
        hint = "; put a single row in a list" if isinstance(rows, Mapping) else ""
        raise UsageError(
            f"Rows are a list with a mapping for each row, or a DataFrame, received a {type(rows).__name__}{hint}."
        )
    missing = (pd.NA, pd.NaT)
    encoders = [encoder for encoder in run.data.fields if encoder.name in run.fields]
    try:
        return RecordReader(encoders).read([_plain(row, missing) for row in rows], "rows")
    except (FileError, EncodeError) as error:
        raise DataError(str(error)) from None


def _plain(row: Any, missing: tuple[Any, ...]) -> Any:
    """Return a row with names and cells as in JSON; arrays and dates stay as they are."""
    if not isinstance(row, Mapping):
        return row
    return {name: _plain_cell(value, missing) for name, value in row.items()}


def _plain_cell(value: Any, missing: tuple[Any, ...]) -> Any:
    if any(value is marker for marker in missing):
        return None
    return value.item() if isinstance(value, _SCALARS) else value
