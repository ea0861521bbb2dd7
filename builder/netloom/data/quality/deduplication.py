"""A split without duplicate rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netloom.core.errors import DataError
from netloom.data.quality.quality_view import row_codes


def without_repeats(
    parts: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray], target: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the row numbers of each part without rows that are equal to another in inputs and target.

    Of equal rows, the one in the first part remains: copies of training rows are removed from validation and test.

    Raises:
        DataError: A part becomes empty.
    """
    columns = [row_codes(np.asarray(values)) for values in (*inputs.values(), target)]
    codes = row_codes(np.column_stack(columns))
    rows = np.concatenate(list(parts.values()))
    # `unique` returns the first occurrence, and training rows come first
    _, first = np.unique(codes[rows], return_index=True)
    is_first = np.zeros(len(rows), dtype=bool)
    is_first[first] = True
    bounds = np.cumsum([len(part) for part in parts.values()])[:-1]
    unique_parts = {
        name: part[keep] for (name, part), keep in zip(parts.items(), np.split(is_first, bounds), strict=True)
    }
    for name, part in unique_parts.items():
        if not len(part):
            raise DataError(
                f"Every {name} row is a copy of a row in another part, so none is left without duplicates; keep the "
                "duplicates, or add rows that differ."
            )
    return unique_parts
