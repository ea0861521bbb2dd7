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
# The weight of the scores of a teacher beside its boxes. Small students had better boxes with 1 than without a teacher,
# but found fewer objects (on the shapes with 8 seeds: mAP50 to 95 +0.04, mAP50 -0.01); with 3, more (+0.02, +0.01).
TEACHER_WEIGHT = 3.0
# How far from the center cells still learn the box, in cells, https://arxiv.org/abs/1904.01355
_REACH = 1.5


def row_losses(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the loss (N,) of each image: of its centers, and of its boxes with the weight `BOX_WEIGHT`.

    `output` is (N, classes + 4, H, W) as in `box_decoding`, and `target` (N, M, 5) as in `netloom.data.boxes`.
    """
    import torch

    output = output.float()
    height, width = output.shape[2:]
    exists, scale = target[..., 0] >= 0, target.new_tensor([width, height] * 2)
    boxes = target[..., 1:] * scale  # in cells
    cells = torch.arange(height * width, device=output.device)
    x, y = cells % width + 0.5, cells.div(width, rounding_mode="floor") + 0.5
    # The middle of the cell that has the center of each object, (N, M, 2)
    middle = torch.minimum(((boxes[..., :2] + boxes[..., 2:]) / 2).floor().clamp(min=0), scale[:2] - 1) + 0.5
    away = torch.stack([x - middle[..., :1], y - middle[..., 1:]], dim=-1)  # (N, M, H W, 2)
    is_center = (away == 0).all(-1) & exists[..., None]
    inside = (x > boxes[..., 0:1]) & (x < boxes[..., 2:3]) & (y > boxes[..., 1:2]) & (y < boxes[..., 3:4])
    learns = is_center | (inside & (away.abs() <= _REACH).all(-1) & exists[..., None])
    return _center_losses(output, target, boxes, away) + BOX_WEIGHT * _box_losses(output, target, boxes, learns)


def _center_losses(output: torch.Tensor, target: torch.Tensor, boxes: torch.Tensor, away: torch.Tensor) -> torch.Tensor:
    """Return the focal loss (N,) of the centers, divided by the number of objects: cells near a center count less as
    mistakes. `away` (N, M, H W, 2) is the distance of each cell from each center. https://arxiv.org/abs/1904.07850"""
    import torch
    from torch.nn import functional

    exists, numbers = target[..., 0] >= 0, target[..., 0].clamp(min=0).long()
    deviation = ((boxes[..., 2:] - boxes[..., :2]) * _SPREAD).clamp(min=1e-3)
    bumps = torch.exp(-(away / deviation[:, :, None]).square().sum(-1) / 2) * exists[..., None]  # (N, M, H W)
    logits = center_logits(output).flatten(2)
    # The largest bump of each class at each cell, (N, classes, H W); 1 at the centers
    peaks = torch.zeros_like(logits).scatter_reduce(1, numbers[..., None].expand_as(bumps), bumps, "amax")
    log_yes, log_no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    right = log_yes * log_no.exp().square()
    wrong = log_no * log_yes.exp().square() * (1 - peaks).pow(4)
    return -torch.where(peaks == 1, right, wrong).flatten(1).sum(1) / exists.sum(1).clamp(min=1)


def _box_losses(output: torch.Tensor, target: torch.Tensor, boxes: torch.Tensor, learns: torch.Tensor) -> torch.Tensor:
    """Return the generalized IoU loss (N,) of the boxes, averaged over the cells that learn one: those around a center.
    `learns` (N, M, H W) says which cell learns which objects, of which it gets the smallest."""
    import torch

    area = (boxes[..., 2:] - boxes[..., :2]).prod(2)[..., None].where(learns, torch.inf)
    smallest = area.min(1).indices[..., None].expand(-1, -1, SIDES)  # (N, H W, 4)
    apart = 1 - generalized_iou(cell_boxes(output), target[..., 1:].gather(1, smallest))
    is_taught = learns.any(1)
    return (apart * is_taught).sum(1) / is_taught.sum(1).clamp(min=1)


def taught_losses(output: torch.Tensor, taught: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return how far the outputs of each image are from those of a teacher with the same grid, (N,), in the scale of
    `row_losses`: the quality focal loss of its scores (https://arxiv.org/abs/2006.04388), 0 if they are equal, and the
    generalized IoU loss of its boxes."""
    from torch.nn import functional

    output, taught = output.float(), taught.float()
    logits, wanted = (center_logits(values).flatten(2) for values in (output, taught))
    scores, apart = wanted.sigmoid(), (logits.sigmoid() - wanted.sigmoid()).square()
    centers = apart * functional.binary_cross_entropy_with_logits(logits, scores, reduction="none")
    count = (target[..., 0] >= 0).sum(1).clamp(min=1)
    # Squared, because the boxes of the many cells with a low score mean nothing
    weight = scores.amax(1).square()
    boxes = 1 - generalized_iou(cell_boxes(output), cell_boxes(taught))
    box_losses = (weight * boxes).sum(1) / weight.sum(1).clamp(min=1e-6)
    losses: torch.Tensor = TEACHER_WEIGHT * centers.flatten(1).sum(1) / count + BOX_WEIGHT * box_losses
    return losses


def generalized_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the generalized intersection over union (...) of boxes (..., 4), from -1 to 1.

    https://arxiv.org/abs/1902.09630
    """
    import torch

    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    hull_low, hull_high = torch.minimum(first[..., :2], second[..., :2]), torch.maximum(first[..., 2:], second[..., 2:])
    both, hull = (high - low).clamp(min=0).prod(-1), (hull_high - hull_low).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (first, second)]
    union = areas[0] + areas[1] - both
    tiny = 1e-9
    return both / union.clamp(min=tiny) - (hull - union) / hull.clamp(min=tiny)
