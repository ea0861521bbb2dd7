"""Detected objects compared with the true ones, as the evaluation of COCO does: https://cocodataset.org/#detection-eval"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch

THRESHOLDS = tuple(0.5 + 0.05 * step for step in range(10))
# The recalls at which the precision is averaged
_RECALLS = 101


@dataclass(frozen=True)
class Matches:
    """Detected objects and those of them that match a true one.

    Attributes:
        classes: The predicted classes (N, K).
        scores: Their scores (N, K); 0 where there is no object.
        hits: Whether each matches a true object at each threshold of the IoU, (thresholds, N, K).
        true: The classes of the true objects (N, M), below 0 where there is none.
    """

    classes: torch.Tensor
    scores: torch.Tensor
    hits: torch.Tensor
    true: torch.Tensor

    def of_rows(self, places: np.ndarray) -> Matches:
        """Return the matches of some of the rows, by their places (n,)."""
        return Matches(self.classes[places], self.scores[places], self.hits[:, places], self.true[places])


def matched(
    found: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    target: torch.Tensor,
    thresholds: tuple[float, ...] = THRESHOLDS,
) -> Matches:
    """Match detected objects, highest score first, to the free true object of their class with the largest IoU.

    `found` are classes (N, K), scores (N, K) and boxes (N, K, 4); `target` is (N, M, 5).
    """
    import torch

    classes, scores, boxes = found
    true = target[..., 0].long()
    limits = torch.tensor(thresholds, dtype=torch.float64, device=target.device)[:, None, None]
    ious = iou(boxes.double(), target[..., 1:].double())  # (N, K, M)
    ious = ious.where(classes[..., None] == true[:, None], -1.0)
    free = (true >= 0).expand(len(thresholds), *true.shape).clone()
    hits = torch.zeros(len(thresholds), *classes.shape, dtype=torch.bool, device=target.device)
    count = int((scores > 0).sum(1).max()) if scores.numel() else 0
    for position in range(count):
        candidates = ious[:, position].where(free, -1.0)  # (thresholds, N, M)
        best = candidates.max(2, keepdim=True)
        hit = (best.values >= limits) & (scores[:, position, None] > 0)
        free = free.scatter(2, best.indices, free.gather(2, best.indices) & ~hit)
        hits[:, :, position] = hit[..., 0]
    return Matches(classes, scores, hits, true)


def iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the intersection over union (N, A, B) of boxes (N, A, 4) and (N, B, 4)."""
    import torch

    low = torch.maximum(first[:, :, None, :2], second[:, None, :, :2])
    high = torch.minimum(first[:, :, None, 2:], second[:, None, :, 2:])
    both = (high - low).clamp(min=0).prod(3)
    areas = [(boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(2) for boxes in (first, second)]
    return both / (areas[0][:, :, None] + areas[1][:, None] - both).clamp(min=1e-12)


def mean_average_precision(averages: Iterable[object]) -> float:
    """Return the mean of the average precisions of classes; those without examples have None or NaN and do not count.
    NaN if no class has one."""
    values = [value for value in averages if isinstance(value, float) and not math.isnan(value)]
    return sum(values) / len(values) if values else math.nan


def average_precisions(matches: Matches, number: int) -> torch.Tensor | None:
    """Return the average precision of a class at each threshold (thresholds,); None if there is no such object."""
    import torch

    objects = int((matches.true == number).sum())
    if not objects:
        return None
    chosen = (matches.classes == number) & (matches.scores > 0)
    order = matches.scores[chosen].argsort(descending=True, stable=True)
    right = matches.hits[:, chosen][:, order].double()
    if not right.shape[1]:
        return torch.zeros(len(right), dtype=torch.float64)
    total = right.cumsum(1)
    precision = total / torch.arange(1, right.shape[1] + 1)
    envelope = precision.flip(1).cummax(1).values.flip(1)  # the best precision at this recall or a higher one
    recalls = torch.linspace(0, 1, _RECALLS, dtype=torch.float64).expand(len(right), -1).contiguous()
    positions = torch.searchsorted((total / objects).contiguous(), recalls)
    reached = positions < right.shape[1]
    values: torch.Tensor = envelope.gather(1, positions.clamp(max=right.shape[1] - 1)) * reached
    return values.mean(1)
