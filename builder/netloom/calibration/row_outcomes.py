"""How confident a network is of each row, and how wrong it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netloom.data.preparation.calibrated import calibrated_logits, row_confidence, row_mean

if TYPE_CHECKING:
    import numpy as np

    from netloom.training.objectives.calibrated_part import CalibratedPart


@dataclass(frozen=True)
class RowOutcomes:
    """The confidence (N,) of each row from 0 to 1, and its loss (N,): the share of its labels, words or pixels that are
    predicted wrong, and 0 or 1 for a single class."""

    confidence: np.ndarray
    loss: np.ndarray


def row_outcomes(part: CalibratedPart, calibration: Mapping[str, Any], limits: list[float]) -> RowOutcomes:
    """Return the outcomes of an output with a calibration as plain JSON, and the decision thresholds of labels."""
    import torch

    logits = calibrated_logits(calibration, part.output)
    words = part.target >= 0 if part.unit == "word" else None
    confidence = row_confidence(calibration, logits, limits, words)
    values = logits.movedim(part.axis, -1)
    if part.has_one_class:
        wrong = values.argmax(-1) != part.target
    else:
        shares = values.sigmoid()
        wrong = (shares > torch.tensor(limits, dtype=shares.dtype)) != (part.target > 0.5)
    return RowOutcomes(confidence.double().numpy(), row_mean(wrong.double(), words).numpy())
