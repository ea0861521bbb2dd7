"""The verdict in words claims no more than the test rows show."""

from __future__ import annotations

import math

import numpy as np
import pytest

from netloom.calibration import CalibrationSettings, PartReport
from netloom.calibration.measures import log_loss, log_loss_change, measured
from netloom.calibration.units import Units
from netloom.calibration.verdict import is_better, is_worse, verdict
from tests.calibration.examples import trained
from tests.calibration.simulated import class_units, classes

SETTINGS = CalibrationSettings()


def scaling(factor: float) -> dict[str, object]:
    return {"method": "temperature", "scale": [factor], "shift": [0.0], "curves": []}


def report(units: Units, factor: float) -> PartReport:
    """The report of logits that are multiplied by a factor."""
    blocks = np.array_split(np.arange(len(units)), min(20, len(units)))
    before, after = (measured(units, blocks, map_, independent=True) for map_ in (None, scaling(factor)))
    change = log_loss_change(units, blocks, scaling(factor))
    return PartReport("", "row", 0, 0, len(units), before, after, change)


def units(rows: int, seed: int = 1, scale: float = 1.0) -> Units:
    logits, target = classes(rows, seed)
    return class_units(logits * scale, target)


@pytest.mark.parametrize(
    ("scale", "factor", "sentence", "better", "worse"),
    [
        (3.0, 1 / 3, "improves the probabilities.", True, False),
        (1.0, 3.0, "makes the probabilities worse, so it is not recommended.", False, True),
        (1.0, 1.05, "hardly changes the probabilities of this run.", False, False),
    ],
)
def test_log_loss_of_many_rows_decides(scale: float, factor: float, sentence: str, better: bool, worse: bool) -> None:
    part = report(units(2_000, scale=scale), factor)
    assert verdict([part], SETTINGS).endswith(sentence)
    assert is_better([part]) is better
    assert is_worse([part]) is worse


def test_few_rows_are_not_evidence() -> None:
    # True temperature 1.2, which 40 rows cannot show
    part = report(units(40, seed=3, scale=1.2), 1 / 1.2)
    assert part.before is not None
    assert part.after is not None
    assert part.after.measures["log_loss"] < 0.99 * part.before.measures["log_loss"]
    assert verdict([part], SETTINGS).endswith("too few to show whether calibration changes the log loss.")
    assert not is_better([part])
    assert not is_worse([report(units(40, seed=3, scale=1.2), 1.2)])
    assert report(units(9, scale=3.0), 1 / 3).log_loss_change is None
    assert not is_better([report(units(9, scale=3.0), 1 / 3)])


def test_rising_ece_is_not_called_an_improvement_without_a_caution() -> None:
    # 75% of each are class 0: 300 rows with far too sure probabilities, and 1,200 with the true ones.
    sure = np.array([[8.0, 0.0]] * 300 + [[math.log(3), 0.0]] * 1_200)
    target = np.array(([0] * 225 + [1] * 75) + ([0] * 900 + [1] * 300))
    order = np.random.default_rng(0).permutation(1_500)
    part = report(class_units(sure[order], target[order]), 0.3)
    assert part.before is not None
    assert part.after is not None
    assert part.after.measures["log_loss"] < part.before.measures["log_loss"]
    assert part.after.measures["ece"] > part.before.measures["ece"]
    text = verdict([part], SETTINGS)
    assert "improves the probabilities." in text
    assert text.endswith("The ECE rises, so compare the reliability diagrams before you apply it.")


def test_interval_of_the_change_contains_the_truth_of_most_samples() -> None:
    truth_units = units(200_000, seed=8, scale=1.5)
    before, after = (log_loss(truth_units.shares(map_), truth_units.target) for map_ in (None, scaling(1 / 1.5)))
    inside = 0
    for seed in range(60):
        interval = report(units(400, seed=100 + seed, scale=1.5), 1 / 1.5).log_loss_change
        assert interval is not None
        inside += interval[0] <= after - before <= interval[1]
    assert inside >= 51  # of 57 expected; fewer have a probability of about 1%


def test_warnings_are_whole_sentences() -> None:
    from netloom.calibration import calibrate

    report = calibrate(trained("requests_tagger"), CalibrationSettings("isotonic", conformal=0.1))
    assert len(report.warnings) == 2  # of groups, and of few rows
    assert all(warning.endswith(".") for warning in report.warnings)
