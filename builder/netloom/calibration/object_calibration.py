"""The calibration of the scores of objects: the confidence of an object is the probability that it is a true positive.

Küppers et al. 2020, https://arxiv.org/abs/2004.13546: the expected calibration error of detected objects (D-ECE)
compares their confidence with their precision. One map for the objects of all classes keeps their order, so that
neither the average precision nor the objects above a threshold change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from netloom.calibration.measures import log_loss_change, measured
from netloom.calibration.report import ObjectDecision, PartReport
from netloom.calibration.units import units_of
from netloom.core.errors import UsageError
from netloom.data.preparation.calibrated import object_confidences
from netloom.tasks.chosen_thresholds import threshold_of

if TYPE_CHECKING:
    import torch

    from netloom.calibration.part_calibration import SplitRows
    from netloom.calibration.settings import CalibrationSettings
    from netloom.runs import TrainedRun
    from netloom.runs.prediction.applied_calibration import PartCalibration
    from netloom.tasks import Task
    from netloom.training.objectives.calibrated_part import CalibratedPart


def refuse_row_confidence(task: Task, settings: CalibrationSettings) -> None:
    """Check that nothing is asked for that needs a confidence of a row as a whole.

    Raises:
        UsageError: it is.
    """
    asked = {
        "abstention": settings.abstain_risk is not None or settings.abstain_coverage is not None,
        "prediction sets": settings.conformal is not None,
        "scores of unfamiliar inputs": settings.measures_ood,
        "Monte Carlo dropout": bool(settings.dropout_passes),
        "an ensemble": bool(settings.ensemble),
    }
    names = [name for name, is_asked in asked.items() if is_asked]
    if names and not task.has_row_confidence:
        raise UsageError(
            f"The task {task.title} has a confidence for each {task.confidence_unit}, and none for a row as a whole, "
            f"which is needed for: {', '.join(names)}. Leave this out."
        )


def calibrate_objects(
    calibration: PartCalibration, test: CalibratedPart, rows: SplitRows, settings: CalibrationSettings
) -> PartReport:
    """Return the report of the scores of objects, and of their calibration if there is a map.

    Raises:
        UsageError: no test row has an object to measure, or the map reverses the order of the objects.
    """
    scaling = calibration.scaling
    if scaling is not None and not scaling.curves and min(scaling.scale) <= 0:
        raise UsageError(
            "In the validation rows, objects with higher scores are right less often, so that a calibration would "
            'reverse their order. Train the network longer, or choose the method "isotonic" or "none".'
        )
    units = units_of(test)
    if not len(units):
        raise UsageError("The network predicts no object in the test rows, so there is nothing to measure.")
    fitted = len(rows.fitted) if scaling else 0
    before = measured(units, rows.blocks, None, settings.bins, independent=rows.independent)
    report = PartReport(test.name, test.unit, fitted, 0, len(test.output), before=before)
    if scaling is None:
        return report
    plain = asdict(scaling)
    after = measured(units, rows.blocks, plain, settings.bins, independent=rows.independent)
    return replace(report, after=after, log_loss_change=log_loss_change(units, rows.blocks, plain))


def extrapolation(task: Task, decision: ObjectDecision) -> tuple[str, ...]:
    """Return a sentence if objects are predicted that are not among those that are calibrated."""
    if decision.score >= task.calibrated_from:
        return ()
    return (
        f"Objects are predicted from a score of {decision.score:.1%}, but calibrated from {task.calibrated_from:.1%}; "
        "the confidence of those between is extrapolated.",
    )


def object_decision(
    trained: TrainedRun,
    calibration: PartCalibration,
    output: torch.Tensor,
    rows: torch.Tensor,
    thresholds: Mapping[str, float],
) -> ObjectDecision:
    """Return the threshold of objects and its metrics, from the outputs for the test rows."""
    import torch

    metrics_of = trained.objective.metrics_of_parts(output, trained.data, rows, "test", thresholds)
    score = threshold_of(thresholds)
    logit = torch.tensor(score, dtype=torch.float64).logit()
    metrics = dict(metrics_of(np.arange(len(rows))))
    shown = {name: metrics[name] for name in trained.objective.task.metrics if name in metrics and name != "loss"}
    return ObjectDecision(score, float(object_confidences(calibration.as_json(), logit)), shown)
