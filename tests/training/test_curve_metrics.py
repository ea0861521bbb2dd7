"""Metrics that are not means over rows, on the curves: areas under curves, macro F1 and mean average precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score

from netloom.templates import templates
from netloom.training.errors import TrainingError
from netloom.training.evaluation import batch_totals, metrics_of_totals
from netloom.training.objectives.classification_report import average_precision, macro_f1
from netloom.training.objectives.objective import joined
from tests.networks import with_rows
from tests.runs.examples import Recorder, loop, supervised


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_average_precision_with_ties_matches_scikit_learn(levels: int) -> None:
    random = np.random.default_rng(levels)
    positive, scores = random.random(80) < 0.2, random.integers(0, levels, 80) / levels
    assert average_precision(positive, scores) == pytest.approx(average_precision_score(positive, scores), abs=1e-12)
    scores[3] = np.nan
    assert np.isnan(average_precision(positive, scores))


def test_macro_f1_matches_scikit_learn() -> None:
    random = np.random.default_rng(0)
    true, predicted = random.integers(0, 4, 50), random.integers(2, 7, 50)  # not the same classes
    assert macro_f1(true, predicted) == pytest.approx(f1_score(true, predicted, average="macro"), abs=1e-12)
    assert np.isnan(macro_f1(true[:0], predicted[:0]))


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("breast_cancer_binary", {"roc_auc", "pr_auc"}),
        ("digits_mlp", {"macro_f1"}),
        ("pulses_anomaly", {"roc_auc"}),
        ("shapes_two_outputs", {"macro_f1 (shape)"}),
        ("scenes_labels", {"mean_average_precision"}),
    ],
)
def test_curves_have_the_metrics_of_the_evaluation(template: str, names: set[str], home: Path) -> None:
    """In batches and in parts, such as those of ranks, they are those of all rows."""
    trainer = supervised(with_rows(templates()[template].project, 300), home)
    objective, data, rows = trainer.objective, trainer.data, trainer.data.split["validation"]
    inputs, target = trainer.loader.evaluation_rows("validation")
    starts = [range(first, len(rows), 14) for first in (0, 7)]
    parts = [batch_totals(trainer.model, objective, inputs, target, each, 7) for each in starts]
    metrics = metrics_of_totals(objective, parts)
    assert names <= set(objective.monitors)
    with torch.no_grad():
        output = joined(trainer.model.eval()(*inputs)).cpu()
    expected = objective.evaluate(output, data, rows, "validation", objective.calibrate(output, data, rows)).metrics
    assert {name: metrics[name] for name in names} == pytest.approx({name: expected[name] for name in names})


def test_area_under_the_curve_selects_the_best_weights(home: Path) -> None:
    project = with_rows(templates()["breast_cancer_binary"].project, 300)
    training = project.training.model_copy(update={"monitor": "pr_auc", "epochs": 4, "learning_rate": 1e-4})
    trainer, seen = loop(project.model_copy(update={"training": training}), home), Recorder()
    assert trainer.fit(seen)
    curve = seen.curve("validation", "pr_auc")
    assert len(set(curve)) > 1
    assert trainer.best.value == max(curve)
    assert {"roc_auc", "pr_auc"} <= {name for _, _, split, name, _ in seen.points if split == "train"}


def test_undefined_metric_cannot_select_weights(home: Path) -> None:
    project = with_rows(templates()["breast_cancer_binary"].project, 300)
    training = project.training.model_copy(update={"monitor": "roc_auc", "epochs": 1})
    trainer = supervised(project.model_copy(update={"training": training}), home)
    trainer.loader.evaluation_rows("validation")[1].fill_(1.0)
    with pytest.raises(TrainingError, match=r"The ROC-AUC of the validation rows is undefined, .* Monitor the loss"):
        trainer.fit(Recorder())
