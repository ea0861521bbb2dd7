"""The colors of attributions: orange for features that increase the score, blue for those that decrease it.

Both are from the palette of Okabe and Ito, which is safe for color blindness, and are legible on white and on black.
The middle of the scale is transparent.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FOR, AGAINST = "213, 94, 0", "0, 114, 178"


def rgb(color: str, opacity: float = 1.0) -> str:
    """Return a color for CSS and Plotly."""
    return f"rgb({color})" if opacity >= 1 else f"rgba({color}, {opacity:.3f})"


# From -bound to bound; transparent around 0, so that the image beneath remains visible.
DIVERGING: list[tuple[float, str]] = [
    (0.0, rgb(AGAINST)),
    (0.25, rgb(AGAINST, 0.55)),
    (0.5, "rgba(150, 150, 160, 0.0)"),
    (0.75, rgb(FOR, 0.55)),
    (1.0, rgb(FOR)),
]


def bound(values: Any) -> float:
    """Return the limit of a scale centered on zero: the largest magnitude, or 1 if all values are 0."""
    magnitudes = np.abs(np.asarray(values, dtype=np.float64))
    return float(magnitudes.max(initial=0.0)) or 1.0
