"""The neighborhood of rows in a space of activations: projections to a plane, nearest rows, and labels of neighbors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Projection = Literal["pca", "tsne"]
PROJECTIONS: dict[Projection, str] = {"pca": "PCA", "tsne": "t-SNE"}
NEIGHBORS = 10
COMPONENTS = 50  # t-SNE starts from this many principal components, as its authors did
PERPLEXITY = 30.0


def project(
    activations: np.ndarray, projection: Projection, seed: int = 0
) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Project activations (N, F) to a plane, (N, 2); for PCA, also return the share of the variance along each axis.

    t-SNE: van der Maaten and Hinton 2008, https://jmlr.org/papers/v9/vandermaaten08a.html.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    rows, features = activations.shape
    if not np.ptp(activations, axis=0).any():  # the layer gives every row the same activations
        return np.zeros((rows, 2)), None
    components = PCA(min(2 if projection == "pca" else COMPONENTS, rows, features), random_state=seed)
    points = components.fit_transform(activations)
    if projection == "pca":
        shares = [*components.explained_variance_ratio_, 0.0]  # a layer can have a single activation
        return np.pad(points, ((0, 0), (0, 2 - points.shape[1]))), (float(shares[0]), float(shares[1]))
    method = TSNE(
        perplexity=min(PERPLEXITY, (rows - 1) / 3), init="pca" if features > 1 else "random", random_state=seed
    )
    return np.asarray(method.fit_transform(points), dtype=np.float64), None


def nearest_rows(activations: np.ndarray) -> np.ndarray:
    """Return the indices (N, k) of the `NEIGHBORS` nearest other rows by Euclidean distance, the nearest first."""
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBORS, len(activations) - 1)
    indices: np.ndarray = NearestNeighbors(n_neighbors=count).fit(activations).kneighbors(return_distance=False)
    return indices


def trustworthiness(activations: np.ndarray, points: np.ndarray) -> float:
    """Return how far neighbors in the plane are neighbors among the activations, from 0 to 1.

    Venna and Kaski 2001, https://doi.org/10.1007/3-540-44668-0_68.
    """
    from sklearn.manifold import trustworthiness as of_neighbors

    # It is defined for less than half of the rows.
    return float(of_neighbors(activations, points, n_neighbors=min(NEIGHBORS, (len(points) - 1) // 2)))


def vote_accuracy(neighbors: np.ndarray, labels: Sequence[str]) -> float:
    """Return the share of rows whose label is the most frequent one among their neighbors (N, k).

    Of labels that are equally frequent, the first in alphabetical order wins, as in scikit-learn.
    """
    names, numbers = np.unique(np.array(labels), return_inverse=True)
    votes = np.zeros((len(numbers), len(names)), dtype=np.int64)
    np.add.at(votes, (np.arange(len(numbers))[:, None], numbers[neighbors]), 1)
    return float((votes.argmax(1) == numbers).mean())


def mean_r2(neighbors: np.ndarray, values: np.ndarray) -> float:
    """Return the coefficient of determination (R²) of the mean of the neighbors (N, k) as a prediction of values (N,).

    NaN if all values are equal.
    """
    if not np.ptp(values):
        return float("nan")
    total = float(np.square(values - values.mean()).sum())
    return 1 - float(np.square(values - values[neighbors].mean(1)).sum()) / total
