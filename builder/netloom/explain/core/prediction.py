"""The prediction of a trained network for an example, without an explanation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from netloom.data import Example
from netloom.explain.core.explanation import Prediction, Target
from netloom.explain.core.request import ExplanationRequest, build_context, chosen_settings
from netloom.explain.core.row_predictions import describe_predictions

if TYPE_CHECKING:
    from netloom.explain.core.checkpoint_path import Trained
    from netloom.explain.core.targets import TargetLike


@dataclass(frozen=True)
class ExamplePrediction:
    """The example, its prediction, and the explained target."""

    example: Example
    prediction: Prediction
    target: Target


def predict_example(
    trained: Trained, row_or_raw: int | Mapping[str, Any], target: TargetLike = None
) -> ExamplePrediction:
    """Predict a row of the data or a raw row; `target` is as for `explain`.

    Raises:
        ExplainError: The row or target does not exist, or the output is not finite.
        DataError: The raw row lacks a field, or has a value that the data cannot encode.
    """
    from netloom.explain.core.targets import predict, quantity_of

    request = ExplanationRequest("", row_or_raw, target, chosen=chosen_settings(trained))
    context, example, output = build_context(trained.project, trained.model, trained.data, request)
    prediction = predict(context.target, output, trained.data, context.inputs, request.chosen)
    if quantity_of(context.target).is_distance:  # the threshold is tuned on the validation rows
        [(outcome, _)] = describe_predictions(trained, output, dict(context.inputs))
        prediction = replace(prediction, text=f"{outcome}, {prediction.text}")
    return ExamplePrediction(example, prediction, context.target)
