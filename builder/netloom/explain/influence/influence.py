"""The training rows that influenced a prediction, by TracInCP. The result is validated by training (see
`influence_validation`).

Pruthi et al. 2020, https://arxiv.org/abs/2002.08484; `tracin` says how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.explain.core.checkpoint_path import Stage, Trained, checkpoint_path, snapshot_names
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explanation import Level, Verdict
from netloom.explain.core.row_predictions import describe_predictions
from netloom.explain.evidence.verdict import with_model
from netloom.explain.influence.influence_validation import InfluenceValidation, influence_verdict, validate_influence
from netloom.explain.influence.tracin import (
    InfluentialRow,
    check_available,
    check_quality,
    describe_parameters,
    describe_rows,
    load_weights,
    plain_values,
    sampled_gradients,
)

if TYPE_CHECKING:
    import torch

    from netloom.explain.influence.per_sample_gradients import PerSampleGradients

MAX_LISTED = 10
# The loss is taken with respect to the prediction ("answer") or the label ("truth").
Against = Literal["answer", "truth"]


@dataclass(frozen=True)
class Influence:
    """The training rows that influenced the prediction for one example.

    `proponents` decreased the loss of the example most, in descending order; `opponents` increased it. `influences`
    (N,) belongs to `rows` (N,), a subset of the `training_rows` rows of the training split. `parameters` describes the
    weights whose gradients are compared. `model` says what is wrong with the network itself, or is empty.
    """

    row: int
    prediction: str
    label: str
    against: Against
    proponents: tuple[InfluentialRow, ...]
    opponents: tuple[InfluentialRow, ...]
    stages: tuple[Stage, ...]
    parameters: str
    rows: np.ndarray
    influences: np.ndarray
    training_rows: int
    loss: float
    validation: InfluenceValidation | None
    level: Level
    verdict: str
    weights: str = ""
    seconds: float = 0.0
    model: str = ""

    def as_json(self) -> JsonObject:
        """Return plain JSON values."""
        return plain_values(self)


def influence(
    trained: Trained,
    row_or_raw: int | Mapping[str, Any],
    *,
    against: Against | None = None,
    folder: Path | None = None,
    checkpoint: str = "",
    most: int = MAX_LISTED,
    seed: int = 0,
    progress: Any = None,
) -> Influence:
    """Compute the influence of training rows on the prediction for one example.

    `against` selects the loss of the example: with respect to the prediction ("answer", the default for classifiers) or
    to the label ("truth", the default otherwise). `folder` is the folder of the run, which holds the checkpoints and
    caches the result; `checkpoint` names the weights that are explained, "best" or "last". `most` limits the listed
    rows per side. `progress` receives the fraction done; an exception from it cancels the work.

    Raises:
        ExplainError: The loss is not defined for single rows, the row does not exist, or a custom input has no label.
        DataError: The raw row lacks a field, or has a value that the data cannot encode.
    """
    from netloom.explain.core import cache
    from netloom.explain.core.examples import read_example

    start = perf_counter()
    check_available(trained)
    inputs, example = read_example(trained.data, row_or_raw)
    loss_kind = _choose_loss(trained, example.row, against)
    weights = cache.weights_hash(trained.model)
    version = 2 if trained.data.schema.target.type.is_per_pixel else 1  # of the text in cached results
    question: dict[str, Any] = {
        "influence": version,
        "row": example.row,
        "against": loss_kind,
        "most": most,
        "seed": seed,
    }
    question |= {"used": checkpoint}
    # A run that continues gets more checkpoints, which change the influences.
    name = cache.key(weights, inputs, question | {"way": snapshot_names(folder)})
    cached = cache.load_as(Influence, folder, name) if folder else None
    if cached is not None:
        return cached
    result = _influence(
        trained, inputs, example.row, loss_kind, checkpoint_path(trained, folder, checkpoint), most, seed, progress
    )
    verdict = with_model(Verdict(result["level"], result["verdict"]), check_quality(trained, weights))
    result |= {"level": verdict.level, "verdict": verdict.sentence, "model": verdict.model}
    influence_result = Influence(**result, label=example.target, weights=weights, seconds=perf_counter() - start)
    if folder:
        cache.save(folder, name, influence_result)
    return influence_result


def _influence(
    trained: Trained,
    inputs: dict[str, torch.Tensor],
    row: int,
    against: Against,
    stages: list[tuple[Stage, Path | None]],
    max_listed: int,
    seed: int,
    progress: Any,
) -> dict[str, Any]:
    """Compute the fields of `Influence` for an example `inputs` by field, (1, …)."""
    gradients, rows = sampled_gradients(trained, progress, len(stages))
    values = [inputs[name] for name in gradients.fields]
    answer, target = _answer_and_target(trained, gradients, values, row, against)
    gradients.expect_rows(len(rows) * len(stages))
    influences = np.zeros(len(rows))
    for stage, path in stages:
        load_weights(gradients, trained, path)
        # The gradient of the example is the direction, so the products are those of the gradients of both rows.
        products, _ = gradients.along(rows, gradients.gradient(values, target))
        influences += stage.learning_rate * products
    influences *= gradients.counts(rows)
    # Predictions and losses below are those of the current weights.
    load_weights(gradients, trained, None)
    order = np.argsort(-influences, kind="stable")
    sides = (
        [index for index in order[:max_listed] if influences[index] > 0],
        [index for index in order[::-1][:max_listed] if influences[index] < 0],
    )
    losses = _current_losses(gradients, rows, np.array([*sides[0], *sides[1]], dtype=np.int64))
    listed = []
    for side in sides:
        descriptions = describe_rows(trained, gradients, rows[np.array(side, dtype=np.int64)])
        listed.append(
            tuple(
                InfluentialRow(int(rows[index]), float(influences[index]), losses[int(index)], *words)
                for index, words in zip(side, descriptions, strict=True)
            )
        )
    rate = float(np.mean([stage.learning_rate for stage, _ in stages]))
    loss = float(gradients.losses(gradients.weights, values, target)[0])
    validation = validate_influence(gradients, values, target, rows, sides, rate, seed)
    level, verdict = influence_verdict(validation, loss, len(stages))
    return {
        "row": row,
        "prediction": answer,
        "against": against,
        "proponents": listed[0],
        "opponents": listed[1],
        "stages": tuple(stage for stage, _ in stages),
        "parameters": describe_parameters(gradients),
        "rows": rows,
        "influences": influences,
        "training_rows": len(trained.data.split["train"]),
        "loss": loss,
        "validation": validation,
        "level": level,
        "verdict": verdict,
    }


def _current_losses(gradients: PerSampleGradients, rows: np.ndarray, places: np.ndarray) -> dict[int, float]:
    """Return the losses of rows under the current weights, by index into `rows`."""
    import torch

    if not len(places):
        return {}
    with torch.no_grad():
        losses = gradients.row_losses(gradients.answers(rows[places]), gradients.targets(rows[places]))
    return {int(index): float(value) for index, value in zip(places, losses, strict=True)}


def _choose_loss(trained: Trained, row: int, against: Against | None) -> Against:
    """Choose whether the loss of the example is taken with respect to the prediction or the label.

    Raises:
        ExplainError: The chosen loss is not defined for this task or example.
    """
    by_class = trained.objective.task.per_class_scores and trained.data.schema.target.type.is_class
    has_predicted_loss = by_class or trained.objective.task.per_label_scores
    loss_kind: Against = against or ("answer" if has_predicted_loss else "truth")
    if loss_kind == "answer" and not has_predicted_loss:
        raise ExplainError(
            "The loss with respect to the prediction is defined for classes only; use the loss with respect to the "
            "label (truth)."
        )
    if loss_kind == "truth" and row < 0:
        raise ExplainError("A custom input has no label; choose a row of the dataset.")
    return loss_kind


def _answer_and_target(
    trained: Trained, gradients: PerSampleGradients, values: list[torch.Tensor], row: int, against: Against
) -> tuple[str, torch.Tensor]:
    """Return the prediction in words, and the target (1, …) of the example's loss."""
    import torch

    from netloom.training.objectives.objective import joined

    with torch.no_grad():
        output = joined(gradients.model(*values))
    inputs = dict(zip(gradients.fields, values, strict=True))
    answer = describe_predictions(trained, output, inputs)[0][0]
    if against == "truth":
        return answer, gradients.targets(np.array([row]))
    if not trained.objective.task.per_class_scores:
        classes = trained.data.schema.target.classes
        binary = trained.objective.task.two_classes  # their decision threshold may have been tuned
        predicted = torch.tensor([[answer == classes[1]]]) if binary else output > 0
        return answer, predicted.to(gradients.goal.dtype).reshape(1, *gradients.goal.shape[1:])
    return answer, output.argmax(1).to(gradients.goal.dtype)
