"""The Mahalanobis distance of features from those of the training rows of each class.

Lee et al. 2018, https://arxiv.org/abs/1807.03888.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
