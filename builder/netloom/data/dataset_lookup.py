"""From what people write for a dataset to the one that they mean."""

from __future__ import annotations

from pathlib import Path

from netloom.core.errors import UsageError
from netloom.data.preparation.prepare import datasets
from netloom.data.schema import DatasetInfo

_LISTED = 8


def find_dataset(home: Path | None, wanted: str) -> DatasetInfo:
    """The dataset of a name, or the upload of an id, the beginning of one, or a title.

    Raises:
        UsageError: there is none, or more than one.
    """
    known = datasets(home)
    exact = [item for item in known if wanted in (item.name, item.title)]
    found = exact or [item for item in known if wanted and not item.builtin and item.name.startswith(wanted.lower())]
    if not found:
        raise UsageError(f"There is no dataset {wanted[:60]!r}; netloom data list shows all.")
    if len(found) > 1:
        ids = ", ".join(item.name for item in found[:_LISTED])
        raise UsageError(f"{len(found)} datasets are called {wanted[:60]!r}; write one of the ids: {ids}.")
    return found[0]
