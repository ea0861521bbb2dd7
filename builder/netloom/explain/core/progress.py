"""How far a piece of work is that consists of several."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], None]


def partial_progress(progress: Progress | None, done: float, now: float, of: float) -> Progress:
    """What a part of the work is given to tell its share to: `now` of `of`, after `done`. The whole never goes back,
    though the part may find out that there is more to do than it expected."""
    furthest = 0.0

    def tell(share: float) -> None:
        nonlocal furthest
        furthest = max(furthest, share)
        if progress is not None:
            progress((done + now * furthest) / of)

    return tell
