"""Semantic segmentation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from netloom.tasks import segmentation
from netloom.training.objectives import reference_predictors
from netloom.training.objectives.evaluation import Evaluation, Panel, PanelPart, Worst
from netloom.training.objectives.objective import NOTHING, WORST, Objective, Scores, Settings
from netloom.training.objectives.reference_predictors import BaselinePrediction

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared

SHOWN = 8


class Segmentation(Objective):
    """Cross-entropy over logits (N, classes, H, W) and class numbers (N, H, W), which are stored as bytes.

    Dice is 2 |A ∩ B| / (|A| + |B|) and IoU |A ∩ B| / |A ∪ B| of the pixels of a class, counted over all rows; both are
    averaged over the classes that occur, except the first, the background.
    """

    task = segmentation.Segmentation()

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        entropy = self.loss_weights.entropy(output, target.long())
        weight = self.loss_weights.dice_weight
        return entropy + weight * dice_loss(output, target.long()) if weight else entropy

    def mass(self, target: torch.Tensor) -> torch.Tensor | float:
        return self.loss_weights.mass(target.long())

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        from torch.nn import functional

        predicted, target = output.argmax(1), target.long()
        sums = {
            "loss": functional.cross_entropy(output, target, reduction="sum"),
            "accuracy": (predicted == target).sum(),
        }
        # Counts of all rows and not means of rows, because a class can be missing in a row. One sum per class, as
        # `Scores` holds scalars.
        for name, counts in _overlaps(predicted, target, output.shape[1]).items():
            sums |= {f"{name} {class_index}": count for class_index, count in enumerate(counts)}
        return Scores(sums, target.numel())

    def guess_loss(self, output: torch.Tensor) -> float | None:
        return math.log(output.shape[1])

    def finish(self, means: dict[str, float]) -> dict[str, float]:
        classes = sum(name.startswith("both ") for name in means)
        counts = {
            name: [means[f"{name} {class_index}"] for class_index in range(classes)]
            for name in ("both", "said", "true")
        }
        dice, iou = _shares(counts)
        return {"loss": means["loss"], "accuracy": means["accuracy"], "dice": _mean(dice[1:]), "iou": _mean(iou[1:])}

    def trivial(self, data: Prepared, rows: torch.Tensor) -> BaselinePrediction | None:
        return reference_predictors.pixel_majority(data, rows)

    def evaluate(
        self, output: torch.Tensor, data: Prepared, rows: torch.Tensor, split: str, chosen: Settings = NOTHING
    ) -> Evaluation:
        from torch.nn import functional

        classes, target = data.schema.target.classes, data.target[rows].long()
        losses = functional.cross_entropy(output, target, reduction="none").flatten(1).mean(1)
        predicted = output.argmax(1)
        right = (predicted == target).flatten(1).float().mean(1)
        overlaps = _overlaps(predicted, target, len(classes))
        counts = {name: value.tolist() for name, value in overlaps.items()}
        dice, iou = _shares(counts)
        order = losses.argsort(descending=True).tolist()
        return Evaluation(
            split=split,
            rows=len(rows),
            metrics={
                "dice": _mean(dice[1:]),
                "iou": _mean(iou[1:]),
                "accuracy": float(right.mean()),
                "loss": float(losses.mean()),
            },
            classes=classes,
            report=[
                {"class": name, "dice": dice[i], "iou": iou[i], "pixels": int(counts["true"][i])}
                for i, name in enumerate(classes)
                if dice[i] is not None
            ],
            worst=[
                Worst(
                    int(rows[i]),
                    float(losses[i]),
                    data.target_text(int(rows[i])),
                    f"{float(right[i]):.1%} of its pixels correct",
                    None,
                    correct=bool(right[i] == 1),
                )
                for i in order[:WORST]
            ],
            panels=_panels(predicted, right, data, rows, order),
        )


def dice_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return 1 − Dice of the probabilities of a batch, from logits (N, classes, H, W) and class numbers (N, H, W).

    The mean over the classes that occur in the batch, except the first, the background; 0 if none does.
    https://arxiv.org/abs/1606.04797
    """
    import torch

    classes = torch.arange(output.shape[1], device=output.device)
    true = (target.unsqueeze(1) == classes.view(1, -1, 1, 1)).to(output.dtype)
    shares = output.softmax(1)
    both, sizes = (shares * true).sum((0, 2, 3)), true.sum((0, 2, 3))  # (classes,)
    dice = 2 * both / (shares.sum((0, 2, 3)) + sizes).clamp(min=1e-6)
    occurs = ((sizes > 0) & (classes > 0)).to(output.dtype)
    lacking: torch.Tensor = ((1 - dice) * occurs).sum() / occurs.sum().clamp(min=1)
    return lacking


def _overlaps(predicted: torch.Tensor, true: torch.Tensor, classes: int) -> dict[str, torch.Tensor]:
    """Return pixel counts per class (classes,): intersection, predicted, and true."""
    same = predicted[predicted == true]
    return {
        name: value.flatten().bincount(minlength=classes).double()
        for name, value in (("both", same), ("said", predicted), ("true", true))
    }


def _shares(counts: dict[str, list[float]]) -> tuple[list[float | None], list[float | None]]:
    """Return Dice and IoU per class; None for a class that is neither true nor predicted."""
    dice: list[float | None] = []
    iou: list[float | None] = []
    for both, predicted, true in zip(counts["both"], counts["said"], counts["true"], strict=True):
        met = predicted + true > 0
        dice.append(2 * both / (predicted + true) if met else None)
        iou.append(both / (predicted + true - both) if met else None)
    return dice, iou


def _mean(values: list[float | None]) -> float:
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else float("nan")


def _panels(
    predicted: torch.Tensor, right: torch.Tensor, data: Prepared, rows: torch.Tensor, order: list[int]
) -> list[Panel]:
    """Return image, mask and prediction of the worst rows, then of some median ones."""
    middle = [index for index in order[len(order) // 2 :] if index not in order[:SHOWN]][:SHOWN]
    panels: list[Panel] = []
    for group, places in (("Worst", order[:SHOWN]), ("Typical", middle)):
        for index in places:
            row = int(rows[index])
            picture = data.raw.example(row, "").image
            # one gray channel (1, H, W), or three
            image = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
            parts: list[PanelPart] = [
                {"title": "Image", "kind": "picture", "values": image.round(4).tolist()},
                {"title": "True", "kind": "classes", "values": data.target[row].tolist()},
                {"title": "Predicted", "kind": "classes", "values": predicted[index].tolist()},
            ]
            caption = f"{data.target_text(row)} · {float(right[index]):.1%} of pixels correct"
            panels.append({"row": row, "group": group, "caption": caption, "parts": parts})
    return panels
