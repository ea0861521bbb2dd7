"""The predictions of a network for rows, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netloom.core.text import value_text

if TYPE_CHECKING:
    import torch

    from netloom.explain.core.checkpoint_path import Trained
    from netloom.tasks import Task


def describe_predictions(
    trained: Trained, output: torch.Tensor, inputs: dict[str, torch.Tensor]
) -> list[tuple[str, float | None]]:
    """Return the prediction of each row, and its confidence from 0 to 1 if there are class probabilities."""
    if trained.data.schema.target.type.is_class and trained.objective.task.per_class_scores and output.dim() == 2:
        names, shares = trained.data.schema.target.classes, output.softmax(1).max(1)
        return [(names[int(index)], float(share)) for index, share in zip(shares.indices, shares.values, strict=True)]
    if trained.data.schema.target.type.is_per_pixel:
        return [(_describe_mask(trained.data.schema.target.classes, answer), None) for answer in output.argmax(1)]
    # Only trained runs have thresholds that were tuned on the validation rows.
    settings = getattr(trained, "calibration", {})
    answers = trained.objective.answers(output, trained.data, inputs, settings)
    return [_describe(answer, trained.objective.task) for answer in answers]


def _describe_mask(classes: tuple[str, ...], mask: torch.Tensor) -> str:
    """Describe the pixel classes (H, W) of an image, the most frequent first, without the background."""
    counts = mask.flatten().bincount(minlength=len(classes))
    numbers = sorted(range(1, len(classes)), key=lambda number: -int(counts[number]))
    listed = [f"{classes[number]} {int(counts[number]) / mask.numel():.0%}" for number in numbers if counts[number]]
    return ", ".join(listed) or classes[0]


def _describe(answer: dict[str, Any], task: Task) -> tuple[str, float | None]:
    if text := task.answer_text(answer):
        return text[:200], None
    prediction, shares = answer.get("prediction", next(iter(answer.values()), "")), answer.get("probabilities")
    if isinstance(prediction, (list, tuple)):
        return (value_text(prediction) or "none")[:200], None  # each of several predictions has its own confidence
    return value_text(prediction)[:200], shares.get(prediction) if isinstance(shares, dict) else None
