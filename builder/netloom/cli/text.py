"""Text for terminals: tables and numbers."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.drift import DriftReport
    from netloom.training import Evaluation


def short(text: str, length: int = 60) -> str:
    """Return the text without control characters, cut to `length` characters."""
    text = plain(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def issue_line(issue: Mapping[str, object]) -> str:
    """Return an issue of a document on one line: severity, node and port, message."""
    location = ".".join(str(part) for part in (issue.get("node"), issue.get("port")) if part)
    return plain(f"{issue['severity']}: {location + ': ' if location else ''}{issue['message']}")


def table(header: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> str:
    """Return a text table, with columns as wide as their cells; the columns named in `right` are right-aligned."""
    lines = [[str(cell) for cell in header], *([short(str(cell), 80) for cell in row] for row in rows)]
    widths = [max(_width(line[index]) for line in lines) for index in range(len(header))]
    return "\n".join(
        "  ".join(
            _padded(cell, width, name in right) for cell, width, name in zip(line, widths, header, strict=True)
        ).rstrip()
        for line in lines
    )


def number(value: float) -> str:
    """Return a number with thousands separators, or with four significant digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def measures(values: dict[str, float]) -> str:
    """Return the metrics by name on one line."""
    return "  ".join(f"{name} {number(value)}" for name, value in values.items())


def metrics_table(evaluation: Evaluation) -> str:
    """Return the metrics as a table, with confidence intervals and the metrics of a trivial predictor."""
    reference = evaluation.reference.metrics if evaluation.reference else {}
    rows = []
    for name, value in evaluation.metrics.items():
        low, high = evaluation.intervals.get(name, (None, None))
        interval = "" if low is None or high is None else f"{number(low)} – {number(high)}"
        rows.append((name, number(value), interval, number(reference[name]) if name in reference else ""))
    header = ("metric", "value", "95% CI", evaluation.reference.title.lower() if evaluation.reference else "reference")
    return table(header, rows, right=header[1:])


def format_time(value: datetime) -> str:
    """Return a time in UTC, to the minute."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _padded(cell: str, width: int, right: bool) -> str:
    gap = " " * (width - _width(cell))
    return gap + cell if right else cell + gap


def _width(text: str) -> int:
    """Return the number of terminal columns: East Asian wide characters take two, combining characters none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def drift_table(report: DriftReport) -> str:
    """Return the quantities and the tests of whole rows of a drift report as a table."""
    rows = [
        (
            "drift" if drift.is_drift else "",
            plain(drift.name),
            drift.before,
            drift.now,
            number(drift.p),
            number(drift.comparison.psi),
        )
        for drift in report.quantities
    ]
    whole = [
        (
            "drift" if part.is_drift else "",
            f"{part.subject} ({part.test})",
            f"{part.reference:,} rows",
            f"{part.rows:,} rows, {part.measure} {number(part.statistic)}",
            number(part.p),
            "",
        )
        for part in report.separations
    ]
    header = ("", "quantity", "held-out rows", "these rows", "p (Holm)", "PSI")
    return table(header, [*rows, *whole], right=("p (Holm)", "PSI"))
