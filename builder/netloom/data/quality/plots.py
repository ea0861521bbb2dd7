"""Plots that several checks draw."""

from __future__ import annotations

import numpy as np

from netloom.data.quality.finding import Plot


def outlier_histogram(usual: np.ndarray, outliers: np.ndarray, axis: str) -> Plot:
    """Return a histogram of all values, with the outliers as a series of their own."""
    counts, edges = np.histogram(np.concatenate([usual, outliers]), bins=40)
    outlier_counts = np.histogram(outliers, bins=edges)[0]
    series = {"usual": (counts - outlier_counts).tolist()}
    if len(outliers):
        series["outliers"] = outlier_counts.tolist()
    return Plot("histogram", series=series, edges=tuple(edges.tolist()), axis=axis)
