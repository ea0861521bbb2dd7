"""Text for terminals: tables and numbers."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from netloom.core.text import plain

if TYPE_CHECKING:
    from netloom.training import Evaluation


def short(text: str, length: int = 60) -> str:
    """`plain` text, cut where it is longer than `length`."""
    text = plain(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def issue_line(issue: Mapping[str, object]) -> str:
    """One finding about a document on one line: how bad, where, what."""
    place = ".".join(str(part) for part in (issue.get("node"), issue.get("port")) if part)
    return plain(f"{issue['severity']}: {place + ': ' if place else ''}{issue['message']}")


def table(header: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> str:
    """Rows under a head, in columns as wide as needed; the columns named in `right` end flush."""
    lines = [[str(cell) for cell in header], *([short(str(cell), 80) for cell in row] for row in rows)]
    widths = [max(_width(line[index]) for line in lines) for index in range(len(header))]
    return "\n".join(
        "  ".join(
            _padded(cell, width, name in right) for cell, width, name in zip(line, widths, header, strict=True)
        ).rstrip()
        for line in lines
    )


def number(value: float) -> str:
    """A measure, with four digits that matter."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def measures(values: dict[str, float]) -> str:
    """Measures by name on one line."""
    return "  ".join(f"{name} {number(value)}" for name, value in values.items())


def measured(evaluation: Evaluation) -> str:
    """The metrics of an evaluation as a table, with intervals and with what a trivial predictor reaches."""
    reference = evaluation.reference.metrics if evaluation.reference else {}
    rows = []
    for name, value in evaluation.metrics.items():
        low, high = evaluation.intervals.get(name, (None, None))
        interval = "" if low is None or high is None else f"{number(low)} – {number(high)}"
        rows.append((name, number(value), interval, number(reference[name]) if name in reference else ""))
    header = ("metric", "value", "95% CI", evaluation.reference.title.lower() if evaluation.reference else "reference")
    return table(header, rows, right=header[1:])


def moment(value: datetime) -> str:
    """A time in UTC, to the minute."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _padded(cell: str, width: int, right: bool) -> str:
    gap = " " * (width - _width(cell))
    return gap + cell if right else cell + gap


def _width(text: str) -> int:
    """Columns on a terminal: wide letters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
