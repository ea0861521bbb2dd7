"""The base class of calibrators, which map logits so that probabilities become those of the validation rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import ClassVar

from netloom.calibration.units import Units
from netloom.core.registry import discover
from netloom.runs.prediction.applied_calibration import Scaling


class Calibrator(ABC):
    """A method of calibration. Every subclass in `calibrators/` registers itself."""

    name: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    order: ClassVar[int]

    @abstractmethod
    def fit(self, units: Units) -> Scaling:
        """Return the map that was fitted on units of validation rows."""


@cache
def calibrators() -> dict[str, Calibrator]:
    """Return all calibrators by name."""
    kinds = discover(Calibrator, "netloom.calibration.calibrators", order=lambda kind: kind.order)
    return {name: kind() for name, kind in kinds.items()}
