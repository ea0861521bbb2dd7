"""The reported metrics against torchmetrics and scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics

from netloom.data import Prepared, prepare
from netloom.data.targets.fitted_target import FittedNumbers
from netloom.document import DataChoice
from netloom.training import OBJECTIVES
from netloom.training.objectives.classification_report import roc_auc


@pytest.fixture(scope="module")
def torchmetrics_functional() -> Any:
    """torchmetrics.functional, imported here because the import takes two seconds."""
    from torchmetrics import functional

    return functional


def evaluate_random_outputs(
    dataset: str, objective: str, width: int | None = None
) -> tuple[dict[str, float], torch.Tensor, Prepared]:
    """An objective's metrics for random outputs that are biased toward the target, these outputs, and the data."""
    data = prepare(DataChoice(dataset=dataset))
    rows, generator = data.split["test"], torch.Generator().manual_seed(0)
    target = data.target[rows]
    if width is None:
        output = target + 0.5 * torch.randn(target.shape, generator=generator)
    else:
        hot = torch.nn.functional.one_hot(target.long(), width).float()
        output = hot + torch.randn(hot.shape, generator=generator)
        if objective == "segmentation":
            output = output.permute(0, 3, 1, 2)
    evaluation = OBJECTIVES[objective].evaluate(output, data, rows, "test")
    scores = OBJECTIVES[objective].scores(output, target)
    finished = OBJECTIVES[objective].finish({name: float(value) / scores.count for name, value in scores.sums.items()})
    return {**evaluation.metrics, **{f"curve {name}": value for name, value in finished.items()}}, output, data


def test_classification_metrics_match_torchmetrics(torchmetrics_functional: Any) -> None:
    computed, output, data = evaluate_random_outputs("digits", "classification", 10)
    target = data.target[data.split["test"]]
    options: dict[str, Any] = {"task": "multiclass", "num_classes": 10}
    assert computed["accuracy"] == pytest.approx(
        float(torchmetrics_functional.accuracy(output, target, **options, average="micro"))
    )
    assert computed["curve accuracy"] == pytest.approx(computed["accuracy"])
    assert computed["balanced_accuracy"] == pytest.approx(
        float(torchmetrics_functional.recall(output, target, **options, average="macro"))
    )
    assert computed["macro_f1"] == pytest.approx(
        float(torchmetrics_functional.f1_score(output, target, **options, average="macro"))
    )


def test_binary_roc_auc_matches_torchmetrics(torchmetrics_functional: Any) -> None:
    computed, output, data = evaluate_random_outputs("breast_cancer", "classification", 2)
    area = torchmetrics_functional.auroc(output.softmax(1)[:, 1], data.target[data.split["test"]], task="binary")
    assert area is not None
    assert computed["roc_auc"] == pytest.approx(float(area))


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_roc_auc_with_ties_matches_scikit_learn(decimals: int) -> None:
    generator = np.random.default_rng(decimals)
    positive, scores = generator.random(200) < 0.3, generator.random(200).round(decimals)
    assert roc_auc(positive, scores) == pytest.approx(metrics.roc_auc_score(positive, scores), abs=1e-12)
    scores[0] = np.nan
    assert np.isnan(roc_auc(positive, scores))


def test_regression_metrics_match_torchmetrics(torchmetrics_functional: Any) -> None:
    computed, output, data = evaluate_random_outputs("diabetes", "regression")
    fitted = data.fitted_numbers
    mean, std = torch.tensor(fitted.mean), torch.tensor(fitted.std)
    target, answer = (value.double() * std + mean for value in (data.target[data.split["test"]], output))
    assert computed["mae"] == pytest.approx(float(torchmetrics_functional.mean_absolute_error(answer, target)))
    assert computed["rmse"] == pytest.approx(
        float(torchmetrics_functional.mean_squared_error(answer, target, squared=False))
    )
    assert computed["r2"] == pytest.approx(float(torchmetrics_functional.r2_score(answer.flatten(), target.flatten())))


def test_errors_of_numbers_that_differ_little_for_their_size_match_scikit_learn() -> None:
    data, objective = prepare(DataChoice(dataset="diabetes")), OBJECTIVES["regression"]
    seconds = FittedNumbers("number", "time", (1.7e9,), (50.0,))
    data = replace(data, preprocess=replace(data.preprocess, target=seconds))
    rows = data.split["test"]
    output = data.target[rows] + torch.randn(len(rows), 1, generator=torch.Generator().manual_seed(0))
    true, predicted = ((value.double() * 50 + 1.7e9).flatten().numpy() for value in (data.target[rows], output))
    evaluation = objective.evaluate(output, data, rows, "test")
    assert evaluation.metrics["rmse"] == pytest.approx(metrics.root_mean_squared_error(true, predicted), rel=1e-6)
    assert evaluation.metrics["mae"] == pytest.approx(metrics.mean_absolute_error(true, predicted), rel=1e-6)
    assert evaluation.metrics["r2"] == pytest.approx(metrics.r2_score(true, predicted), rel=1e-6)
    answers = [answer["prediction"] for answer in objective.answers(output, data)]
    assert answers == pytest.approx(predicted, abs=1e-5)


def test_equal_targets_have_no_r2() -> None:
    data, objective = prepare(DataChoice(dataset="diabetes")), OBJECTIVES["regression"]
    data = replace(
        data,
        target=torch.zeros_like(data.target),
        preprocess=replace(data.preprocess, target=FittedNumbers("number", "price", (0.1,), (1.0,))),
    )
    for count in (3, 6, 40):
        rows = data.split["test"][:count]
        assert np.isnan(objective.evaluate(torch.randn(count, 1), data, rows, "test").metrics["r2"])


def test_perplexity_matches_torchmetrics(torchmetrics_functional: Any) -> None:
    width = prepare(DataChoice(dataset="tales")).schema.inputs[0].vocabulary
    computed, output, data = evaluate_random_outputs("tales", "language_modeling", width)
    perplexity = torchmetrics_functional.text.perplexity(output, data.target[data.split["test"]])
    assert computed["perplexity"] == pytest.approx(float(perplexity), rel=1e-5)
    assert computed["curve perplexity"] == pytest.approx(float(perplexity), rel=1e-5)


def test_segmentation_metrics_match_torchmetrics(torchmetrics_functional: Any) -> None:
    data = prepare(DataChoice(dataset="shape_masks"))
    classes = len(data.schema.target.classes)
    computed, output, _ = evaluate_random_outputs("shape_masks", "segmentation", classes)
    target = data.target[data.split["test"]].long()
    options: dict[str, Any] = {"task": "multiclass", "num_classes": classes, "average": "none"}
    overlaps = torchmetrics_functional.jaccard_index(output, target, **options)
    dice = torchmetrics_functional.f1_score(output, target, **options)  # equal to Dice for pixels
    for name, value in (("iou", overlaps), ("dice", dice)):
        assert computed[name] == pytest.approx(float(value[1:].mean()))
        assert computed[f"curve {name}"] == pytest.approx(computed[name])
