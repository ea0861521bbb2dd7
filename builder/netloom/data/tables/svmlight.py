"""Tables in the format of SVMlight and LIBSVM: a line is `label index:value index:value …`; other values are 0."""

from __future__ import annotations

import io
import re
from itertools import islice
from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.data.limits import MAX_CELLS

if TYPE_CHECKING:
    import pandas as pd

_LINE = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?(\s+\d+:[+-]?[\d.]+([eE][+-]?\d+)?)*\s*(#.*)?", re.ASCII)
_SAMPLE_LINES = 200


def is_svmlight(text: str) -> bool:
    """Return whether the first lines of a text are those of an SVMlight file."""
    lines = (line.strip() for line in io.StringIO(text))
    sample = list(islice((line for line in lines if line and not line.startswith("#")), _SAMPLE_LINES))
    return any(":" in line for line in sample) and all(map(_LINE.fullmatch, sample))


def svmlight_table(text: str, filename: str) -> pd.DataFrame | None:
    """Return a table with the columns `x1`, `x2`, … and `label`; None if the text is something else.

    Raises:
        DataError: A line is malformed, or the table has too many cells.
    """
    if not is_svmlight(text):
        return None
    import pandas as pd
    from sklearn.datasets import load_svmlight_file

    try:
        features, labels = load_svmlight_file(io.BytesIO(text.encode()))
    except ValueError as error:
        reason = " ".join(str(error).split())[:100].rstrip(". ")
        raise DataError(f"{filename[:100]!r} cannot be read as an SVMlight file: {reason}.") from None
    rows, columns = features.shape
    if rows * columns > MAX_CELLS:
        raise DataError(
            f"{filename[:100]!r} has {rows:,} rows of {columns:,} values; at most {MAX_CELLS:,} cells can be read."
        )
    table = pd.DataFrame(features.toarray(), columns=[f"x{number}" for number in range(1, columns + 1)])
    is_whole = (labels == labels.round()).all()
    table["label"] = labels.astype(int) if is_whole else labels
    return table
