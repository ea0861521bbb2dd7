"""Logged predictions that are worth a look: wrong ones by their labels, and those with the lowest confidence."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.monitoring.labeled import errors_of, true_label_of
from netloom.monitoring.log_reader import LoggedRow, read_log
from netloom.runs.prediction.trained_run import predict

if TYPE_CHECKING:
    from pathlib import Path

    from netloom.runs import TrainedRun
    from netloom.tasks.true_labels import TrueLabel

MAX_LOGGED_ROWS = 5_000  # rows of each log


@dataclass(frozen=True)
class Suspect:
    """A logged row of a served model, with the error of its prediction; None if its label is unknown. `start` is the
    label from which a person starts to correct the prediction."""

    model: str
    row: LoggedRow
    error: float | None
    start: Any = None

    @property
    def source(self) -> str:
        """The identity of the row, by which it is collected once."""
        return f"{self.model} {self.row.id} {self.row.row}"


@dataclass(frozen=True)
class Suspects:
    """Rows, the most suspicious first. `note` says why those of a log are missing; "" if none is."""

    rows: tuple[Suspect, ...]
    note: str = ""


def suspects(home: Path, models: Sequence[str], trained: TrainedRun, most: int) -> Suspects:
    """Return at most `most` of the last logged rows of a run, under all names that it was served as: those with an
    error of at least the mean error of labeled rows, then those that it was least confident of.

    Raises:
        UsageError: the name of a model is invalid.
    """
    true_label = true_label_of(trained)
    if true_label is None:
        return Suspects((), "The predictions of this network cannot be corrected with a label.")
    wrong: list[Suspect] = []
    unsure: list[Suspect] = []
    notes = []
    for model in models:
        content = read_log(home, model, trained.run.id if trained.run is not None else "", MAX_LOGGED_ROWS)
        if content.hidden:
            names = ", ".join(sorted(content.hidden))
            notes.append(f"The log of {model} does not have {names}, so its rows cannot become examples.")
            continue
        known = [row for row in content.labeled if row.prediction is not None]
        errors = errors_of(true_label, known).tolist()
        wrong += [Suspect(model, row, error) for row, error in zip(known, errors, strict=True)]
        labeled = {(row.id, row.row) for row in known}
        unsure += [
            Suspect(model, row, None)
            for row in content.rows
            if row.confidence is not None and (row.id, row.row) not in labeled
        ]
    finite = [suspect.error for suspect in wrong if suspect.error is not None and np.isfinite(suspect.error)]
    large = float(np.mean(finite)) if finite else 0.0
    wrong = [suspect for suspect in wrong if (suspect.error or 0.0) >= max(large, np.finfo(float).tiny)]
    wrong.sort(key=lambda suspect: -(suspect.error or 0.0))
    unsure.sort(key=lambda suspect: suspect.row.confidence or 0.0)
    return Suspects(tuple(_with_starts(trained, true_label, [*wrong, *unsure][:most])), " ".join(notes))


def _with_starts(trained: TrainedRun, true_label: TrueLabel, rows: Sequence[Suspect]) -> list[Suspect]:
    """Return the rows with the labels from which corrections start: those that were reported, or else predicted."""
    starts = [suspect.row.prediction if suspect.row.label is None else suspect.row.label for suspect in rows]
    if true_label.has_parts:
        # The weights can be other ones than those that answered, which changes what a person has to correct at most.
        with suppress(DataError):  # a row that the run does not read: its label is then typed
            answers = predict(trained, [suspect.row.input for suspect in rows])
            starts = [true_label.completed(*pair) for pair in zip(starts, answers, strict=True)]
    return [replace(suspect, start=true_label.as_label(start)) for suspect, start in zip(rows, starts, strict=True)]
