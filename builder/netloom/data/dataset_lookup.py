"""Finds the dataset that a user means by a name, an id or a title."""

from __future__ import annotations

from pathlib import Path

from netloom.core.errors import UsageError
from netloom.core.field_errors import nearest_name
from netloom.data.preparation.prepare import datasets
from netloom.data.schema import DatasetInfo

_LISTED = 8


def find_dataset(home: Path | None, name: str) -> DatasetInfo:
    """Return the dataset of a name, or the upload of an id, an id prefix or a title.

    Raises:
        UsageError: there is none, or more than one.
    """
    infos = datasets(home)
    exact = [item for item in infos if name in (item.name, item.title)]
    matches = exact or [item for item in infos if name and not item.builtin and item.name.startswith(name.lower())]
    if not matches:
        nearest = nearest_name(name, [label for item in infos for label in (item.name, item.title)])
        hint = f"did you mean {nearest!r}?" if nearest else "netloom data list shows all."
        raise UsageError(f"There is no dataset {name[:60]!r}; {hint}")
    if len(matches) > 1:
        ids = ", ".join(item.name for item in matches[:_LISTED])
        raise UsageError(f"{len(matches)} datasets are called {name[:60]!r}; write one of the ids: {ids}.")
    return matches[0]
