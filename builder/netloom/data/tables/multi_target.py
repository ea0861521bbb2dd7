"""Several targets side by side, of which each is a class or a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from netloom.data.raw_dataset import Raw


def fit_several(raw: Raw, rows: np.ndarray) -> dict[str, Any]:
    """What each of the targets is, and how its numbers are scaled: by the rows of the training split alone."""
    parts: list[dict[str, Any]] = []
    for place, spec in enumerate(raw.target_parts):
        if spec.kind == "class":
            parts.append({"kind": "class", "name": spec.name, "classes": list(spec.classes)})
            continue
        known = raw.target[rows, place].astype(np.float64)
        std = float(known.std())
        parts.append({"kind": "number", "name": spec.name, "mean": [float(known.mean())], "std": [std or 1.0]})
    return {"kind": "several", "name": raw.target_name, "parts": parts}


def encode_several(values: np.ndarray, fitted: dict[str, Any]) -> np.ndarray:
    """Rows of targets (N, targets) as float32: the number of a class, or a number in standard deviations."""
    found = values.astype(np.float64)
    for place, part in enumerate(fitted["parts"]):
        if part["kind"] == "number":
            found[:, place] = (found[:, place] - part["mean"][0]) / part["std"][0]
    return found.astype(np.float32)


def told_several(row: list[float], fitted: dict[str, Any]) -> str:
    """A row of encoded targets in words."""
    return ", ".join(
        f"{part['name']}: {part['classes'][int(value)]}"
        if part["kind"] == "class"
        else f"{part['name']}: {value * part['std'][0] + part['mean'][0]:.4g}"
        for value, part in zip(row, fitted["parts"], strict=True)
    )
