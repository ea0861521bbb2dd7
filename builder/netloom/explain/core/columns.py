"""The columns of a table as its reader knows them: a column is usually one part, however many numbers stand for it.

A category is several numbers of which one is 1, a number may have another beside it that says whether it is missing,
and a date becomes its year, month and so on. People change, hide and read columns, so all views and sums take these
numbers together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from netloom.data import FieldSpec, Prepared


def column_names(data: Prepared, spec: FieldSpec) -> tuple[str, ...]:
    """The columns of a field, or their parts where they have several, in order; empty where it is not a table."""
    return tuple(dict.fromkeys(_column_of_each_number(data, spec)))


def column_indices(data: Prepared, spec: FieldSpec) -> np.ndarray:
    """Of each number of a vector (F,), the place of its column; of one without columns, each its own."""
    names = _column_of_each_number(data, spec)
    if not names:
        return np.arange(int(np.prod(spec.shape)))
    index_of = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return np.array([index_of[name] for name in names])


def by_column(data: Prepared, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Attributions (…, F) of tables summed up over the numbers of each column, (…, columns); others as they are."""
    summed = dict(values)
    for spec in data.schema.inputs:
        if spec.name in summed and spec.is_vector:
            indices = column_indices(data, spec)
            summed[spec.name] = summed[spec.name] @ np.eye(int(indices.max(initial=-1)) + 1)[indices]
    return summed


def _column_of_each_number(data: Prepared, spec: FieldSpec) -> list[str]:
    """The column that each number of a field belongs to; empty where the field is not a table."""
    columns = data.field(spec.name).columns if spec.is_vector else []
    return [part for column in columns for part in column.parts]
