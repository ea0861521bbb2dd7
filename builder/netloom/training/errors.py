"""Why training ends before its time."""

from __future__ import annotations


class TrainingError(RuntimeError):
    """Training cannot go on; the message is one sentence that says why and what to change."""


class DivergedError(TrainingError):
    """The loss is NaN or infinite. `advice` helps as long as nobody knows where that began."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what} {advice}")
        self.what = what
