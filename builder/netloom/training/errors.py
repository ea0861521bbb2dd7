"""Errors that end training."""

from __future__ import annotations


class TrainingError(RuntimeError):
    """Training cannot continue; the message says why and what to change."""


class DivergedError(TrainingError):
    """The loss is NaN or infinite. `advice` applies if the source is unknown."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem} {advice}")
        self.problem = problem
