"""All kinds of columns; a new module in this package registers its kind."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from netloom.core.registry import discover
from netloom.modalities.columns.column_kind import ColumnKind
from netloom.modalities.encoding.column_encoder import ColumnEncoder
from netloom.modalities.row_field import RowField

if TYPE_CHECKING:
    import pandas as pd


@cache
def column_kinds() -> dict[str, ColumnKind]:
    """Return all kinds by name, in the order of lists."""
    kinds = discover(ColumnKind, "netloom.modalities.columns", order=lambda kind: kind.order)
    return {name: kind() for name, kind in kinds.items()}


def column_kind(name: str) -> ColumnKind:
    """Return the kind of this name."""
    return column_kinds()[name]


def inferred_kind(values: pd.Series, *, on_import: bool = False) -> ColumnKind:
    """Return the inferred kind of a column. `on_import` also tries the kinds that are settled on import."""
    ordered = sorted(column_kinds().values(), key=lambda kind: kind.priority)
    return next(kind for kind in ordered if (on_import or not kind.is_settled_on_import) and kind.matches(values))


def kind_of(column: ColumnEncoder) -> ColumnKind:
    """Return the kind of a fitted column."""
    return next(kind for kind in column_kinds().values() if kind.describes(column))


def row_fields(columns: Iterable[ColumnEncoder]) -> tuple[RowField, ...]:
    """Return the keys of a raw row that fitted columns read; the parts of a date have one."""
    fields = {field.name: field for column in columns for field in [kind_of(column).row_field(column)]}
    return tuple(fields.values())
