"""Small trained runs that the tests of calibration share."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from netloom.data import add_file
from netloom.document import DataChoice, Project, Training
from netloom.runs import TrainedRun, fit_here
from netloom.templates import templates
from tests.networks import chain, with_rows


@cache
def trained(template: str, epochs: int = 1, seed: int = 0, rows: int = 0) -> TrainedRun:
    """A template, trained in this process; with `rows`, on fewer generated ones."""
    project = templates()[template].project
    project = with_rows(project, rows) if rows else project
    training = project.training.model_copy(update={"epochs": epochs, "seed": seed})
    return fit_here(project.model_copy(update={"training": training}))


def detector() -> TrainedRun:
    """A detector that finds most shapes of its images."""
    return trained("shapes_detector", epochs=8, rows=300)


def misleading_validation_rows(home: Path) -> Project:
    """A project whose validation rows have random classes, unlike the others, so that calibration makes it worse."""
    random = np.random.default_rng(0)
    x, part = random.normal(size=600), np.repeat(["train", "validation", "test"], 200)
    classes = np.where(part == "validation", random.random(600) < 0.5, x > 0)
    rows = [f"{value:.3f},{'yes' if yes else 'no'},{name}" for value, yes, name in zip(x, classes, part, strict=True)]
    info = add_file("\n".join(["x,class,split", *rows]).encode(), "misleading.csv", home)
    start = ("Input", {"field": "features", "kind": "vector", "shape": [1]})
    training = Training(epochs=10, learning_rate=0.1, device="cpu", checkpoint="last")
    return chain(start, ("Linear", {"units": 2}), data=DataChoice(dataset=info.name), training=training)
