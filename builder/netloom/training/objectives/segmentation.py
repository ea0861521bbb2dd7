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
    averaged over the classes that occur, except the first, the background. Void pixels, below 0, count in nothing.
    """

    task = segmentation.Segmentation()

    def loss(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if has_void(target):
            # The mean over all pixels with a class, and 0 instead of 0 / 0 for a batch without any
            total = self.loss_weights.entropy(output, target.long(), reduction="sum")
            entropy = total / self._labeled_mass(target).clamp(min=1e-12)
        else:
            entropy = self.loss_weights.entropy(output, target.long())
        weight = self.loss_weights.dice_weight
        return entropy + weight * dice_loss(output, target.long()) if weight else entropy

    def mass(self, target: torch.Tensor) -> torch.Tensor | float:
        return self._labeled_mass(target) if has_void(target) else self.loss_weights.mass(target.long())

    def _labeled_mass(self, target: torch.Tensor) -> torch.Tensor:
        """Return the divisor of the mean loss over the pixels with a class."""
        # Without a selection of pixels, whose number `vmap` would have to know
        known, weights = target >= 0, self.loss_weights.class_weights
        return known.sum() if weights is None else (weights[target.long().clamp(min=0)] * known).sum()

    def scores(self, output: torch.Tensor, target: torch.Tensor) -> Scores:
        from torch.nn import functional

        is_void, predicted, target = has_void(target), predicted_classes(output), target.long()
        sums = {
            "loss": functional.cross_entropy(output, target, reduction="sum"),
            "accuracy": (predicted == target).sum(),
        }
        # Counts of all rows and not means of rows, because a class can be missing in a row. One sum per class, as
        # `Scores` holds scalars.
        for name, counts in _overlaps(predicted, target, output.shape[1]).items():
            sums |= {f"{name} {class_index}": count for class_index, count in enumerate(counts)}
        return Scores(sums, int((target >= 0).sum()) if is_void else target.numel())

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
        counts_of_rows = (target >= 0).flatten(1).sum(1)
        total_losses = functional.cross_entropy(output, target, reduction="none").flatten(1).sum(1)
        losses = total_losses / counts_of_rows.clamp(min=1)
        predicted = predicted_classes(output)
        hits = (predicted == target).flatten(1).sum(1)
        right = hits / counts_of_rows  # NaN for a row of void pixels
        labeled = int(counts_of_rows.sum())
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
                "accuracy": int(hits.sum()) / max(1, labeled),
                "loss": float(total_losses.double().sum()) / max(1, labeled),
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
                    f"{_share(right[i])} of its pixels correct",
                    None,
                    correct=bool(hits[i] == counts_of_rows[i]),
                )
                for i in order[:WORST]
            ],
            panels=_panels(predicted, right, data, rows, order),
        )


def has_void(target: torch.Tensor) -> bool:
    """Return whether masks can have void pixels: they are stored as int8 then, and as uint8 otherwise."""
    import torch

    return target.dtype == torch.int8


def predicted_classes(output: torch.Tensor) -> torch.Tensor:
    """Return the class of each pixel (N, H, W) from logits (N, classes, H, W)."""
    return output.max(1).indices  # as `argmax`, also for equal logits, but that takes seven times as long on this axis


def dice_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return 1 − Dice of the probabilities of a batch, from logits (N, classes, H, W) and class numbers (N, H, W).

    The mean over the classes that occur in the batch, except the first, the background; 0 if none does. Pixels below 0
    are void, so that their probabilities do not count.
    https://arxiv.org/abs/1606.04797
    """
    import torch

    classes = torch.arange(output.shape[1], device=output.device)
    true = (target.unsqueeze(1) == classes.view(1, -1, 1, 1)).to(output.dtype)
    shares = output.softmax(1) * (target >= 0).unsqueeze(1)
    both, sizes = (shares * true).sum((0, 2, 3)), true.sum((0, 2, 3))  # (classes,)
    dice = 2 * both / (shares.sum((0, 2, 3)) + sizes).clamp(min=1e-6)
    occurs = ((sizes > 0) & (classes > 0)).to(output.dtype)
    lacking: torch.Tensor = ((1 - dice) * occurs).sum() / occurs.sum().clamp(min=1)
    return lacking


def _overlaps(predicted: torch.Tensor, true: torch.Tensor, classes: int) -> dict[str, torch.Tensor]:
    """Return pixel counts per class (classes,): intersection, predicted, and true. Void pixels count in none."""
    known = true >= 0
    predicted, true = predicted[known], true[known]
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


def _share(right: torch.Tensor) -> str:
    """Return a share of correct pixels in words."""
    return "none" if right.isnan() else f"{float(right):.1%}"


def _mean(values: list[float | None]) -> float:
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else float("nan")


def _panels(
    predicted: torch.Tensor, right: torch.Tensor, data: Prepared, rows: torch.Tensor, order: list[int]
) -> list[Panel]:
    """Return image, mask and prediction of the worst rows, then of some median ones."""
    middle = [index for index in order[len(order) // 2 :] if index not in order[:SHOWN]][:SHOWN]
    panels: list[Panel] = []
    for group, positions in (("Worst", order[:SHOWN]), ("Typical", middle)):
        for index in positions:
            row = int(rows[index])
            picture = data.raw.example(row, "").image
            # one gray channel (1, H, W), or three
            image = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
            parts: list[PanelPart] = [
                {"title": "Image", "kind": "picture", "values": image.round(4).tolist()},
                {"title": "True", "kind": "classes", "values": data.target[row].tolist()},
                {"title": "Predicted", "kind": "classes", "values": predicted[index].tolist()},
            ]
            caption = f"{data.target_text(row)} · {_share(right[index])} of pixels correct"
            panels.append({"row": row, "group": group, "caption": caption, "parts": parts})
    return panels
