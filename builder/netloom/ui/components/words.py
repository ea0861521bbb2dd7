"""Formatting of times, counts and labels for pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

_ROWS, _COLUMNS = ("top", "", "bottom"), ("left", "", "right")


def region_name(row: int, column: int) -> str:
    """Return the name of one of the nine regions of an image, such as "top left" or "center"; both are from 0 to 2."""
    return " ".join(filter(None, (_ROWS[row], _COLUMNS[column]))) or "center"


def ago(moment: datetime) -> str:
    """Return the time since a moment, such as "2 hours ago"."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def at(moment: datetime) -> str:
    """Return a moment by the server's clock. Unlike `ago`, it does not change between reruns."""
    return f"{moment.astimezone():%d %b, %H:%M}"


def count(value: float) -> str:
    """Return a number with a unit: K, M, G or T."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def unique_labels(titles: Mapping[str, str]) -> dict[str, str]:
    """Return the titles by key, equal ones numbered, because Streamlit identifies an option by its label."""
    labels: dict[str, str] = {}
    for key, title in titles.items():
        label, number = title, 2
        while label in labels.values():
            label, number = f"{title} ({number})", number + 1
        labels[key] = label
    return labels
