"""The report of a calibration: what was measured before and after, and what can be applied."""

from __future__ import annotations

from dataclasses import dataclass, field

from netloom.calibration.conformal import IntervalCoverage, SetCoverage
from netloom.calibration.ensembles import EnsembleReport
from netloom.calibration.measures import Measured
from netloom.calibration.out_of_distribution import ScoreReport
from netloom.calibration.selective import RiskCoverage, Selected
from netloom.runs.prediction.applied_calibration import AppliedCalibration


@dataclass(frozen=True)
class ObjectDecision:
    """The threshold from which objects are predicted, with the best F1 on the validation rows, and what it gives on the
    test rows.

    Args:
        score: The threshold of scores of the network, and `confidence` that of calibrated ones, for the same objects.
        metrics: F1, precision and recall of the objects above it, and the average precision over all thresholds, which
            no calibration changes.
    """

    score: float
    confidence: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class PartReport:
    """The calibration of one output, measured on test rows.

    Args:
        name: The name of the target, "" if there is one.
        unit: What one probability is for.
        fitted: The number of validation rows on which the calibration map was fitted, and `chosen` that of those
            on which thresholds were chosen; 0 without a map or thresholds.
        before: The measures of the network, and `after` those of calibrated probabilities; None for numbers.
        log_loss_change: The 95% confidence interval of the change of the log loss; None if it is unknown.
        risk_coverage: The curve of the test rows, by calibrated confidence.
        selected: The coverage and the risk of abstention on the test rows, by low confidence or unfamiliar inputs.
        missed: Why something that was asked for is missing, in sentences.
        decision: From which score objects are predicted; None for other predictions.
    """

    name: str
    unit: str
    fitted: int
    chosen: int
    tested: int
    before: Measured | None = None
    after: Measured | None = None
    log_loss_change: tuple[float, float] | None = None
    risk_coverage: RiskCoverage | None = None
    selected: Selected | None = None
    missed: tuple[str, ...] = ()
    sets: SetCoverage | None = None
    interval: IntervalCoverage | None = None
    decision: ObjectDecision | None = None


@dataclass(frozen=True)
class CalibrationReport:
    """The calibration of a run. `applied` is what `application.apply` makes part of its predictions;
    `verdict` describes what it changes on the test rows in sentences, and `warnings` what the figures depend on.
    `better` is true if the log loss is clearly lower, and `worse` if it is clearly higher."""

    run_id: str
    method: str
    verdict: str
    better: bool
    worse: bool
    parts: tuple[PartReport, ...]
    applied: AppliedCalibration
    scores: tuple[ScoreReport, ...] = ()
    ensembles: tuple[EnsembleReport, ...] = ()
    warnings: tuple[str, ...] = field(default_factory=tuple)
