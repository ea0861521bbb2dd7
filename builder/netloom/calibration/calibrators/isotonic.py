"""Isotonic regression: an increasing step curve for the probability of each class or label.

Zadrozny and Elkan 2002, https://doi.org/10.1145/775047.775151. For several classes, each is calibrated against the
others, and the probabilities are divided by their sum.
"""

from __future__ import annotations

import numpy as np

from netloom.calibration.brier import one_hot
from netloom.calibration.scaling import Calibrator
from netloom.calibration.units import Units
from netloom.runs.prediction.applied_calibration import Curve, Scaling


class Isotonic(Calibrator):
    name = "isotonic"
    title = "Isotonic regression"
    help = (
        "Fits an increasing curve to the probability of each class. It is the most flexible method, and needs about a "
        "thousand validation rows."
    )
    order = 30

    def fit(self, units: Units) -> Scaling:
        shares = units.shares()
        truth = one_hot(shares, units.target)
        # That something never occurs cannot be known from a number of rows, so that no probability is 0 or 1. The sum
        # of these least probabilities over all classes is that of one more row.
        least = 1 / (shares.shape[1] * (len(units) + 2))
        curves = [
            _curve(shares[:, class_index], truth[:, class_index], least) for class_index in range(shares.shape[1])
        ]
        return Scaling(self.name, curves=tuple(curves))


def _curve(share: np.ndarray, truth: np.ndarray, least: float) -> Curve:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(share, truth)
    y = fitted.y_thresholds_.clip(least, 1 - least)
    return Curve(tuple(fitted.X_thresholds_.tolist()), tuple(y.tolist()))
