"""Options that filter a list."""

from __future__ import annotations

from collections.abc import Iterable

from netloom.core.errors import UsageError


def check_filter(option: str, value: str, known: Iterable[str], noun: str) -> None:
    """Refuse a value that nothing in the list has; "" does not filter.

    Raises:
        UsageError: nothing has this value; the message lists the known ones.
    """
    names = sorted(set(known) - {""})
    if value and value not in names:
        raise UsageError(f"{option}: no {noun} has {value[:60]!r}. Choose one of {', '.join(names)}.")


def check_column(option: str, column: str, known: Iterable[str]) -> None:
    """Refuse a column that a table does not have.

    Raises:
        UsageError: there is no such column; the message names the nearest one, or lists all.
    """
    from netloom.core.field_errors import nearest_name

    names = list(known)
    if column in names:
        return
    nearest = nearest_name(column, names)
    hint = f"did you mean {nearest!r}?" if nearest else f"choose one of {', '.join(names)}."
    raise UsageError(f"{option}: the listed runs have no column {column[:60]!r}; {hint}")
