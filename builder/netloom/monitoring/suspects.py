"""Logged predictions that are worth a look: wrong ones by their labels, and those with the lowest confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netloom.monitoring.labeled import true_label_of
from netloom.monitoring.request_log import LoggedRow, read_log

if TYPE_CHECKING:
    from pathlib import Path

    from netloom.runs import TrainedRun

LOOKED_AT = 5_000  # rows of the log


@dataclass(frozen=True)
class Suspects:
    """Rows, the most suspicious first; none if `note` says why."""

    rows: tuple[LoggedRow, ...]
    note: str = ""


def suspects(home: Path, model: str, trained: TrainedRun, most: int) -> Suspects:
    """Return at most `most` of the last logged rows of a run that are wrong, or that it was least confident of.

    Raises:
        UsageError: the name of the model is invalid.
    """
    true_label = true_label_of(trained)
    if true_label is None:
        return Suspects((), "A single label does not say what this network should predict, so it cannot be corrected.")
    content = read_log(home, model, trained.run.id if trained.run is not None else "", LOOKED_AT)
    if content.hidden:
        names = ", ".join(sorted(content.hidden))
        return Suspects((), f"The log does not have {names}, so its rows cannot become examples.")
    known = [row for row in content.labeled if row.prediction is not None]
    errors = {(row.id, row.row): true_label.error(row.prediction, row.label) for row in known}
    wrong = sorted((row for row in known if errors[row.id, row.row] > 0), key=lambda row: -errors[row.id, row.row])
    unsure = sorted(
        (row for row in content.rows if row.confidence is not None and (row.id, row.row) not in errors),
        key=lambda row: row.confidence or 0.0,
    )
    return Suspects(tuple([*wrong, *unsure][:most]))
