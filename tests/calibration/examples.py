"""Small trained runs that the tests of calibration share."""

from __future__ import annotations

from functools import cache

from netloom.runs import TrainedRun, fit_here
from netloom.templates import templates


@cache
def trained(template: str, epochs: int = 1, seed: int = 0) -> TrainedRun:
    """A template, trained in this process."""
    project = templates()[template].project
    training = project.training.model_copy(update={"epochs": epochs, "seed": seed})
    return fit_here(project.model_copy(update={"training": training}))
