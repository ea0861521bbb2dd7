"""Explained targets: choosing them, computing them, and describing the prediction. One class per kind of quantity.

A task names its quantity (`Task.explained`). `choose` finds the chosen target, `select` computes it, and `predict`
describes the prediction. Outputs are logits; several outputs are concatenated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.document import Training
from netloom.explain.core.explanation import Prediction, Target
from netloom.explain.core.quantities import score_quantities as scores
from netloom.explain.core.quantities import token_quantities as tokens
from netloom.explain.core.quantities.head_score import HeadScore
from netloom.explain.core.quantities.quantity import Inputs, Quantity, Settings, TargetChoice
from netloom.tasks import Task, task, usual_task

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared

TargetLike = TargetChoice | Target
# Keyed by `Task.explained`.
QUANTITIES: dict[str, Quantity] = {
    "class": scores.ClassScore(),
    "action": scores.ActionScore(),
    "value": scores.ActionValue(),
    "binary": scores.BinaryScore(),
    "label": scores.LabelScore(),
    "number": scores.Number(),
    "error": scores.ReconstructionError(),
    "distance": scores.PairDistance(),
    "embedding": scores.Component(),
    "score": scores.ItemScore(),
    "mask": scores.Region(),
    "object": scores.ObjectScore(),
    "token": tokens.TokenScore(),
    "answer_token": tokens.AnswerToken(),
    "tag": tokens.TagScore(),
    "head": HeadScore(),
}
# Reversed, so that the first of several quantities of one kind is used, such as `ClassScore` for "class".
_BY_KIND = {quantity.kind: quantity for quantity in reversed(QUANTITIES.values())}


def choose(
    choice: TargetLike,
    output: torch.Tensor,
    data: Prepared,
    inputs: Inputs,
    training: Training | None = None,
    chosen: Settings | None = None,
) -> Target:
    """Return the chosen target, or the predicted one; a `Target` is returned unchanged.

    Args:
        output: The output for one example, (1, …).
        training: The training section of the document; None uses the default task of the data.
        chosen: What was chosen on the validation rows, such as a threshold.

    Raises:
        ExplainError: The class, output, token or position does not exist.
    """
    if isinstance(choice, Target):
        return choice
    chosen_task = task(training.objective) if training is not None else _default_task(data)
    quantity = QUANTITIES[chosen_task.explained]
    if choice is None and chosen:
        choice = quantity.predicted_choice(output, chosen)
    return quantity.choose(choice, output, data, inputs, training or Training())


def select(target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs | None = None) -> torch.Tensor:
    """Return the explained number (N,) of each row of an output (N, …) that was computed from `inputs`."""
    return _quantity_in(target, data).select(target, output, data, inputs or {})


def predict(
    target: Target, output: torch.Tensor, data: Prepared, inputs: Inputs | None = None, chosen: Settings | None = None
) -> Prediction:
    """Return the prediction for one example in words, with probabilities.

    `chosen` is what was chosen on the validation rows, such as a threshold.
    """
    return _quantity_in(target, data).predict(target, output, data, inputs or {}, chosen or {})


def target_names(data: Prepared, training: Training) -> tuple[str, ...]:
    """Return the names that can be chosen, if they are not the classes of the target."""
    quantity = QUANTITIES.get(task(training.objective).explained)
    return quantity.names(data, training) if quantity else ()


def default_target_name(training: Training) -> str:
    """Return the name of the target that is explained unless one of `target_names` is chosen."""
    return QUANTITIES[task(training.objective).explained].default_name


def quantity_of(target: Target) -> Quantity:
    """Return the quantity of a target, independent of the data: its properties and phrases."""
    return _BY_KIND[target.kind]


def _default_task(data: Prepared) -> Task:
    return usual_task(data.schema.target.kind) or task("")


def _quantity_in(target: Target, data: Prepared) -> Quantity:
    """Return the quantity of a target; if several share its kind, that of the data's default task."""
    usual = QUANTITIES[_default_task(data).explained]
    return usual if usual.kind == target.kind else _BY_KIND[target.kind]
