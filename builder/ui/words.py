"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime


def ago(moment: datetime) -> str:
    """How long ago something was."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for size, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def duration(seconds: float) -> str:
    """A length of time, such as 1 h 05 min, 3 min 20 s, or 12 s."""
    whole = round(seconds)
    if whole >= 3_600:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def count(value: float) -> str:
    """A number in thousands, millions …"""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def size(value: float) -> str:
    """A number of bytes."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if value >= 1024**power:
            return f"{value / 1024**power:.3g} {unit}"
    return f"{value:.0f} B"


def plain(text: str) -> str:
    """Text from people, safe to stand within Markdown: nothing in it is read as markup."""
    special = "\\`*_{}[]()<>#+-.!|~$:&"
    return "".join(f"\\{letter}" if letter in special else letter for letter in " ".join(text.split()))
