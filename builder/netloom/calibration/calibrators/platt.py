"""Platt scaling: a logistic regression on the logit of each label; for several classes, vector scaling.

Platt 1999; vector scaling is that of Guo et al. 2017, https://arxiv.org/abs/1706.04599.
"""

from __future__ import annotations

import numpy as np

from netloom.calibration.scaling import Calibrator
from netloom.calibration.units import Units
from netloom.runs.prediction.applied_calibration import Scaling

# Numbers are drawn from a normal distribution with a standard deviation of 1 around "no change": without this, a class
# or label that never or always occurs among the validation rows would get infinite numbers, and many classes with few
# rows would be fitted to chance.
PENALTY = 1.0


class Platt(Calibrator):
    name = "platt"
    title = "Platt scaling"
    help = (
        "Scales and shifts the logits of each class or label. It can correct classes that are predicted too often, and "
        "needs more rows than a temperature."
    )
    order = 20

    def fit(self, units: Units) -> Scaling:
        from scipy.optimize import minimize

        count = units.logits.shape[1]
        logits, truth = units.scalable_logits, units.truth
        start = np.concatenate([np.ones(count), np.zeros(count)])

        def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
            scaled = logits * values[:count] + values[count:]
            cost, slope = units.loss_and_gradient(scaled, truth)
            change = values - start
            gradient = np.concatenate([(slope * logits).sum(0), slope.sum(0)]) + PENALTY * change
            return (cost + PENALTY / 2 * float(change @ change)) / len(units), gradient / len(units)

        values = minimize(loss, start, jac=True, method="L-BFGS-B").x
        return Scaling(self.name, scale=tuple(values[:count].tolist()), shift=tuple(values[count:].tolist()))
