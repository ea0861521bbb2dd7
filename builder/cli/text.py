"""Text for terminals: tables, numbers, and names that cannot play tricks."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime


def plain(text: str) -> str:
    """Text from people on one line, without the control characters that a terminal would obey."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def short(text: str, length: int = 60) -> str:
    """`plain` text, cut where it is longer than `length`."""
    text = plain(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def issue_line(issue: Mapping[str, object]) -> str:
    """One finding about a document on one line: how bad, where, what."""
    place = ".".join(str(part) for part in (issue.get("node"), issue.get("port")) if part)
    return plain(f"{issue['severity']}: {place + ': ' if place else ''}{issue['message']}")


def table(head: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> str:
    """Rows under a head, in columns as wide as needed; the columns named in `right` end flush."""
    lines = [[str(cell) for cell in head], *([short(str(cell), 80) for cell in row] for row in rows)]
    widths = [max(_width(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(
        "  ".join(
            _padded(cell, width, name in right) for cell, width, name in zip(line, widths, head, strict=True)
        ).rstrip()
        for line in lines
    )


def number(value: float) -> str:
    """A measure, with four digits that matter."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def measures(values: dict[str, float]) -> str:
    """Measures by name on one line."""
    return "  ".join(f"{name} {number(value)}" for name, value in values.items())


def size(value: float) -> str:
    """A number of bytes."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if value >= 1024**power:
            return f"{value / 1024**power:.3g} {unit}"
    return f"{value:.0f} B"


def seconds(value: float) -> str:
    """A length of time."""
    whole = round(value)
    if whole >= 3_600:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


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
