"""Decodes the output of a detector to objects: a class, a score and a box each.

The output (N, classes + 4, H, W) has for each cell of a grid over the image a score for each class, from which
`center_logits` makes the logit that an object of this class has its center there, and then the distances from the
center of the cell to the left, upper, right and lower side of its box, in cells before `softplus`. A copy of this file
is part of each exported network.

https://arxiv.org/abs/1904.07850 (centers as peaks) and https://arxiv.org/abs/1904.01355 (distances to the sides)
"""

from __future__ import annotations

import math
from typing import Any

SIDES = 4
MOST = 100  # objects of an image
# Most cells have no object. With this shift, the score of an output of 0 is 0.1, so that training starts from there:
# https://arxiv.org/abs/1708.02002
RARITY = math.log(9)


def center_logits(output: Any) -> Any:
    """Return the logits (N, classes, H, W) that an object of a class has its center in a cell."""
    return output[:, :-SIDES] - RARITY


def cell_boxes(output: Any) -> Any:
    """Return the box of each cell (N, H W, 4), its sides as shares of the width and the height of the image, beyond
    which it can reach."""
    import torch
    from torch.nn import functional

    height, width = output.shape[2:]
    left, top, right, bottom = functional.softplus(output[:, -SIDES:]).flatten(2).unbind(1)  # (N, H W) each
    cells = torch.arange(height * width, device=output.device)
    x, y = cells % width + 0.5, cells.div(width, rounding_mode="floor") + 0.5
    return torch.stack([(x - left) / width, (y - top) / height, (x + right) / width, (y + bottom) / height], dim=2)


def detected(output: Any, most: int = MOST) -> tuple[Any, Any, Any]:
    """Return the objects of each image, highest score first: classes (N, K), scores (N, K) and boxes (N, K, 4).

    An object is a cell whose score is the largest among its neighbors. Rows with fewer objects end with the score 0.
    """
    classes, logits, boxes = detected_logits(output, most)
    return classes, logits.sigmoid(), boxes


def detected_logits(output: Any, most: int = MOST) -> tuple[Any, Any, Any]:
    """Return the objects of each image as `detected`, with the logits of their scores (N, K), −∞ for the score 0."""
    from torch.nn import functional

    logits = center_logits(output)
    # Of logits, because scores of neighbors can round to the same number
    is_peak = logits == functional.max_pool2d(logits, 3, 1, 1)
    flat = logits.where(is_peak, -math.inf).flatten(1)
    top = flat.topk(min(most, flat.shape[1]))
    cells = output.shape[2] * output.shape[3]
    classes = top.indices.div(cells, rounding_mode="floor")
    boxes = cell_boxes(output).clamp(0, 1)
    chosen = (top.indices % cells)[..., None].expand(-1, -1, SIDES)
    return classes, top.values, boxes.gather(1, chosen)
