"""Calibrate a run: fit on its validation rows, and measure on its test rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.calibration.ensembles import EnsembleReport, check_members, dropout_outputs, ensemble_report
from netloom.calibration.object_calibration import (
    calibrate_objects,
    extrapolation,
    object_decision,
    refuse_row_confidence,
)
from netloom.calibration.ood_report import ood_scores
from netloom.calibration.out_of_distribution import ScoreReport
from netloom.calibration.part_calibration import (
    SplitRows,
    calibrate_numbers,
    calibrate_probabilities,
    fit_scaling,
    split_validation,
)
from netloom.calibration.report import CalibrationReport, PartReport
from netloom.calibration.settings import NONE, CalibrationSettings
from netloom.calibration.units import units_of
from netloom.calibration.verdict import is_better, is_worse, verdict, warnings
from netloom.core.errors import UsageError
from netloom.runs.prediction.applied_calibration import VERSION, AppliedCalibration, OutOfDistribution, PartCalibration
from netloom.training.streaming import evaluation_rows, take
from netloom.training.uncertainty import blocks_of

if TYPE_CHECKING:
    import numpy as np
    import torch

    from netloom.data import Prepared
    from netloom.runs import TrainedRun
    from netloom.training.objectives.calibrated_part import CalibratedPart

Progress = Callable[[float], None]


@dataclass(frozen=True)
class _Outputs:
    """The outputs of a network for the rows of a split, as one tensor and as calibrated parts."""

    rows: torch.Tensor
    output: torch.Tensor
    parts: Sequence[CalibratedPart]


def unavailable_reason(trained: TrainedRun) -> str:
    """Return why a run cannot be calibrated, as a sentence; "" if it can."""
    task = trained.objective.task
    if not task.confidence_unit:
        return task.not_calibrated or f"The task {task.title} has no probabilities or numbers to calibrate."
    for split in ("validation", "test"):
        if not len(trained.data.split[split]):
            return f"Calibration needs {split} rows, but the data of this run has none."
    return ""


def calibrate(
    trained: TrainedRun,
    settings: CalibrationSettings,
    *,
    weights: str = "",
    ensemble_members: Sequence[TrainedRun] = (),
    home: Path | None = None,
    progress: Progress = lambda share: None,
) -> CalibrationReport:
    """Fit a calibration on the validation rows, and return its report on the test rows. Nothing is saved.

    Args:
        trained: The run.
        settings: The method, and what is chosen and measured.
        weights: The checksum of its weights, to which the calibration belongs.
        ensemble_members: The runs of `settings.ensemble`.
        home: The data folder of another dataset.
        progress: A function that is called with the completed share.

    Raises:
        UsageError: the run cannot be calibrated, its outputs are not finite, or a setting does not fit it.
        DataError: the other dataset cannot be read.
    """
    _refuse_unfit(trained, settings)
    validation, test = (_outputs(trained, split) for split in ("validation", "test"))
    _check_finite([*validation.parts, *test.parts])
    if not any(part.has_probabilities for part in test.parts):
        settings = replace(settings, method=NONE)
    rows = _split_rows(trained.data, validation.rows, test.rows, settings)
    progress(0.1)
    parts = {part.name: fit_scaling(part, rows, settings) for part in validation.parts}
    scores = ood_scores(trained, validation.parts, test.parts, settings, home) if settings.measures_ood else ()
    parts = _with_score(parts, scores, settings)
    progress(0.2)
    thresholds = _decision_thresholds(trained, validation.output, validation.rows, parts)
    decoding = trained.objective.decoding(trained.data, thresholds)
    progress(0.3)
    reports: list[PartReport] = []
    for index, (known, unseen) in enumerate(zip(validation.parts, test.parts, strict=True)):
        part = parts[known.name]
        if unseen.has_row_confidence:
            parts[known.name], report = _calibrated(part, known, unseen, rows, decoding, settings, trained)
        else:
            report = _object_report(trained, part, unseen, test, rows, thresholds, settings)
        reports.append(report)
        progress(0.3 + 0.4 * (index + 1) / len(test.parts))
    ensembles = _ensembles(trained, test, settings, ensemble_members, progress)
    progress(1.0)
    return CalibrationReport(
        run_id=trained.run.id if trained.run else "",
        method=settings.method,
        verdict=verdict(reports, settings),
        better=is_better(reports),
        worse=is_worse(reports),
        parts=tuple(reports),
        applied=AppliedCalibration(VERSION, weights, parts, thresholds),
        scores=scores,
        ensembles=tuple(ensembles),
        warnings=tuple(warnings(trained, rows, settings)),
    )


def _refuse_unfit(trained: TrainedRun, settings: CalibrationSettings) -> None:
    """Check whether a run can be calibrated with these settings.

    Raises:
        UsageError: it cannot.
    """
    settings.check()
    if reason := unavailable_reason(trained):
        raise UsageError(reason)
    refuse_row_confidence(trained.objective.task, settings)


def _outputs(trained: TrainedRun, split: str) -> _Outputs:
    rows, output = evaluation_rows(trained.data, split), trained.output_of(split)
    return _Outputs(rows, output, trained.objective.calibrated_parts(output, trained.data, rows))


def _check_finite(parts: Sequence[CalibratedPart]) -> None:
    """Check outputs.

    Raises:
        UsageError: a number is NaN or infinite.
    """
    for part in parts:
        bad = int((~part.output.isfinite()).flatten(1).any(1).sum())
        if bad:
            raise UsageError(
                f"The outputs of the network are NaN or infinite for {bad:,} of {len(part.output):,} rows, so it "
                "cannot be calibrated. Train it again, for example with a lower learning rate."
            )


def _decision_thresholds(
    trained: TrainedRun, output: torch.Tensor, rows: torch.Tensor, parts: dict[str, PartCalibration]
) -> dict[str, float]:
    """Return the decision thresholds on calibrated probabilities, from the outputs for the validation rows."""
    objective = trained.objective
    if not objective.task.tunes_threshold:
        return {}
    calibrated = objective.calibrated_output(output, {name: part.as_json() for name, part in parts.items()})
    return dict(objective.calibrate(calibrated, trained.data, rows))


def _split_rows(
    data: Prepared, validation: torch.Tensor, test: torch.Tensor, settings: CalibrationSettings
) -> SplitRows:
    fitted, chosen = split_validation(blocks_of(data, validation.numpy()), settings)
    return SplitRows(fitted, chosen, blocks_of(data, test.numpy()), not data.raw.has_dependent_rows)


def _calibrated(
    calibration: PartCalibration,
    validation: CalibratedPart,
    test: CalibratedPart,
    rows: SplitRows,
    decoding: dict[str, Any],
    settings: CalibrationSettings,
    trained: TrainedRun,
) -> tuple[PartCalibration, PartReport]:
    if test.name:
        decoding = next(part for part in decoding["parts"] if part["name"] == test.name)
    if test.has_probabilities:
        limits = decoding.get("thresholds") or [decoding.get("threshold", 0.5)]
        return calibrate_probabilities(calibration, validation, test, rows, limits, settings)
    known, unseen = (_in_units(part, decoding) for part in (validation, test))
    is_quantile = trained.project.training.regression_loss == "quantile"
    calibration, report = calibrate_numbers(
        calibration, known, unseen, rows, settings, test.name, is_quantile=is_quantile
    )
    names = trained.data.schema.target.number_names
    if report.interval is not None and len(names) > 1:
        report = replace(report, interval=replace(report.interval, names=names))
    return calibration, report


def _object_report(
    trained: TrainedRun,
    calibration: PartCalibration,
    unseen: CalibratedPart,
    test: _Outputs,
    rows: SplitRows,
    thresholds: dict[str, float],
    settings: CalibrationSettings,
) -> PartReport:
    """Return the report on the objects that a network detects in the test rows."""
    decision = object_decision(trained, calibration, test.output, test.rows, thresholds)
    missed = extrapolation(trained.objective.task, decision) if calibration.scaling is not None else ()
    return replace(calibrate_objects(calibration, unseen, rows, settings), decision=decision, missed=missed)


def _in_units(part: CalibratedPart, decoding: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted and true numbers (N, k) in the units of the data, as `number_answers`."""
    import torch

    std, mean = (torch.tensor(decoding[name], dtype=torch.float64) for name in ("std", "mean"))
    predicted, true = (values.reshape(len(values), -1).double() * std + mean for values in (part.output, part.target))
    return predicted.numpy(), true.numpy()


def _with_score(
    parts: dict[str, PartCalibration], scores: Sequence[ScoreReport], settings: CalibrationSettings
) -> dict[str, PartCalibration]:
    """Return calibrations that abstain by the chosen score.

    Raises:
        UsageError: the score cannot be part of predictions.
    """
    if not settings.ood_score:
        return parts
    score = next((score for score in scores if score.name == settings.ood_score and score.applies), None)
    if score is None:
        raise UsageError(
            f"The score {settings.ood_score!r} is not available for this network: scores need one output with "
            "probabilities for rows, labels or pixels, and the energy needs logits of several classes."
        )
    chosen = OutOfDistribution(settings.ood_score, score.threshold)
    return {name: replace(part, out_of_distribution=chosen) for name, part in parts.items()}


def _ensembles(
    trained: TrainedRun,
    test: _Outputs,
    settings: CalibrationSettings,
    ensemble_members: Sequence[TrainedRun],
    progress: Progress,
) -> list[EnsembleReport]:
    """Return the reports of dropout and of other runs, for the first output with probabilities.

    Raises:
        UsageError: there is none, the network has no dropout, or a run does not fit.
    """
    if not settings.dropout_passes and not ensemble_members:
        return []
    part = next((part for part in test.parts if part.has_probabilities), None)
    if part is None:
        raise UsageError(
            "Dropout and ensembles are measured by probabilities, but the outputs of this run are numbers."
        )
    single = units_of(part)
    reports = []

    def shares(output: torch.Tensor) -> np.ndarray:
        members = trained.objective.calibrated_parts(output, trained.data, test.rows)
        return units_of(next(member for member in members if member.name == part.name)).shares()

    if settings.dropout_passes:
        inputs = take(trained.data, trained.fields, test.rows.numpy())
        passes = dropout_outputs(
            trained, inputs, settings.dropout_passes, settings.seed, lambda share: progress(0.7 + 0.2 * share)
        )
        each = [shares(output) for output in passes]
        reports.append(ensemble_report("dropout", single.shares(), each, single.target))
    if ensemble_members:
        check_members(trained, ensemble_members)
        each = [single.shares(), *(shares(member_run.output_of("test")) for member_run in ensemble_members)]
        reports.append(ensemble_report("runs", single.shares(), each, single.target))
    return reports
