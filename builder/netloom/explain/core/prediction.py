"""The prediction of a trained network for an example, without an explanation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from netloom.data import Example
from netloom.explain.core.explanation import Prediction, Target
from netloom.explain.core.request import ExplanationRequest, build_context, chosen_settings
from netloom.explain.core.row_predictions import describe_predictions
from netloom.modalities.encoding.rows import Answer
from netloom.runs.prediction.trained_run import TrainedRun, answers

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.checkpoint_path import Trained
    from netloom.explain.core.targets import TargetLike


@dataclass(frozen=True)
class ExamplePrediction:
    """The example, its prediction by the network as it is explained, and the explained target.

    `calibrated` is the prediction of a calibrated run in plain JSON, as in `netloom.runs.predict`; empty for others.
    """

    example: Example
    prediction: Prediction
    target: Target
    calibrated: Answer = field(default_factory=dict)


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
    return ExamplePrediction(example, prediction, context.target, _calibrated(trained, context.inputs))


def calibrated_prediction(trained: TrainedRun, row_or_raw: int | Mapping[str, Any]) -> Answer:
    """Return the prediction of a calibrated run in plain JSON, as in `netloom.runs.predict`; {} for others.

    Raises:
        ExplainError, DataError: as `predict_example`.
    """
    return {} if trained.applied is None else predict_example(trained, row_or_raw).calibrated


def calibrated_text(answer: Answer) -> str:
    """Describe the prediction of a calibrated run; "" if it is not calibrated, or has more numbers than fit a line."""
    if outputs := answer.get("outputs"):
        return "; ".join(f"{name}: {text}" for name, part in outputs.items() if (text := calibrated_text(part)))
    prediction, interval, parts = answer.get("prediction"), answer.get("interval"), []
    if isinstance(prediction, str):
        parts.append(prediction)
    elif isinstance(prediction, list) and isinstance(next(iter(prediction), ""), str):
        parts.append(", ".join(prediction) or "none")
    elif isinstance(prediction, list) and isinstance(prediction[0], Mapping):
        parts.append(", ".join(f"{item['class']} {item['score']:.1%}" for item in prediction))
    elif interval and isinstance(prediction, float):
        parts.append(f"{prediction:.4g}")
    if "confidence" in answer:
        parts.append(f"confidence {answer['confidence']:.1%}")
    if interval and isinstance(interval["low"], float):
        parts.append(f"{interval['coverage']:.0%} interval from {interval['low']:.4g} to {interval['high']:.4g}")
    if answer.get("abstained"):
        parts.append("abstained")
    return ", ".join(parts)


def _calibrated(trained: Trained, inputs: Mapping[str, torch.Tensor]) -> Answer:
    if not isinstance(trained, TrainedRun) or trained.applied is None:
        return {}
    [answer] = answers(trained, inputs, trained.output)
    return answer
