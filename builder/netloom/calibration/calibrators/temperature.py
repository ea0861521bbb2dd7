"""Temperature scaling: all logits are divided by one number.

Guo et al. 2017, https://arxiv.org/abs/1706.04599.
"""

from __future__ import annotations

import math

from netloom.calibration.scaling import Calibrator
from netloom.calibration.units import Units
from netloom.runs.prediction.applied_calibration import Scaling

# Of the logarithm of the temperature; a network without normalization can have logits of some thousands.
LIMITS = (math.log(1e-4), math.log(1e4))
# The logarithm of the temperature has a normal prior with a standard deviation of 1 around "no change". Without it, few
# validation rows without a mistake would make all probabilities 0 and 1.
PENALTY = 1.0


class Temperature(Calibrator):
    name = "temperature"
    title = "Temperature scaling"
    help = "Divides all logits by one number, which keeps the most likely class. A few hundred rows are enough."
    order = 10

    def fit(self, units: Units) -> Scaling:
        from scipy.optimize import minimize_scalar

        result = minimize_scalar(lambda log: _loss(units, math.exp(-log)), bounds=LIMITS, method="bounded")
        return Scaling(self.name, scale=(math.exp(-float(result.x)),))


def _loss(units: Units, scale: float) -> float:
    """Return the negative log-likelihood of scaled logits, plus the penalty of the temperature."""
    return float(units.losses(units.logits * scale).sum()) + PENALTY / 2 * math.log(scale) ** 2
