"""One or several numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from netloom.data.schema import Schema
from netloom.document import Training
from netloom.tasks.answers import (
    NUMBERS,
    PREDICTION,
    AnswerPart,
    monitored_parts,
    number_part,
    numbers_part,
    structure_part,
)
from netloom.tasks.outputs import ExpectedOutput
from netloom.tasks.task import Task
from netloom.tasks.true_labels import ColumnsLabel, ForecastLabel, NumberLabel, TrueLabel

LOSSES = {
    "mse": "Mean squared error",
    "mae": "Mean absolute error",
    "huber": "Huber loss",
    "quantile": "Quantile loss",
}
# The parameters of losses, by the name of the loss
LOSS_PARAMETERS = {"huber": "huber_delta", "quantile": "quantile"}
# The absolute error on curves and in evaluations; scaled for several series or numbers, whose units differ
ABSOLUTE_ERROR, SCALED_ERROR = "mae", "scaled_mae"
SCALED_METRICS = {"loss": "Mean squared error", SCALED_ERROR: "Mean absolute error (scaled)"}
LOSS_SETTINGS = ("regression_loss", *LOSS_PARAMETERS.values())


def unused_loss_parameters(training: Training) -> set[str]:
    """Return the parameters of the losses that are not chosen."""
    return {parameter for loss, parameter in LOSS_PARAMETERS.items() if loss != training.regression_loss}


class Regression(Task):
    name = "regression"
    title = "Regression"
    summary = "Predicts a number for each example"
    order = 40
    target = "number"
    as_head = True
    metrics: ClassVar = {"loss": "Mean squared error", ABSOLUTE_ERROR: "Mean absolute error"}
    scale = "The loss is that of the standardized target; the absolute error has the unit of the test metrics."
    settings = LOSS_SETTINGS
    in_target_units = True
    explained = "number"
    attacked = "number"
    confidence_unit = "row"

    def outputs(self, schema: Schema, training: Training) -> tuple[ExpectedOutput, ...] | None:
        return (ExpectedOutput(schema.target.shape or (1,), "the target of the data needs"),)

    def read_settings(self, training: Training) -> tuple[str, ...]:
        unused = unused_loss_parameters(training)
        return tuple(name for name in self.settings if name not in unused)

    def headline_metric(self, metrics: Collection[str]) -> str:
        return SCALED_ERROR if SCALED_ERROR in metrics else super().headline_metric(metrics)

    def answer_parts(self, schema: Schema) -> tuple[AnswerPart, ...]:
        description = "The prediction in the units of the data"
        forecast, names = schema.target.forecast, schema.target.number_names
        if forecast is not None and forecast.horizon == 1:
            return (numbers_part("prediction", forecast.series, description),)
        if forecast is not None:
            series = {"type": "object", "additionalProperties": NUMBERS}
            return (structure_part("prediction", series, f"{description}: the next values of each series"),)
        return (
            number_part("prediction", description)
            if len(names) == 1
            else structure_part("prediction", NUMBERS, f"{description}: {', '.join(names)}"),
        )

    def monitored_values(self, answer: Mapping[str, Any], schema: Schema) -> dict[str, float | str]:
        prediction = answer["prediction"]
        if isinstance(prediction, list):
            names = schema.target.number_names
            forecast = {names[0]: prediction}
            prediction = forecast if schema.target.forecast else dict(zip(names, prediction, strict=True))
        return monitored_parts(prediction) if isinstance(prediction, dict) else {PREDICTION: prediction}

    def true_label(self, schema: Schema) -> TrueLabel | None:
        forecast, names = schema.target.forecast, schema.target.number_names
        if len(names) == 1:
            return NumberLabel()
        return ColumnsLabel(names) if forecast is None else ForecastLabel(forecast.series, forecast.horizon)
