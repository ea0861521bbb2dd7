"""The progress of work that consists of several parts."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], None]


def partial_progress(progress: Progress | None, done: float, part: float, of: float) -> Progress:
    """Return a progress callback for a part of the work: `part` of `of` units, after `done`.

    The reported fraction never decreases, even if the part finds more work than it expected.
    """
    furthest = 0.0

    def tell(share: float) -> None:
        nonlocal furthest
        furthest = max(furthest, share)
        if progress is not None:
            progress((done + part * furthest) / of)

    return tell
