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


def known_task(task: str, known: Iterable[str], noun: str) -> str:
    """Return the present name of the task of `--task`, which can be a former one; "" does not filter.

    Raises:
        UsageError: nothing has this task; the message lists the known ones.
    """
    from netloom.document.former_names import FORMER_TASKS

    present = FORMER_TASKS.get(task, task)
    check_filter("--task", present, known, noun)
    return present


def known_column(option: str, column: str, known: Iterable[str]) -> str:
    """Return the name of a column of a table, whose settings can be given by their former names.

    Raises:
        UsageError: there is no such column; the message names the nearest one, or lists all.
    """
    from netloom.core.field_errors import nearest_name
    from netloom.document.former_names import present_path

    names, present = list(known), present_path(column)
    if present in names:
        return present
    nearest = nearest_name(present, names)
    hint = f"did you mean {nearest!r}?" if nearest else f"choose one of {', '.join(names)}."
    raise UsageError(f"{option}: the listed runs have no column {column[:60]!r}; {hint}")
