"""What a trained network answers to an example, before anything is explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from netloom.data import Example
from netloom.explain.core.explanation import Prediction, Target
from netloom.explain.core.row_predictions import describe_predictions
from netloom.explain.core.run import ExplanationRequest, build_context

if TYPE_CHECKING:
    from netloom.explain.core.targets import TargetLike
    from netloom.explain.dataset.checkpoint_path import Trained


@dataclass(frozen=True)
class ExamplePrediction:
    """The example, the answer, and the number of it that is explained."""

    example: Example
    prediction: Prediction
    target: Target


def predict_example(
    trained: Trained, row_or_raw: int | Mapping[str, Any], target: TargetLike = None
) -> ExamplePrediction:
    """The answer to a row of the data or to a raw row; `target` as `explain` takes it.

    Raises:
        ExplainError: there is no such row or target, or the answer is no finite number.
        DataError: the raw row lacks something, or holds what the data cannot take.
    """
    from netloom.explain.core.targets import predict, quantity_of

    request = ExplanationRequest("", row_or_raw, target)
    context, example, output = build_context(trained.project, trained.model, trained.data, request)
    prediction = predict(context.target, output, trained.data, context.inputs)
    if quantity_of(context.target).is_distance:  # the threshold is chosen on the validation rows
        [(outcome, _)] = describe_predictions(trained, output, dict(context.inputs))
        prediction = replace(prediction, text=f"{outcome}, {prediction.text}")
    return ExamplePrediction(example, prediction, context.target)
