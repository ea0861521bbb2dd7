"""What a trained network answers to an example, before anything is explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from netloom.data import Example
from netloom.explain.core.explanation import Prediction, Target
from netloom.explain.core.row_predictions import said_of
from netloom.explain.core.run import Question, subject_of

if TYPE_CHECKING:
    from netloom.explain.core.targets import Asked
    from netloom.explain.dataset.checkpoint_path import Trained


@dataclass(frozen=True)
class Answered:
    """The example, the answer, and the number of it that is explained."""

    example: Example
    prediction: Prediction
    target: Target


def answered(trained: Trained, row_or_raw: int | Mapping[str, Any], target: Asked = None) -> Answered:
    """The answer to a row of the data or to a raw row; `target` as `explain` takes it.

    Raises:
        ExplainError: there is no such row or target, or the answer is no finite number.
        DataError: the raw row lacks something, or holds what the data cannot take.
    """
    from netloom.explain.core.targets import predict, quantity_of

    asked = Question("", row_or_raw, target)
    subject, example, output = subject_of(trained.project, trained.model, trained.data, asked)
    prediction = predict(subject.target, output, trained.data, subject.inputs)
    if quantity_of(subject.target).is_distance:  # the threshold is chosen on the validation rows
        [(said, _)] = said_of(trained, output, dict(subject.inputs))
        prediction = replace(prediction, text=f"{said}, {prediction.text}")
    return Answered(example, prediction, subject.target)
