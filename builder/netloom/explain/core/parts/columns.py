"""The columns of a table as features: a column is one feature, whatever the number of values that encode it.

A category is one-hot encoded, a number may have a missing indicator, and a date consists of year, month and so on.
People edit and read columns, so all views and sums aggregate these values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from netloom.data import FieldSpec, Prepared


def column_names(data: Prepared, spec: FieldSpec) -> tuple[str, ...]:
    """Return the columns of a field, or their parts if they have several, in order; empty if it is not a table."""
    return tuple(dict.fromkeys(_column_of_each_number(data, spec)))


def column_indices(data: Prepared, spec: FieldSpec) -> np.ndarray:
    """Return the column index of each value of a vector (F,); without columns, each value is its own column."""
    names = _column_of_each_number(data, spec)
    if not names:
        return np.arange(int(np.prod(spec.shape)))
    index_of = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return np.array([index_of[name] for name in names])


def by_column(data: Prepared, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Sum attributions (…, F) of tables over the values of each column, (…, columns); other fields stay unchanged."""
    summed = dict(values)
    for spec in data.schema.inputs:
        if spec.name in summed and spec.is_vector:
            indices = column_indices(data, spec)
            # (…, F) @ (F, columns) -> (…, columns)
            summed[spec.name] = summed[spec.name] @ np.eye(int(indices.max(initial=-1)) + 1)[indices]
    return summed


def _column_of_each_number(data: Prepared, spec: FieldSpec) -> list[str]:
    """Return the column of each value of a field; empty if it is not a table."""
    columns = data.field(spec.name).columns if spec.is_vector else []
    return [part for column in columns for part in column.parts]
