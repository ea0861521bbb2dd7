"""Reads the rows of a run and their labels from the log of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from netloom.monitoring.log_files import HEAD, lines_backwards, log_folder, parsed
from netloom.tasks.answers import MONITORED

_RECENT = 100  # rows that say which run answers
_ROW_KEYS = ("at", "id", "row", "run", "version", "ms", "input", "prediction", "confidence")


@dataclass(frozen=True)
class LoggedRow:
    """A row of a request, with its answer and the label that arrived since; None if there is none."""

    at: str
    id: str
    row: int
    run: str
    version: str
    ms: float
    input: Mapping[str, Any]
    prediction: Any
    confidence: float | None
    label: Any = None
    weights: str = ""
    calibration: str | None = None  # None in older logs
    monitored: Mapping[str, Any] | None = None  # of the prediction, as its task declares them; None in older logs


@dataclass(frozen=True)
class LogContent:
    """The last rows of a run, the oldest first; the last labeled ones, which can be older; the number of rows of other
    runs beside them; and the fields whose values the log does not have for all rows."""

    rows: list[LoggedRow]
    labeled: list[LoggedRow]
    other_rows: int
    hidden: frozenset[str]


def read_log(home: Path, model: str, run: str, last: int) -> LogContent:
    """Return the last rows of a run from the log of a model, and the last labeled ones. Damaged lines are left out.

    Raises:
        UsageError: the name is invalid.
    """
    rows: list[LoggedRow] = []
    labeled: list[LoggedRow] = []
    labels: dict[tuple[str, int], Any] = {}
    hidden, other_rows, has_labels = set[str](), 0, False
    for line in lines_backwards(log_folder(home, model)):
        head = HEAD.match(line)
        if head is None:
            continue
        batch_key = head[2].decode(), int(head[3])
        if head[1] == b"label":
            has_labels = True
            labels.setdefault(batch_key, parsed(line).get("label"))
            continue
        is_labeled, is_recent = batch_key in labels, len(rows) < last
        if not (is_recent or (is_labeled and len(labeled) < last)):
            if not has_labels or len(labeled) >= last:
                break
            continue  # an older row may be labeled: clients can report the label of a row at once
        value = parsed(line)
        label = labels.pop(batch_key, None)
        if value.get("run") != run:
            other_rows += is_recent
            continue
        hidden.update(value.pop("redacted", ()))
        try:
            row = LoggedRow(
                **{name: value[name] for name in _ROW_KEYS},
                label=label,
                weights=str(value.get("weights", "")),
                calibration=value.get("calibration"),
                monitored=value.get(MONITORED),
            )
        except KeyError:
            continue
        if is_recent:
            rows.append(row)
        if is_labeled:
            labeled.append(row)
    return LogContent(rows[::-1], labeled[::-1], other_rows, frozenset(hidden))


def of_one_network(content: LogContent) -> LogContent:
    """Return the rows that were answered with the weights and the calibration of most of the last rows.

    The log of a run can have rows of several networks, such as those before and after a reload, or of a canary that is
    an ONNX file of the same run. The others count as `other_rows`.
    """
    answering = Counter((row.weights, row.calibration) for row in content.rows if row.weights).most_common(1)
    if not answering:
        return content
    [((weights, calibration), _)] = answering

    def is_of_it(row: LoggedRow) -> bool:
        has_weights = row.weights == weights or not row.weights  # those of older logs are not known
        return has_weights and (row.calibration == calibration or None in (row.calibration, calibration))

    rows, labeled = (list(filter(is_of_it, part)) for part in (content.rows, content.labeled))
    return replace(content, rows=rows, labeled=labeled, other_rows=content.other_rows + len(content.rows) - len(rows))


def recent_run(home: Path, model: str) -> str:
    """Return the run that gave most of the last logged answers of a model; "" if none can be read."""
    rows = (
        line for line in lines_backwards(log_folder(home, model)) if (head := HEAD.match(line)) and head[1] == b"row"
    )
    runs = Counter(str(parsed(line).get("run", "")) for line in islice(rows, _RECENT))
    return runs.most_common(1)[0][0] if runs else ""
