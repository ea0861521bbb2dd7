"""The Mahalanobis distance of features from those of the training rows of each class.

Lee et al. 2018, https://arxiv.org/abs/1807.03888.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

    from netloom.runs import TrainedRun

BATCH = 512


@dataclass(frozen=True)
class ClassGaussians:
    """Normal distributions with a mean for each class, (C, D), and a common covariance. `whitening` (D, D) maps
    features so that the covariance becomes the identity."""

    means: np.ndarray
    whitening: np.ndarray

    def score(self, features: np.ndarray) -> np.ndarray:
        """Return minus the squared distance (N,) from the nearest class."""
        from scipy.spatial.distance import cdist

        distances = cdist(features @ self.whitening, self.means @ self.whitening, "sqeuclidean")
        nearest: np.ndarray = -distances.min(1)
        return nearest


def fit_gaussians(features: np.ndarray, target: np.ndarray) -> ClassGaussians:
    """Return the distributions of features (N, D) of the classes (N,) that occur."""
    from scipy.linalg import cholesky, solve_triangular
    from sklearn.covariance import ledoit_wolf

    classes, class_index = np.unique(target, return_inverse=True)
    means = np.stack([features[class_index == index].mean(0) for index in range(len(classes))])
    # The covariance is shrunk, because there can be more features than rows.
    covariance, _ = ledoit_wolf(features - means[class_index], assume_centered=True)
    # A feature that never varies gets a small variance: any other value of it is far away.
    covariance[np.diag_indices_from(covariance)] += 1e-9 * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    lower = cholesky(covariance, lower=True)
    return ClassGaussians(means, solve_triangular(lower, np.eye(len(lower)), lower=True).T)


def last_linear(trained: TrainedRun, inputs: Mapping[str, torch.Tensor]) -> nn.Module | None:
    """Return the layer that computes the output from features: the last Linear that a forward pass calls with values
    (N, …) for N rows. None if there is none."""
    import torch
    from torch import nn

    called: list[nn.Module] = []
    batch = [inputs[name][:2] for name in trained.fields]

    def record(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
        if len(arguments[0]) == len(batch[0]):
            called.append(layer)

    linear = [module for module in trained.scorer.modules() if isinstance(module, nn.Linear)]
    hooks = [module.register_forward_pre_hook(record) for module in linear]
    try:
        with torch.no_grad():
            trained.scorer(*batch)
    finally:
        for hook in hooks:
            hook.remove()
    return called[-1] if called else None


def features(trained: TrainedRun, layer: nn.Module, inputs: Mapping[str, torch.Tensor]) -> np.ndarray:
    """Return the input (N, D) of a layer for rows given by field; means over the other axes, such as words.

    Of a layer that is called several times, as in a repeated network with shared weights, it is the last input.
    """
    import torch

    parts: list[torch.Tensor] = []
    received: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda module, arguments: received.append(arguments[0].detach()))
    try:
        with torch.no_grad():
            for start in range(0, len(next(iter(inputs.values()))), BATCH):
                received.clear()
                trained.scorer(*[inputs[name][start : start + BATCH] for name in trained.fields])
                values = received[-1]
                parts.append(values if values.dim() == 2 else values.flatten(1, -2).mean(1))
    finally:
        hook.remove()
    joined: np.ndarray = torch.cat(parts).double().numpy()
    return joined
