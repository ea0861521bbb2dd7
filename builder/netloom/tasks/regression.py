"""A number, or several."""

from __future__ import annotations

from typing import ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.tasks.outputs import ExpectedOutput
from netloom.tasks.task import Task


class Regression(Task):
    name = "regression"
    title = "Regression"
    summary = "A number for every example"
    order = 40
    target = "number"
    as_head = True
    metrics: ClassVar = {"loss": "Mean squared error", "mae": "Mean absolute error"}
    scale = "Curves are of the standardized target; the test metrics are in its own unit."
    settings = ("regression_loss",)
    in_target_units = True
    explained = "number"
    attacked = "number"

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        return (ExpectedOutput(schema.target.shape or (1,), "the target of the data needs"),)
