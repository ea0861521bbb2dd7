"""Words for pages: moments, counts, and text that is not read as markup."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

# Where what looks like an address is broken by a letter that is not seen: it would be a link, escaped or not.
_WITHIN_ADDRESS = re.compile(r"(?<=www)(?=\.)|(?<=:)(?=//)|(?<=@)", re.IGNORECASE)


def ago(moment: datetime) -> str:
    """How long ago something was."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def at(moment: datetime) -> str:
    """When something was, by the server's clock: in a list it is what `ago` is not, the same with the next look."""
    return f"{moment.astimezone():%d %b, %H:%M}"


def count(value: float) -> str:
    """A number in thousands, millions …"""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def unique_labels(titles: Mapping[str, str]) -> dict[str, str]:
    """The same titles by key, equal ones numbered: a list knows what was picked by its label alone."""
    labels: dict[str, str] = {}
    for key, title in titles.items():
        label, number = title, 2
        while label in labels.values():
            label, number = f"{title} ({number})", number + 1
        labels[key] = label
    return labels


def escape(text: str) -> str:
    """Text from people, safe to stand within Markdown: nothing in it is read as markup."""
    special = "\\`*_{}[]()<>#+-.!|~$:&"
    line = _WITHIN_ADDRESS.sub("\u2060", " ".join(text.split()))
    return "".join(f"\\{letter}" if letter in special else letter for letter in line)
