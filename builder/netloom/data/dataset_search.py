"""Search in the list of datasets, for the Data page and `netloom data list`."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.data.schema import DatasetInfo

# Rows from and below.
SIZES = {"small": (0, 1_000), "medium": (1_000, 10_000), "large": (10_000, 10**15)}
SIZE_TITLES = {"small": "Fewer than 1,000 rows", "medium": "1,000 to 9,999 rows", "large": "10,000 rows or more"}


@dataclass(frozen=True)
class DatasetSearch:
    """Conditions on a dataset; empty ones accept everything.

    All words of `text` occur in its title, its well-known name, its summary or its columns; `kind` and `task` are those
    of `DatasetInfo`, and `size` is a key of `SIZES`.
    """

    text: str = ""
    kind: str = ""
    task: str = ""
    size: str = ""

    def accepts(self, info: DatasetInfo) -> bool:
        """Return whether a dataset fulfills all conditions. A dataset with an unknown number of rows has no size."""
        names = " ".join([info.name, info.title, info.known_as, info.summary, *info.columns]).casefold()
        return (
            self.kind in ("", info.kind)
            and self.task in ("", info.task)
            and (not self.size or _has_size(info.rows, self.size))
            and all(word in names for word in self.text.casefold().split())
        )


def _has_size(rows: int | None, size: str) -> bool:
    low, end = SIZES[size]
    return rows is not None and low <= rows < end
