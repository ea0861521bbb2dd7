"""What a network says of rows of the data, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from netloom.explain.dataset.checkpoint_path import Trained


def said_of(trained: Trained, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> list[tuple[str, float | None]]:
    """What the network says of each row, and how surely where it has shares of classes."""
    if trained.data.schema.target.type.is_class and trained.objective.task.per_class_scores and output.dim() == 2:
        names, shares = trained.data.schema.target.classes, output.softmax(1).max(1)
        return [(names[int(place)], float(share)) for place, share in zip(shares.indices, shares.values, strict=True)]
    if trained.data.schema.target.type.is_per_pixel:
        return [(_covered(trained.data.schema.target.classes, one), None) for one in output.argmax(1)]
    settings = getattr(trained, "calibration", {})
    found = trained.objective.answers(output, trained.data, inputs, settings)
    return [_worded(one) for one in found]


def _covered(classes: tuple[str, ...], said: torch.Tensor) -> str:
    """What a picture's pixels (H, W) are said to be, the commonest first, but for the ground."""
    counts = said.flatten().bincount(minlength=len(classes))
    found = sorted(range(1, len(classes)), key=lambda number: -int(counts[number]))
    listed = [f"{classes[number]} {int(counts[number]) / said.numel():.0%}" for number in found if counts[number]]
    return ", ".join(listed) or classes[0]


def _worded(answer: dict[str, Any]) -> tuple[str, float | None]:
    said, shares = answer.get("prediction", next(iter(answer.values()), "")), answer.get("probabilities")
    if isinstance(said, (list, tuple)):
        return (", ".join(map(_short, said)) or "none")[:200], None  # each of several has a share of its own
    return _short(said)[:200], shares.get(said) if isinstance(shares, dict) else None


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
