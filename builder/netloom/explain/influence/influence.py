"""TracInCP: the training rows that influenced a prediction, and the rows whose labels may be wrong.

The influence of a training row is the sum over checkpoints of the learning rate times the dot product of the gradients
of the two rows' losses: the first-order change of the example's loss when training on that row.

Pruthi et al. 2020, https://arxiv.org/abs/2002.08484. Here, at most 20,000 training rows are sampled, large networks use
the weights of their last layer only, a row also counts by its weight in the training loss, and the result is validated
by training (see `influence_validation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from netloom.core.plain_json import JsonObject
from netloom.explain.core.errors import ExplainError
from netloom.explain.core.explanation import Level, Verdict
from netloom.explain.core.network.cost import measure_network
from netloom.explain.core.row_predictions import describe_predictions
from netloom.explain.dataset.checkpoint_path import Stage, Trained, checkpoint_path, snapshot_names
from netloom.explain.evidence.model_check import ModelCheck, model_check
from netloom.explain.evidence.verdict import with_model
from netloom.explain.influence.influence_validation import InfluenceValidation, influence_verdict, validate_influence
from netloom.training.weight_files import read_weights

if TYPE_CHECKING:
    import torch

    from netloom.explain.influence.per_sample_gradients import PerSampleGradients

URL = "https://arxiv.org/abs/2002.08484"
MAX_LISTED = 10
MAX_ROWS = 20_000
# The cost of a directional derivative of a row's loss in forward passes. In forward mode, each matrix product adds the
# products of both tangents, so it takes 3, as `FlopCounterMode` measures; double backward takes 5 to 7.
DERIVATIVE_COST = 3
# Above this many FLOPs, only the weights of the last layer are used.
FLOP_BUDGET = 2e12
# The loss is taken with respect to the prediction ("answer") or the label ("truth").
Against = Literal["answer", "truth"]


@dataclass(frozen=True)
class InfluentialRow:
    """A training row with its influence, its loss and label, the current prediction, and the confidence from 0 to 1."""

    row: int
    influence: float
    loss: float
    label: str
    says: str
    sure: float | None


@dataclass(frozen=True)
class Influence:
    """The training rows that influenced the prediction for one example.

    `lessons_for` are the proponents, which decreased the loss of the example most, in descending order;
    `lessons_against` are the opponents, which increased it. `influences` (N,) belongs to `rows` (N,), a subset of the
    `training_rows` rows of the training split. `model` says what is wrong with the network itself, or is empty.
    """

    row: int
    answer: str
    label: str
    against: Against
    lessons_for: tuple[InfluentialRow, ...]
    lessons_against: tuple[InfluentialRow, ...]
    stages: tuple[Stage, ...]
    looked_by: str
    rows: np.ndarray
    influences: np.ndarray
    training_rows: int
    loss: float
    tried: InfluenceValidation | None
    level: Level
    verdict: str
    weights: str = ""
    seconds: float = 0.0
    model: str = ""

    def as_json(self) -> JsonObject:
        """Return plain JSON values."""
        return plain_values(self)


@dataclass(frozen=True)
class PossibleLabelErrors:
    """Training rows by descending self-influence.

    A row with a high self-influence was memorized against the evidence of the other rows, as mislabeled rows are.
    `rows`, `self_influence` and `loss` are arrays (N,) in this order.
    """

    rows: np.ndarray
    self_influence: np.ndarray
    loss: np.ndarray
    first: tuple[InfluentialRow, ...]
    stages: tuple[Stage, ...]
    looked_by: str
    training_rows: int
    sentence: str
    weights: str = ""
    seconds: float = 0.0
    labels: tuple[str, ...] = field(default=())
    says: tuple[str, ...] = field(default=())

    def as_json(self) -> JsonObject:
        """Return plain JSON values."""
        return plain_values(self)


def unavailable_reason(trained: Trained) -> str:
    """Return why TracInCP is unavailable for this network, as a sentence; empty if it is available."""
    if trained.variant:
        return "Influence follows the checkpoints of training, which a variant does not have; choose the run itself."
    objective = trained.objective
    if objective.task.environment:
        return "This agent learned by acting and not from the rows of a dataset, so there are no training examples."
    if objective.task.alternating or objective.task.paired_views:
        return "The loss is defined for a whole batch, and TracInCP needs the loss of single rows."
    return ""


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
    verdict = with_model(Verdict(result["level"], result["verdict"]), _quality(trained, weights))
    result |= {"level": verdict.level, "verdict": verdict.sentence, "model": verdict.model}
    influence_result = Influence(**result, label=example.target, weights=weights, seconds=perf_counter() - start)
    if folder:
        cache.save(folder, name, influence_result)
    return influence_result


def find_label_errors(
    trained: Trained, *, folder: Path | None = None, checkpoint: str = "", most: int = 60, progress: Any = None
) -> PossibleLabelErrors:
    """Rank training rows by self-influence, so that likely label errors come first.

    `most` rows are described in words; the other arguments are those of `influence`.

    Raises:
        ExplainError: The loss is not defined for single rows.
    """
    from netloom.explain.core import cache

    start = perf_counter()
    check_available(trained)
    weights = cache.weights_hash(trained.model)
    name = cache.key(weights, {}, {"suspects": 1, "most": most, "used": checkpoint, "way": snapshot_names(folder)})
    cached = cache.load_as(PossibleLabelErrors, folder, name) if folder else None
    if cached is not None:
        return cached
    stages = checkpoint_path(trained, folder, checkpoint)
    gradients, rows = _prepare(trained, progress, len(stages))
    gradients.simplify(rows)
    gradients.expect_rows(len(rows) * len(stages))
    total, losses = np.zeros(len(rows)), np.zeros(len(rows))
    for stage, path in stages:
        _load_weights(gradients, trained, path)
        squared, loss = gradients.squares(rows)
        # The influence of a row on itself: the dot product of its gradient with itself
        total += stage.learning_rate * squared
        losses += loss / len(stages)
    # Gradients are those of single rows; in training, each row has a weight in the loss.
    total *= gradients.counts(rows)
    _load_weights(gradients, trained, None)
    order = np.argsort(-total, kind="stable")
    descriptions = _describe_rows(trained, gradients, rows[order])
    listed = [
        InfluentialRow(int(rows[index]), float(total[index]), float(losses[index]), *descriptions[number])
        for number, index in enumerate(order[:most])
    ]
    quality = _quality(trained, weights)
    result = PossibleLabelErrors(
        rows[order],
        total[order],
        losses[order],
        tuple(listed),
        tuple(stage for stage, _ in stages),
        _describe_parameters(gradients),
        len(trained.data.split["train"]),
        f"{quality.sentence if quality else ''} {_describe_checkpoints(len(stages))}".strip(),
        weights,
        perf_counter() - start,
        tuple(label for label, _, _ in descriptions),
        tuple(says for _, says, _ in descriptions),
    )
    if folder:
        cache.save(folder, name, result)
    return result


def _quality(trained: Trained, weights: str) -> ModelCheck | None:
    """Check whether the model itself beats a trivial predictor; influences on a model at chance are noise."""
    return model_check(
        trained.project, trained.model, trained.data, weights, measure_network(trained.project).totals.flops
    )


def check_available(trained: Trained) -> None:
    """Check that TracInCP is available for this network.

    Raises:
        ExplainError: The loss is not defined for single rows.
    """
    reason = unavailable_reason(trained)
    if reason:
        raise ExplainError(f"Influential training examples cannot be computed: {reason}")


def plain_values(result: Any) -> dict[str, Any]:
    """Convert a dataclass to plain JSON values."""
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(result).items()}


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
    gradients, rows = _prepare(trained, progress, len(stages))
    values = [inputs[name] for name in gradients.fields]
    answer, target = _answer_and_target(trained, gradients, values, row, against)
    gradients.expect_rows(len(rows) * len(stages))
    influences = np.zeros(len(rows))
    for stage, path in stages:
        _load_weights(gradients, trained, path)
        # The gradient of the example is the direction, so the products are those of the gradients of both rows.
        products, _ = gradients.along(rows, gradients.gradient(values, target))
        influences += stage.learning_rate * products
    influences *= gradients.counts(rows)
    # Predictions and losses below are those of the current weights.
    _load_weights(gradients, trained, None)
    order = np.argsort(-influences, kind="stable")
    sides = (
        [index for index in order[:max_listed] if influences[index] > 0],
        [index for index in order[::-1][:max_listed] if influences[index] < 0],
    )
    losses = _current_losses(gradients, rows, np.array([*sides[0], *sides[1]], dtype=np.int64))
    listed = []
    for side in sides:
        descriptions = _describe_rows(trained, gradients, rows[np.array(side, dtype=np.int64)])
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
        "answer": answer,
        "against": against,
        "lessons_for": listed[0],
        "lessons_against": listed[1],
        "stages": tuple(stage for stage, _ in stages),
        "looked_by": _describe_parameters(gradients),
        "rows": rows,
        "influences": influences,
        "training_rows": len(trained.data.split["train"]),
        "loss": loss,
        "tried": validation,
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


def _prepare(trained: Trained, progress: Any, stages: int) -> tuple[PerSampleGradients, np.ndarray]:
    """Return the gradients of the network, and the sampled training rows (N,)."""
    from netloom.compile.logit_network import with_logits
    from netloom.explain.influence.per_sample_gradients import PerSampleGradients

    objective = trained.objective.configured(trained.project.training, trained.data, "cpu")
    model = with_logits(trained.project, trained.model, trained.data.schema)
    gradients = PerSampleGradients(model, objective, trained.data, trained.fields, progress)
    rows = trained.data.split["train"].numpy()
    if len(rows) > MAX_ROWS:
        # A fixed sample, so that all examples are explained by the same rows
        rows = np.sort(np.random.default_rng(0).choice(rows, MAX_ROWS, replace=False))
    if measure_network(trained.project).totals.flops * DERIVATIVE_COST * len(rows) * stages > FLOP_BUDGET:
        gradients.narrow()
    return gradients, rows


def _describe_parameters(gradients: PerSampleGradients) -> str:
    names = [name for name, _ in gradients.model.named_parameters()]
    count = sum(value.numel() for value in gradients.weights.values())
    if gradients.names[0] == names[0] or len({name.rpartition(".")[0] for name in gradients.names}) > 1:
        return f"all {count:,} parameters"
    return f"the {count:,} parameters of {gradients.names[-1].rpartition('.')[0]}"


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


def _describe_rows(
    trained: Trained, gradients: PerSampleGradients, rows: np.ndarray
) -> list[tuple[str, str, float | None]]:
    """Return the label, the prediction and its confidence for each row."""
    if not len(rows):
        return []
    descriptions = []
    for start in range(0, len(rows), 512):
        batch = rows[start : start + 512]
        inputs = dict(zip(gradients.fields, gradients.inputs(batch), strict=True))
        descriptions += describe_predictions(trained, gradients.answers(batch), inputs)
    return [
        (trained.data.target_text(int(row))[:200], *description)
        for row, description in zip(rows, descriptions, strict=True)
    ]


def _load_weights(gradients: PerSampleGradients, trained: Trained, path: Path | None) -> None:
    """Load the weights of a checkpoint, or the current weights if `path` is None."""
    gradients.take(read_weights(path) if path is not None else trained.model.state_dict())


def _describe_checkpoints(stages: int) -> str:
    source = f"{stages} checkpoints" if stages > 1 else "1 checkpoint, so early training is not covered"
    return (
        f"Based on {source}. A row with a much higher self-influence than others was memorized: its label may be "
        "wrong, or it is rare or difficult. Check each row before you change it."
    )
