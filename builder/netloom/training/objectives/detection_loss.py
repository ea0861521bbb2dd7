"""The loss of a detector: where objects are, and how large they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.data.preparation.box_decoding import SIDES, cell_boxes, center_logits

if TYPE_CHECKING:
    import torch

# The weight of the boxes beside that of the centers
BOX_WEIGHT = 2.0
# The deviation of the bump around a center as a share of the box, https://arxiv.org/abs/1909.00700
_SPREAD = 0.54 / 6
# How far from the center cells still learn the box, in cells, https://arxiv.org/abs/1904.01355
_REACH = 1.5


def row_losses(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the loss (N,) of each image: the focal loss of the centers, https://arxiv.org/abs/1904.07850, plus the
    generalized IoU loss of the boxes, https://arxiv.org/abs/1902.09630, each divided by the number of objects.

    `output` is (N, classes + 4, H, W) as in `box_decoding`, and `target` (N, M, 5) as in `netloom.data.boxes`.
    """
    import torch
    from torch.nn import functional

    output = output.float()
    height, width = output.shape[2:]
    exists, numbers, boxes = target[..., 0] >= 0, target[..., 0].clamp(min=0).long(), target[..., 1:]
    cells = torch.arange(height * width, device=output.device)
    x, y = cells % width + 0.5, cells.div(width, rounding_mode="floor") + 0.5
    scale = boxes.new_tensor([width, height])
    middle, sides = (boxes[..., :2] + boxes[..., 2:]) / 2 * scale, (boxes[..., 2:] - boxes[..., :2]) * scale
    limit = (scale - 1).expand_as(middle)
    center = torch.minimum(middle.floor(), limit).clamp(min=0) + 0.5  # of the cell with the center, (N, M, 2)
    across, down = x - center[..., :1], y - center[..., 1:]  # (N, M, H W)
    deviation = (sides * _SPREAD).clamp(min=1e-3)
    bump = torch.exp(-((across / deviation[..., :1]).square() + (down / deviation[..., 1:]).square()) / 2)
    bump = bump * exists[..., None]
    # The largest bump of each class at each cell, (N, classes, H W)
    peaks = bump.new_zeros(len(output), output.shape[1] - SIDES, height * width)
    peaks = peaks.scatter_reduce(1, numbers[..., None].expand_as(bump), bump, "amax")
    logits = center_logits(output).flatten(2)
    log_yes, log_no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    focal = torch.where(
        peaks == 1, log_yes * log_no.exp().square(), (1 - peaks).pow(4) * log_yes.exp().square() * log_no
    )
    objects = exists.sum(1).clamp(min=1)
    centers = -focal.flatten(1).sum(1) / objects

    near = (across.abs() <= _REACH) & (down.abs() <= _REACH) & exists[..., None]
    low, high = boxes[..., :2] * scale, boxes[..., 2:] * scale
    within = (x > low[..., :1]) & (x < high[..., :1]) & (y > low[..., 1:]) & (y < high[..., 1:])
    learns = near & (within | (bump == 1))
    # A cell of several objects learns the smallest
    area = sides.prod(2)[..., None].where(learns, torch.inf)
    smallest = area.argmin(1)[..., None].expand(-1, -1, SIDES)  # (N, H W, 4)
    apart = 1 - generalized_iou(cell_boxes(output), boxes.gather(1, smallest))
    taught = learns.any(1)
    return centers + BOX_WEIGHT * (apart * taught).sum(1) / taught.sum(1).clamp(min=1)


def generalized_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the generalized intersection over union (...) of boxes (..., 4), from -1 to 1."""
    import torch

    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    hull_low, hull_high = torch.minimum(first[..., :2], second[..., :2]), torch.maximum(first[..., 2:], second[..., 2:])
    both, hull = (high - low).clamp(min=0).prod(-1), (hull_high - hull_low).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (first, second)]
    union = areas[0] + areas[1] - both
    tiny = 1e-9
    return both / union.clamp(min=tiny) - (hull - union) / hull.clamp(min=tiny)
