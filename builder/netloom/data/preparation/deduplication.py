"""A split without duplicate rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netloom.core.errors import DataError


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


def row_codes(values: np.ndarray) -> np.ndarray:
    """Return a code for each row of (n, …), equal for equal rows: NaN equals NaN, and 0 equals −0."""
    if values.dtype.kind == "f":
        values = with_equal_bits(values)
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    # Each row is one opaque value, which `unique` compares by its bytes
    rows = flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).ravel()
    return np.unique(rows, return_inverse=True)[1].ravel()


def with_equal_bits(values: np.ndarray) -> np.ndarray:
    """Return floats with one bit pattern for NaN, and 0 instead of −0, so that equal numbers have equal bytes."""
    return np.asarray(np.where(np.isnan(values), values.dtype.type(np.nan), values + values.dtype.type(0)))
