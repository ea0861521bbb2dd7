"""The out-of-distribution scores of a run, on corrupted test rows and on the rows of another dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netloom.calibration import mahalanobis
from netloom.calibration.corruptions import CORRUPTIONS, corrupted
from netloom.calibration.other_data import encoded_rows
from netloom.calibration.out_of_distribution import ScoreReport, score_report
from netloom.calibration.settings import CalibrationSettings
from netloom.data.preparation.calibrated import known_score
from netloom.runs.prediction.embeddings import features, last_linear
from netloom.training.streaming import evaluation_rows, take
from netloom.validation.output_scales import scales

if TYPE_CHECKING:
    import torch

    from netloom.runs import TrainedRun
    from netloom.training.objectives.calibrated_part import CalibratedPart

MAX_ROWS = 2_000
Inputs = dict[str, "torch.Tensor"]
Score = Callable[[Inputs], np.ndarray]


def ood_scores(
    trained: TrainedRun,
    validation: Sequence[CalibratedPart],
    test: Sequence[CalibratedPart],
    settings: CalibrationSettings,
    home: Path | None,
) -> tuple[ScoreReport, ...]:
    """Return the report of each score that the network has.

    Raises:
        DataError: the other dataset cannot be read.
        UsageError: its rows do not fit the inputs of the network.
    """
    known, unseen = (_inputs(trained, split) for split in ("validation", "test"))
    comparison_inputs = _comparison_inputs(trained, unseen, settings, home)
    reports = []
    for name, title, score, applies in _scores(trained, test, _inputs(trained, "train")):
        values = {label: score(inputs) for label, inputs in comparison_inputs.items()}
        reports.append(score_report(name, title, score(known), score(unseen), values, applies=applies))
    return tuple(reports)


def _inputs(trained: TrainedRun, split: str) -> Inputs:
    """Return rows of a split by field, evenly chosen if there are many."""
    rows = evaluation_rows(trained.data, split).numpy()
    positions = np.unique(np.linspace(0, len(rows) - 1, min(MAX_ROWS, len(rows))).round().astype(int))
    return take(trained.data, trained.fields, rows[positions])


def _comparison_inputs(
    trained: TrainedRun, test: Inputs, settings: CalibrationSettings, home: Path | None
) -> dict[str, Inputs]:
    from netloom.data.dataset_lookup import find_dataset
    from netloom.document import DataChoice

    comparison_inputs: dict[str, Inputs] = {}
    if settings.ood_dataset:
        info = find_dataset(home, settings.ood_dataset)
        comparison_inputs[info.title] = encoded_rows(trained, DataChoice(dataset=info.name), home, MAX_ROWS)
    for corruption in CORRUPTIONS:
        if (changed := corrupted(test, trained.data.schema.inputs, corruption, settings.seed)) is not None:
            comparison_inputs[corruption.title] = changed
    return comparison_inputs


def _scores(trained: TrainedRun, test: Sequence[CalibratedPart], train: Inputs) -> list[tuple[str, str, Score, bool]]:
    """Return name, title and function of each score, and whether it can be part of predictions."""
    scores: list[tuple[str, str, Score, bool]] = []
    # Of several outputs, each has its own probabilities, and none stands for the input.
    part = next((part for part in test if len(test) == 1 and _scores_inputs(part)), None)
    if part is not None:
        scores.append(("softmax", "Maximum probability", _of_output(trained, part, "softmax"), True))
        # A softmax at the end of a network removes the sum of the logits, which is the energy.
        if part.has_one_class and not scales(trained.project, trained.data.schema):
            scores.append(("energy", "Energy", _of_output(trained, part, "energy"), True))
    layer = last_linear(trained, train)
    if layer is not None:
        gaussians = mahalanobis.fit_gaussians(features(trained, layer, train), _classes(trained))
        distance: Score = lambda inputs: gaussians.score(features(trained, layer, inputs))  # noqa: E731
        scores.append(("mahalanobis", "Mahalanobis distance", distance, False))
    return scores


def _scores_inputs(part: CalibratedPart) -> bool:
    """Return whether the probabilities of an output stand for its input as a whole."""
    return part.has_probabilities and part.has_row_confidence and part.unit != "word"


def _of_output(trained: TrainedRun, part: CalibratedPart, kind: str) -> Score:
    def score(inputs: Inputs) -> np.ndarray:
        output = trained.objective.parted(trained.output(inputs), trained.data)
        first = output[0] if isinstance(output, tuple) else output
        values: np.ndarray = known_score(kind, part.as_json(), first).double().numpy()
        return values

    return score


def _classes(trained: TrainedRun) -> np.ndarray:
    """Return the classes of the training rows of `_inputs`; zeros where a row does not have one class."""
    rows = evaluation_rows(trained.data, "train").numpy()
    positions = np.unique(np.linspace(0, len(rows) - 1, min(MAX_ROWS, len(rows))).round().astype(int))
    target = trained.data.target[rows[positions]]
    if target.dim() == 1 and not target.is_floating_point():
        return target.numpy()
    return np.zeros(len(target), np.int64)
