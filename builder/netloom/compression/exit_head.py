"""A classifier on an inner layer of a trained network, and the confidence from which its answer is good enough."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from netloom.training.objectives import EVALUATION_BATCH

if TYPE_CHECKING:
    from netloom.runs import TrainedRun

# The side of the grid that feature maps are averaged to, and the limit of the features of an exit
GRID, MAX_FEATURES = 4, 4_096
# The strength of the logistic regression, and the limit of its steps
INVERSE_REGULARIZATION, MAX_STEPS = 0.1, 100
# The logit of a class that no training row has
ABSENT = -30.0


class ExitHead(nn.Module):
    """A linear classifier of the features of a layer, (N, …) -> (N, C)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.linear(pooled(values))
        return logits


def with_exit(model: nn.Module, path: str, head: ExitHead) -> nn.Module:
    """Return a copy of a network with a second output: that of a head on the first output of one of its modules."""
    model = copy.deepcopy(model)
    values: list[torch.Tensor] = []
    # A wrapper would hide the arguments of `forward`, by which torch.export knows which axes are rows.
    model.get_submodule(path).register_forward_hook(lambda module, args, output: values.append(first_output(output)))
    model.add_module("early_exit_head", head)
    model.register_forward_hook(lambda module, args, output: (first_output(output), head(values.pop())))
    return model.eval()


def first_output(output: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the first output of a module."""
    return output[0] if isinstance(output, tuple) else output


def pooled(values: torch.Tensor) -> torch.Tensor:
    """Return the features of a layer as vectors (N, F).

    A vector stays. A tensor with three axes, (N, T, D) or (N, C, L), becomes the mean and the maximum over each of its
    last two axes; an axis with too many entries is omitted. Feature maps (N, C, H, W) become their means over the
    fields of a coarse grid, or over all positions if there are many channels.
    """
    if values.dim() == 2:
        return values
    if values.dim() == 3:
        first, second = values.shape[1:]
        reduced_axes = [2, 1]
        if 2 * (first + second) > MAX_FEATURES:
            reduced_axes = [1] if 2 * second <= MAX_FEATURES else [2]
        return torch.cat([part for axis in reduced_axes for part in (values.mean(axis), values.amax(axis))], 1)
    positions = values.shape[2:]
    side = GRID if values.shape[1] * GRID ** len(positions) <= MAX_FEATURES else 1
    means = functional.avg_pool2d if len(positions) == 2 else functional.avg_pool3d
    return means(values, [-(-length // side) for length in positions]).flatten(1)


def feature_count(shape: Sequence[int | None]) -> int:
    """Return the number of features of a layer with outputs of a shape (N, …)."""
    return pooled(torch.empty(1, *[length or 1 for length in shape[1:]], device="meta")).shape[1]


def features_of(
    trained: TrainedRun, paths: Sequence[str], inputs: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the features (N, F) of some modules for rows (N, …) by field, by the paths of the modules."""
    parts: dict[str, list[torch.Tensor]] = {path: [] for path in paths}
    current: dict[str, torch.Tensor] = {}

    def keep(path: str, output: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        current[path] = pooled(first_output(output))

    hooks = [
        trained.model.get_submodule(path).register_forward_hook(
            lambda module, args, output, path=path: keep(path, output)
        )
        for path in paths
    ]
    try:
        with torch.no_grad():
            for start in range(0, len(next(iter(inputs.values()))), EVALUATION_BATCH):
                trained.model(*[inputs[name][start : start + EVALUATION_BATCH] for name in trained.fields])
                for path in paths:
                    parts[path].append(current[path])
    finally:
        for hook in hooks:
            hook.remove()
    return {path: torch.cat(values) for path, values in parts.items()}


def fit_head(features: torch.Tensor, labels: np.ndarray, classes: int) -> ExitHead:
    """Return a head that is a logistic regression of labels (N,) on standardized features (N, F).

    The standardization is part of its weights.
    """
    from sklearn.linear_model import LogisticRegression

    values = features.double().numpy()
    mean, scale = values.mean(0), values.std(0)
    scale[scale < 1e-6 * max(float(scale.max()), 1e-12)] = np.inf  # a constant feature has no weight
    model = LogisticRegression(C=INVERSE_REGULARIZATION, max_iter=MAX_STEPS)
    model.fit((values - mean) / scale, labels)
    weights, biases = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # one logit of the second class
        weights, biases = np.concatenate([-weights / 2, weights / 2]), np.concatenate([-biases / 2, biases / 2])
    weight, bias = np.zeros((classes, values.shape[1])), np.full(classes, ABSENT)
    weight[model.classes_] = weights / scale
    bias[model.classes_] = biases - weight[model.classes_] @ mean
    head = ExitHead(values.shape[1], classes)
    with torch.no_grad():
        head.linear.weight.copy_(torch.from_numpy(weight))
        head.linear.bias.copy_(torch.from_numpy(bias))
    return head.eval()


def confidence_threshold(
    confidence: np.ndarray, is_right: np.ndarray, is_right_at_end: np.ndarray, tolerance: float
) -> tuple[float, float] | None:
    """Return the smallest confidence from which rows can leave, and the share of rows that do.

    Args:
        confidence: The confidence of the head for each row, (N,).
        is_right: Whether the head is right, (N,).
        is_right_at_end: Whether the whole network is right, (N,).
        tolerance: By how much the accuracy of these rows may fall, as a share.

    Returns:
        None if no row can leave.
    """
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    lost = np.cumsum(is_right_at_end[order].astype(int) - is_right[order].astype(int))  # after each row that leaves
    # Rows of equal confidence leave together; a threshold between two others is not subject to rounding.
    is_last = np.append(ordered[1:] < ordered[:-1], True)
    possible = np.flatnonzero(is_last & (lost <= tolerance * len(order) + 1e-9))
    if not len(possible):
        return None
    last = int(possible[-1])
    following = ordered[last + 1] if last + 1 < len(ordered) else 0.0
    return float(ordered[last] + following) / 2, (last + 1) / len(order)
