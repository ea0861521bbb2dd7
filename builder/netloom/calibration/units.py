"""The units that have a probability: rows, labels, words, pixels or objects, as arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from netloom.data.preparation.calibrated import calibrated_logits

if TYPE_CHECKING:
    import torch

    from netloom.training.objectives.calibrated_part import CalibratedPart, Family

# Pixels of many images are more than a calibration needs: its few parameters are known from fewer.
MAX_UNITS = 200_000


@dataclass(frozen=True)
class Units(ABC):
    """Logits and targets of M units with C classes or labels. A subclass defines how logits become probabilities.

    Args:
        logits: (M, C).
        target: Class numbers (M,) for a softmax; 0 or 1 (M, C) for sigmoids.
        row: (M,), the index of the row of each unit.
    """

    family: ClassVar[Family]

    logits: np.ndarray
    target: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def of_rows(self, rows: np.ndarray) -> Self:
        """Return the units of rows by index."""
        inside = np.zeros(int(self.row.max(initial=-1)) + 1, bool)
        inside[rows[rows < len(inside)]] = True
        return self.at(inside[self.row])

    def at(self, selection: np.ndarray) -> Self:
        """Return some of the units."""
        return type(self)(self.logits[selection], self.target[selection], self.row[selection])

    def shares(self, scaling: dict[str, Any] | None = None) -> np.ndarray:
        """Return probabilities (M, C), calibrated by a `Scaling` as plain JSON."""
        import torch

        calibration = {"family": self.family, "axis": -1, "scaling": scaling}
        values: np.ndarray = self.activation(calibrated_logits(calibration, torch.from_numpy(self.logits))).numpy()
        return values

    @property
    @abstractmethod
    def truth(self) -> np.ndarray:
        """Whether each class or label is true, (M, C)."""

    @property
    @abstractmethod
    def scalable_logits(self) -> np.ndarray:
        """The logits (M, C) that a calibration scales and shifts, as `calibrated_logits`."""

    @abstractmethod
    def activation(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of logits, (M, C)."""

    @abstractmethod
    def losses(self, logits: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihoods with other logits (M, C): (M,), or (M, C) for labels."""

    @abstractmethod
    def loss_and_gradient(self, logits: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the sum of the negative log-likelihoods with other logits (M, C), and its gradient (M, C)."""


class ClassUnits(Units):
    """Units with one of C classes each: a softmax."""

    family = "softmax"

    @property
    def truth(self) -> np.ndarray:
        truth: np.ndarray = np.arange(self.logits.shape[1]) == self.target[:, None]
        return truth

    @property
    def scalable_logits(self) -> np.ndarray:
        from scipy.special import log_softmax

        logits: np.ndarray = log_softmax(self.logits, axis=1)
        return logits

    def activation(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.softmax(-1)

    def losses(self, logits: np.ndarray) -> np.ndarray:
        from scipy.special import logsumexp

        losses: np.ndarray = logsumexp(logits, axis=1) - logits[np.arange(len(logits)), self.target]
        return losses

    def loss_and_gradient(self, logits: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
        from scipy.special import log_softmax

        logs = log_softmax(logits, axis=1)
        return float(-(logs * truth).sum()), np.exp(logs) - truth


class LabelUnits(Units):
    """Units with any of C labels each: sigmoids."""

    family = "sigmoid"

    @property
    def truth(self) -> np.ndarray:
        return self.target

    @property
    def scalable_logits(self) -> np.ndarray:
        return self.logits

    def activation(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.sigmoid()

    def losses(self, logits: np.ndarray) -> np.ndarray:
        losses: np.ndarray = np.logaddexp(0, logits) - self.target * logits  # log(1 + exp(z)) − y z, without overflow
        return losses

    def loss_and_gradient(self, logits: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
        from scipy.special import expit

        return float((np.logaddexp(0, logits) - truth * logits).sum()), expit(logits) - truth


def units_of(part: CalibratedPart) -> Units:
    """Return the units of an output, without those that have no target; an even random choice if there are very many.

    Raises:
        ValueError: the output is not probabilities.
    """
    if not part.has_probabilities:
        raise ValueError("Numbers have no probabilities.")
    logits = part.output.movedim(part.axis, -1)
    rows = np.arange(len(logits)).reshape(-1, *[1] * (logits.dim() - 2))
    row = np.broadcast_to(rows, logits.shape[:-1]).reshape(-1)
    flat = logits.reshape(len(row), -1).double().numpy()
    target = part.target.numpy()
    if not part.has_one_class:
        target = target.reshape(len(row), -1).astype(np.int64)
        known = (target >= 0).all(1)
        return _thinned(LabelUnits(flat[known], target[known], row[known]))
    target = target.reshape(-1)
    known = target >= 0
    return _thinned(ClassUnits(flat[known], target[known], row[known]))


def _thinned(units: Units) -> Units:
    if len(units) <= MAX_UNITS:
        return units
    chosen = np.sort(np.random.default_rng(0).choice(len(units), MAX_UNITS, replace=False))
    return units.at(chosen)
