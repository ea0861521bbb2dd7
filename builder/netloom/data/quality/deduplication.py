"""The split without rows that stand in the data more than once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netloom.core.errors import DataError
from netloom.data.quality.quality_view import alike


def without_repeats(
    parts: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray], target: np.ndarray
) -> dict[str, np.ndarray]:
    """The row numbers of each part, one of each of the rows that are alike in their inputs and their target. It is the
    one in the part that comes first: a row that training sees is not measured on.

    Raises:
        DataError: nothing is left of a part.
    """
    columns = [alike(np.asarray(values)) for values in (*inputs.values(), target)]
    whole = alike(np.column_stack(columns))
    every = np.concatenate(list(parts.values()))
    _, first = np.unique(whole[every], return_index=True)
    kept = np.zeros(len(every), dtype=bool)
    kept[first] = True
    bounds = np.cumsum([len(rows) for rows in parts.values()])[:-1]
    found = {name: rows[keep] for (name, rows), keep in zip(parts.items(), np.split(kept, bounds), strict=True)}
    for name, rows in found.items():
        if not len(rows):
            raise DataError(
                f"Every {name} row stands in another part just the same, so none is left without duplicates; keep "
                "them, or bring rows that differ."
            )
    return found
