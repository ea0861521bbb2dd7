"""Columns of 0 and 1 in tables of labels, each for a class, as one column of classes or of sets of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from netloom.data.tables.target_guess import ranked_targets
from netloom.modalities.columns.column_kind import free_name

if TYPE_CHECKING:
    import pandas as pd

CLASS, LABELS = "label", "labels"
_FEWEST = 3  # columns
_CODES = ({0, 1}, {-1, 1})


class OneHot(NamedTuple):
    """A table with the added column `name`; `are_sets` is whether its cells are sets of labels, with ; between them."""

    table: pd.DataFrame
    name: str
    are_sets: bool
    note: str


def one_hot(table: pd.DataFrame, labels: Sequence[str]) -> OneHot | None:
    """Return a table whose columns of 0 and 1, or of -1 and 1, are one column of classes, or of sets if a row has
    several; None unless all `labels` are such columns, or if another column is a likelier target."""
    columns = [name for name in labels if _is_code(table[name])]
    if len(columns) < _FEWEST or ranked_targets(table[list(labels)])[0] not in columns:
        return None
    marked = table[columns].to_numpy() == 1
    is_single = bool((marked.sum(axis=1) == 1).all())
    if not is_single and len(columns) < len(labels):
        return None
    name = free_name(CLASS if is_single else LABELS, [str(column) for column in table.columns])
    cells = [";".join(column for column, is_marked in zip(columns, row, strict=True) if is_marked) for row in marked]
    listed = ", ".join(map(repr, columns[:3])) + (", …" if len(columns) > 3 else "")
    what = "a class" if is_single else "labels"
    codes = "-1 and 1" if (table[columns[0]] == -1).any() else "0 and 1"
    note = (
        f"The {len(columns):,} columns of {codes} ({listed}) are read as {what} in {name!r}; choose one of them as the "
        "target to predict it alone."
    )
    return OneHot(table.assign(**{name: cells}).astype({name: "string"}), name, not is_single, note)


def _is_code(values: pd.Series) -> bool:
    return values.dtype.kind in "iuf" and any({*values.unique().tolist()} == codes for codes in _CODES)
