"""The settings of a calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netloom.calibration.reliability import BINS
from netloom.core.errors import UsageError

NONE = "none"
MAX_PASSES = 200


@dataclass(frozen=True)
class CalibrationSettings:
    """The choices of a calibration.

    Args:
        method: The name of a calibrator, or "none".
        abstain_risk: Abstain so that the risk of the answered rows is at most this; None: not by risk.
        abstain_coverage: Abstain, but answer at least this share of rows; None: not by coverage.
        conformal: The error rate of prediction sets or intervals; None: without.
        sets: How prediction sets are built.
        measure_ood: Whether out-of-distribution scores are measured on corrupted test rows, and on the rows of the
            dataset `ood_dataset`, if there is one.
        ood_score: The score by which predictions abstain; "": by none.
        dropout_passes: Passes of Monte Carlo dropout; 0: without.
        ensemble: The ids of other runs of the same data. Their predictions are averaged with those of the run.
        bins: The bins of reliability diagrams.
        seed: The seed of dropout and corruptions.
    """

    method: str = "temperature"
    abstain_risk: float | None = None
    abstain_coverage: float | None = None
    conformal: float | None = None
    sets: Literal["lac", "aps"] = "lac"
    measure_ood: bool = False
    ood_dataset: str = ""
    ood_score: Literal["", "softmax", "energy"] = ""
    dropout_passes: int = 0
    ensemble: tuple[str, ...] = ()
    bins: int = BINS
    seed: int = 0

    @property
    def measures_ood(self) -> bool:
        return self.measure_ood or bool(self.ood_dataset or self.ood_score)

    @property
    def chooses_thresholds(self) -> bool:
        """Whether anything is chosen on validation rows besides the calibration map."""
        return not (self.abstain_risk is None and self.abstain_coverage is None and self.conformal is None)

    def check(self) -> None:
        """Check the values.

        Raises:
            UsageError: one is out of range, or two contradict each other.
        """
        from netloom.calibration.scaling import calibrators

        names = [*calibrators(), NONE]
        if self.method not in names:
            raise UsageError(f"There is no calibration method {self.method[:40]!r}; choose one of {', '.join(names)}.")
        if self.abstain_risk is not None and self.abstain_coverage is not None:
            raise UsageError(
                "A threshold is chosen for a risk or for a coverage, but not for both; leave one of them out."
            )
        for title, value in (
            ("risk", self.abstain_risk),
            ("coverage", self.abstain_coverage),
            ("error rate of conformal prediction", self.conformal),
        ):
            if value is not None and not 0 < value < 1:
                raise UsageError(f"The {title} must be between 0 and 1, but is {value:g}.")
        if not 0 <= self.dropout_passes <= MAX_PASSES or self.dropout_passes == 1:
            raise UsageError(
                f"Monte Carlo dropout takes 2 to {MAX_PASSES} passes, or 0 for none, received {self.dropout_passes}."
            )
        if not 2 <= self.bins <= 100:
            raise UsageError(f"A reliability diagram has 2 to 100 bins, received {self.bins}.")
