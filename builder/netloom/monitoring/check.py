"""The check of a model in use: drift of recent rows, confidence and latency over time, and labeled predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.text import counted
from netloom.drift import DriftReport, compare
from netloom.drift.report import MIN_ROWS
from netloom.monitoring.labeled import LabeledReport, errors_of, labeled_report, true_label_of
from netloom.monitoring.log_reader import LoggedRow, of_one_network, read_log
from netloom.runs import load_run
from netloom.runs.history.weight_history import saved_weights
from netloom.runs.prediction.trained_run import CHECKSUM_LENGTH, calibration_checksum_of, checksum_of
from netloom.store import open_store
from netloom.tasks.answers import MONITORED
from netloom.training.weights.weight_files import recorded

if TYPE_CHECKING:
    from pathlib import Path

    from netloom.runs import TrainedRun

WINDOW = 1_000
# Points of a curve, each of the same number of rows, so that each is as certain as the others
POINTS = 24
NOT_SAVED = (
    "The network that gave these answers is not saved as weights of the run, so all predictions that are compared are "
    "those of the current weights."
)
RECALIBRATED = (
    "The calibration of the run has changed since these answers, so all predictions that are compared are those with "
    "the current one."
)


@dataclass(frozen=True)
class Point:
    """A stretch of the log: its middle row's time, its mean confidence, its latency in ms, and the mean error of its
    labeled predictions; None if it has none."""

    at: str
    rows: int
    confidence: float | None
    median_ms: float
    slow_ms: float
    error: float | None


@dataclass(frozen=True)
class MonitorReport:
    """What the log of a model says about a run.

    Attributes:
        rows: the number of recent predictions that were checked, from `since` to `until`, times in UTC.
        other_rows: those of other runs, weights and calibrations in the same stretch, such as a canary.
        drift: the comparison with the held-out rows; None if `note` says why there is none.
        labeled: the predictions with labels; None if there are none.
        hidden: the fields that the log does not have.
        takes_labels: whether labels can measure the predictions.
    """

    model: str
    run: str
    rows: int
    since: str
    until: str
    other_rows: int
    drift: DriftReport | None
    note: str
    labeled: LabeledReport | None
    curve: tuple[Point, ...]
    hidden: tuple[str, ...]
    takes_labels: bool = True

    @property
    def alerts(self) -> tuple[str, ...]:
        """A sentence for each alert."""
        drift = (self.drift.sentence,) if self.drift is not None and self.drift.is_drift else ()
        return (*drift, *(self.labeled.alerts if self.labeled is not None else ()))

    @property
    def is_alert(self) -> bool:
        return bool(self.alerts)

    @property
    def sentence(self) -> str:
        """The state in words."""
        if self.alerts:
            return self.alerts[0]
        if self.drift is None:
            return self.note
        return f"No drift found in {self.rows:,} predictions since {minute(self.since)}."

    def as_json(self) -> JsonObject:
        """Return plain JSON values."""
        value = asdict(self) | {"sentence": self.sentence, "is_alert": self.is_alert, "alerts": list(self.alerts)}
        value["drift"] = self.drift.as_json() if self.drift is not None else None
        return value


def check(home: Path, model: str, trained: TrainedRun, window: int = WINDOW) -> MonitorReport:
    """Compare the last `window` logged rows of a run, and its last `window` labeled ones, with the data of the run.

    Raises:
        UsageError: the name of the model is invalid.
    """
    run = trained.run.id if trained.run is not None else ""
    content = of_one_network(read_log(home, model, run, window))
    answering, about = answering_run(home, trained, content.rows)
    drift, note = _drift(answering, content.rows, content.hidden, is_answering=not about)
    if about and drift is not None:
        drift = replace(drift, note=f"{drift.note} {about}".strip())
    return MonitorReport(
        model,
        run,
        len(content.rows),
        content.rows[0].at if content.rows else "",
        content.rows[-1].at if content.rows else "",
        content.other_rows,
        drift,
        note,
        labeled_report(answering, content.labeled),
        _curve(trained, content.rows),
        tuple(sorted(content.hidden)),
        true_label_of(trained) is not None,
    )


def minute(at: str) -> str:
    """Return the time of a line of the log to the minute."""
    return f"{at[:16].replace('T', ' ')} UTC"


def answering_run(home: Path, trained: TrainedRun, rows: Sequence[LoggedRow]) -> tuple[TrainedRun, str]:
    """Return a run with the weights and the calibration that gave most of the answers. If it does not have them any
    more, return it with its current ones, and a note.

    A run that was resumed after it was served has other weights by now, an ONNX file is served instead of weights, and
    a calibration can be replaced.
    """
    logged = Counter((row.weights, row.calibration) for row in rows if row.weights).most_common(1)
    if not logged or trained.run is None:
        return trained, ""
    [((weights, calibration), _)] = logged
    answering = _with_weights(home, trained, weights)
    if answering is None:
        return trained, NOT_SAVED
    if calibration == "":
        answering = replace(answering, applied=None)
    if calibration is not None and calibration != calibration_checksum_of(answering):
        return answering, RECALIBRATED
    return answering, ""


def _with_weights(home: Path, trained: TrainedRun, checksum: str) -> TrainedRun | None:
    """Return a run with the weights of a checksum; None if they are not saved."""
    if trained.run is None or checksum_of(trained) == checksum:
        return trained
    with closing(open_store(home)) as store:
        for saved in saved_weights(store.artifacts(trained.run.id)):
            if recorded(saved.path)[:CHECKSUM_LENGTH] == checksum:
                return load_run(store, trained.run.id, saved.name)
    return None


def _drift(
    trained: TrainedRun, rows: Sequence[LoggedRow], hidden: frozenset[str], *, is_answering: bool
) -> tuple[DriftReport | None, str]:
    """Return the comparison with the held-out rows, or None and why there is none. Unless the run `is_answering` with
    these weights, its own predictions are compared: those of another network differ without drift."""
    if len(rows) < MIN_ROWS:
        logged = f"{counted(len(rows), 'prediction')} {'is' if len(rows) == 1 else 'are'} logged so far"
        return None, f"{logged}; a check needs at least {MIN_ROWS}."
    logged_answers = [
        {"prediction": row.prediction, "confidence": row.confidence}
        | ({} if row.monitored is None else {MONITORED: row.monitored})
        for row in rows
    ]
    answered = logged_answers if is_answering else None
    try:
        return compare(trained, [dict(row.input) for row in rows], answered=answered, hidden=hidden), ""
    except DataError as error:
        return None, f"The rows cannot be compared: {error}"


def _curve(trained: TrainedRun, rows: Sequence[LoggedRow]) -> tuple[Point, ...]:
    true_label = true_label_of(trained)
    points = []
    for part in np.array_split(np.arange(len(rows)), min(POINTS, len(rows)) or 1):
        stretch = [rows[int(index)] for index in part]
        if not stretch:
            continue
        confidences = [row.confidence for row in stretch if row.confidence is not None]
        times = [row.ms for row in stretch]
        labeled = [row for row in stretch if row.label is not None and row.prediction is not None]
        points.append(
            Point(
                stretch[len(stretch) // 2].at,
                len(stretch),
                float(np.mean(confidences)) if confidences else None,
                float(np.median(times)),
                float(np.quantile(times, 0.95)),
                float(errors_of(true_label, labeled).mean()) if true_label is not None and labeled else None,
            )
        )
    return tuple(points)
