"""The callback with which long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

# Called with the share of the work that is complete, from 0 to 1, and a phrase for the current phase.
ProgressCallback = Callable[[float, str], None]


def ignore_progress(share: float, phase: str) -> None:
    """A callback that reports nothing."""
