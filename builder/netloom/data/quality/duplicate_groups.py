"""Groups of rows with equal contents."""

from __future__ import annotations

import numpy as np

from netloom.data.quality.quality_view import QualityView

# Duplicates are reported if there are more than this many times the pairs that chance alone would make.
CHANCE_FACTOR = 3.0


def duplicate_groups(view: QualityView) -> list[np.ndarray]:
    """Return the positions of rows with equal inputs, by group; none if chance explains their number."""
    counts = np.bincount(view.content_codes)
    pairs = float((counts * (counts - 1) / 2).sum())
    if not pairs or pairs <= CHANCE_FACTOR * view.expected_pairs:
        return []
    order = np.argsort(view.content_codes, kind="stable")
    groups = np.split(order, np.cumsum(counts)[:-1])
    return [group for group in groups if len(group) > 1]
