"""The calibration of one output: fitted on validation rows, measured on test rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.calibration import conformal
from netloom.calibration.measures import log_loss_change, measured
from netloom.calibration.report import PartReport
from netloom.calibration.row_outcomes import row_outcomes
from netloom.calibration.scaling import calibrators
from netloom.calibration.selective import choose_threshold, risk_coverage, selected
from netloom.calibration.settings import NONE, CalibrationSettings
from netloom.calibration.units import units_of
from netloom.core.errors import UsageError
from netloom.data.preparation.calibrated import calibrated_logits, class_shares, known_score
from netloom.runs.prediction.applied_calibration import PartCalibration

if TYPE_CHECKING:
    from netloom.training.objectives.calibrated_part import CalibratedPart

MIN_ROWS = 20


@dataclass(frozen=True)
class SplitRows:
    """The rows of a calibration, as indices of the validation rows: those that fit the calibration map (`fitted`),
    those on which thresholds are chosen (`chosen`), and blocks of independent test rows (`blocks`), for intervals.
    `independent` says whether test rows do not depend on each other."""

    fitted: np.ndarray
    chosen: np.ndarray
    blocks: list[np.ndarray]
    independent: bool


def split_validation(blocks: list[np.ndarray], settings: CalibrationSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return the validation rows that fit the calibration map, and those on which thresholds are chosen.

    They are the same, unless both are asked for: a threshold that is chosen on the rows of the fit promises too much,
    so that the blocks of rows are divided between them.

    Raises:
        UsageError: both are asked for, but there is only one block, such as one group.
    """
    rows = np.sort(np.concatenate(blocks))
    if settings.method == NONE or not settings.chooses_thresholds:
        return rows, rows
    if len(blocks) < 2:
        raise UsageError(
            "The calibration map and the thresholds are chosen on different validation rows, but there is only "
            f'one independent block of them, such as one group; choose the method "{NONE}", or give the data a larger '
            "validation part."
        )
    return np.sort(np.concatenate(blocks[::2])), np.sort(np.concatenate(blocks[1::2]))


def fit_scaling(part: CalibratedPart, rows: SplitRows, settings: CalibrationSettings) -> PartCalibration:
    """Return the calibration of an output with the map of its probabilities only.

    Raises:
        UsageError: there are too few validation rows.
    """
    calibration = PartCalibration(part.family, part.unit, part.axis)
    if not part.has_probabilities or settings.method == NONE:
        return calibration
    if len(rows.fitted) < MIN_ROWS:
        purpose = " besides those on which thresholds are chosen" if settings.chooses_thresholds else ""
        raise UsageError(
            f"A calibration map needs at least {MIN_ROWS} validation rows{purpose}, but there are "
            f'{len(rows.fitted)}; give the data a larger validation part, or choose the method "{NONE}".'
        )
    units = units_of(part).of_rows(rows.fitted)
    if len(units) < MIN_ROWS:  # objects can be fewer than rows
        raise UsageError(
            f"A calibration map needs at least {MIN_ROWS} predicted {part.unit}s in the validation rows, but there are "
            f'{len(units)}; train the network longer, or choose the method "{NONE}".'
        )
    return replace(calibration, scaling=calibrators()[settings.method].fit(units))


def calibrate_probabilities(
    calibration: PartCalibration,
    validation: CalibratedPart,
    test: CalibratedPart,
    rows: SplitRows,
    limits: list[float],
    settings: CalibrationSettings,
) -> tuple[PartCalibration, PartReport]:
    """Return the calibration of classes or labels with its thresholds, and its report. `limits` are the decision
    thresholds of labels.

    Raises:
        UsageError: conformal prediction does not fit the output, or has too few rows.
    """
    units = units_of(test)
    fitted = len(rows.fitted) if calibration.scaling else 0
    chosen_on = len(rows.chosen) if settings.chooses_thresholds else 0
    report = PartReport(test.name, test.unit, fitted, chosen_on, len(test.output))
    before = measured(units, rows.blocks, None, settings.bins, independent=rows.independent)
    report = replace(report, before=before)
    if calibration.scaling:
        scaling = asdict(calibration.scaling)
        after = measured(units, rows.blocks, scaling, settings.bins, independent=rows.independent)
        report = replace(report, after=after, log_loss_change=log_loss_change(units, rows.blocks, scaling))
    outcomes = row_outcomes(test, calibration.as_json(), limits)
    report = replace(report, risk_coverage=risk_coverage(outcomes.confidence, outcomes.loss))
    target, value = _abstention_target(settings)
    if value is not None:
        known = row_outcomes(validation, calibration.as_json(), limits)
        chosen = choose_threshold(known.confidence[rows.chosen], known.loss[rows.chosen], target, value)
        if chosen is None:
            sentence = f"No threshold keeps the risk of the validation rows at or below {value:.1%}."
            report = replace(report, missed=(*report.missed, sentence))
        else:
            calibration = replace(calibration, abstention=chosen)
    if calibration.abstention or calibration.out_of_distribution:
        answered = _answered(calibration, test, outcomes.confidence)
        report = replace(report, selected=selected(answered, outcomes.loss, independent=rows.independent))
    if settings.conformal is not None:
        calibration, report = _with_sets(calibration, report, validation, test, rows, settings)
    return calibration, report


def _answered(calibration: PartCalibration, test: CalibratedPart, confidence: np.ndarray) -> np.ndarray:
    """Return which test rows (N,) a prediction answers, as `with_confidence` in `data.preparation.calibrated`."""
    answered = np.ones(len(confidence), dtype=bool)
    if calibration.abstention:
        answered &= confidence >= calibration.abstention.threshold
    if strange := calibration.out_of_distribution:
        scores = known_score(strange.kind, calibration.as_json(), test.output)
        answered &= scores.double().numpy() >= strange.threshold
    return answered


def _abstention_target(settings: CalibrationSettings) -> tuple[Any, float | None]:
    if settings.abstain_risk is not None:
        return "risk", settings.abstain_risk
    return "coverage", settings.abstain_coverage


def _with_sets(
    calibration: PartCalibration,
    report: PartReport,
    validation: CalibratedPart,
    test: CalibratedPart,
    rows: SplitRows,
    settings: CalibrationSettings,
) -> tuple[PartCalibration, PartReport]:
    if test.unit != "row" or settings.conformal is None:
        sentence = (
            f"Prediction sets need one class for each row, but this output has a class for each {test.unit}, and the "
            f"{test.unit}s of a row depend on each other."
        )
        return calibration, replace(report, missed=(*report.missed, sentence))
    shares, truth = _shares(calibration, validation)
    chosen = conformal.fit_set(shares[rows.chosen], truth[rows.chosen], settings.sets, settings.conformal)
    test_shares, test_truth = _shares(calibration, test)
    coverage = conformal.set_coverage(chosen, test_shares, test_truth, test.classes, independent=rows.independent)
    return replace(calibration, conformal=chosen), replace(report, sets=coverage)


def _shares(calibration: PartCalibration, part: CalibratedPart) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities (N, classes) as predictions have them, and the true classes (N,)."""
    values = calibration.as_json()
    shares = class_shares(values, calibrated_logits(values, part.output)).numpy()
    return shares, part.target.reshape(len(shares)).long().numpy()


def calibrate_numbers(
    calibration: PartCalibration,
    validation: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    rows: SplitRows,
    settings: CalibrationSettings,
    name: str,
    *,
    is_quantile: bool,
) -> tuple[PartCalibration, PartReport]:
    """Return the calibration of numbers with intervals, and its report, from predicted and true numbers (N, k) in the
    units of the data. A prediction of a quantile is not in the middle, so its intervals are not symmetric.

    Raises:
        UsageError: there are too few validation rows.
    """
    report = PartReport(name, "row", 0, 0 if settings.conformal is None else len(rows.chosen), len(test[0]))
    if settings.conformal is None:
        return calibration, replace(
            report, missed=("Numbers have no probabilities; choose conformal intervals for them.",)
        )
    predicted, true = (values[rows.chosen] for values in validation)
    interval = conformal.fit_interval(predicted, true, "signed" if is_quantile else "absolute", settings.conformal)
    coverage = conformal.interval_coverage(interval, *test, independent=rows.independent)
    return replace(calibration, interval=interval), replace(report, interval=coverage)
