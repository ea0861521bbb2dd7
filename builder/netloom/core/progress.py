"""How long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

# Called with the share of the work that is done, from 0 to 1, and a phrase that says what is done now.
ProgressCallback = Callable[[float, str], None]


def ignore_progress(share: float, phase: str) -> None:
    """A callback that reports nothing."""
