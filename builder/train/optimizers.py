"""Optimizers and learning-rate schedules by the names that a document gives them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from builder.graph import Training

OPTIMIZERS = {
    "adam": "Adam",
    "adamw": "AdamW",
    "sgd": "SGD with momentum 0.9",
    "rmsprop": "RMSprop",
}
SCHEDULES = {
    "constant": "Constant",
    "cosine": "Cosine to zero",
    "one_cycle": "One cycle: up, then down",
}


def optimizer(training: Training, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of a document over `parameters`; fused where torch has it, which alone gives about a third."""
    from torch import optim

    trained = [parameter for parameter in parameters if parameter.requires_grad]
    rate, decay = training.learning_rate, training.weight_decay
    if training.optimizer == "adam":
        return optim.Adam(trained, lr=rate, weight_decay=decay, fused=True)
    if training.optimizer == "adamw":
        return optim.AdamW(trained, lr=rate, weight_decay=decay, fused=True)
    if training.optimizer == "sgd":
        return optim.SGD(trained, lr=rate, weight_decay=decay, momentum=0.9, fused=True)
    return optim.RMSprop(trained, lr=rate, weight_decay=decay)


def factor(schedule: str, step: int, total: int) -> float:
    """What the learning rate is multiplied by before step `step` of `total`.

    `one_cycle` rises from 1/25 over the first 30 % and then falls to almost nothing, both along half a cosine, as in
    https://arxiv.org/abs/1708.07120.
    """
    if schedule == "constant" or total <= 1:
        return 1.0
    done = min(step / total, 1.0)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if done < 0.3:
        return _between(1 / 25, 1.0, done / 0.3)
    return _between(1.0, 1e-5, (done - 0.3) / 0.7)


def _between(start: float, end: float, done: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * done))
