"""Remarks of an import; those of one kind are counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

# More names are shortened to one less, followed by their number
_LISTED = 3


class Remarks:
    """Sentences in the order in which they were added, each once; `part` is what one of several remarks is about."""

    def __init__(self) -> None:
        self._parts: dict[str, list[str]] = {}

    def add(self, text: str, part: str = "") -> None:
        """Add a sentence, or another part to which it applies."""
        parts = self._parts.setdefault(text, [])
        if part and part not in parts:
            parts.append(part)

    def __iter__(self) -> Iterator[str]:
        return (counted(text, parts) for text, parts in self._parts.items())


def counted(text: str, parts: Iterable[str]) -> str:
    """A sentence on one part, such as `“dense”: it is frozen.`, or on several, such as `3 × it is frozen (a, b, c).`"""
    names = list(parts)
    if len(names) < 2:
        return f"{names[0]}: {text}" if names else text
    listed = ", ".join(names if len(names) <= _LISTED else names[: _LISTED - 1])
    more = f" and {len(names) - _LISTED + 1} more" if len(names) > _LISTED else ""
    return f"{len(names)} × {text.removesuffix('.')} ({listed}{more})."
