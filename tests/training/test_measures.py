"""The measures that people read, against those of torchmetrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics

from netloom.data import Prepared, prepare
from netloom.document import DataChoice
from netloom.training import OBJECTIVES
from netloom.training.objectives.classification_report import roc_auc


@pytest.fixture(scope="module")
def theirs() -> Any:
    """Imported where it is needed, as it takes two seconds."""
    from torchmetrics import functional

    return functional


def measured(dataset: str, objective: str, width: int | None = None) -> tuple[dict[str, float], torch.Tensor, Prepared]:
    """An objective's measures of answers that are drawn at random but lean to the truth, these answers, the data."""
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
    found = OBJECTIVES[objective].evaluate(output, data, rows, "test")
    sums = OBJECTIVES[objective].scores(output, target)
    finished = OBJECTIVES[objective].finish({name: float(value) / sums.count for name, value in sums.sums.items()})
    return {**found.metrics, **{f"curve {name}": value for name, value in finished.items()}}, output, data


def test_classes(theirs: Any) -> None:
    found, output, data = measured("digits", "classification", 10)
    target = data.target[data.split["test"]]
    how: dict[str, Any] = {"task": "multiclass", "num_classes": 10}
    assert found["accuracy"] == pytest.approx(float(theirs.accuracy(output, target, **how, average="micro")))
    assert found["curve accuracy"] == pytest.approx(found["accuracy"])
    assert found["balanced_accuracy"] == pytest.approx(float(theirs.recall(output, target, **how, average="macro")))
    assert found["macro_f1"] == pytest.approx(float(theirs.f1_score(output, target, **how, average="macro")))


def test_two_classes(theirs: Any) -> None:
    found, output, data = measured("breast_cancer", "classification", 2)
    area = theirs.auroc(output.softmax(1)[:, 1], data.target[data.split["test"]], task="binary")
    assert area is not None
    assert found["roc_auc"] == pytest.approx(float(area))


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_equal_scores_are_worth_half_a_win(decimals: int) -> None:
    made = np.random.default_rng(decimals)
    positive, scores = made.random(200) < 0.3, made.random(200).round(decimals)
    assert roc_auc(positive, scores) == pytest.approx(metrics.roc_auc_score(positive, scores), abs=1e-12)
    scores[0] = np.nan
    assert np.isnan(roc_auc(positive, scores))


def test_numbers(theirs: Any) -> None:
    found, output, data = measured("diabetes", "regression")
    fitted = data.fitted_numbers
    mean, std = torch.tensor(fitted.mean), torch.tensor(fitted.std)
    target, answer = (value.double() * std + mean for value in (data.target[data.split["test"]], output))
    assert found["mae"] == pytest.approx(float(theirs.mean_absolute_error(answer, target)))
    assert found["rmse"] == pytest.approx(float(theirs.mean_squared_error(answer, target, squared=False)))
    assert found["r2"] == pytest.approx(float(theirs.r2_score(answer.flatten(), target.flatten())))


def test_tokens(theirs: Any) -> None:
    width = prepare(DataChoice(dataset="tales")).schema.inputs[0].vocabulary
    found, output, data = measured("tales", "language_modelling", width)
    perplexity = theirs.text.perplexity(output, data.target[data.split["test"]])
    assert found["perplexity"] == pytest.approx(float(perplexity), rel=1e-5)
    assert found["curve perplexity"] == pytest.approx(float(perplexity), rel=1e-5)


def test_pixels(theirs: Any) -> None:
    data = prepare(DataChoice(dataset="shape_masks"))
    classes = len(data.schema.target.classes)
    found, output, _ = measured("shape_masks", "segmentation", classes)
    target = data.target[data.split["test"]].long()
    how: dict[str, Any] = {"task": "multiclass", "num_classes": classes, "average": "none"}
    overlaps = theirs.jaccard_index(output, target, **how)
    dice = theirs.f1_score(output, target, **how)  # of pixels, the same number
    for name, value in (("iou", overlaps), ("dice", dice)):
        assert found[name] == pytest.approx(float(value[1:].mean()))
        assert found[f"curve {name}"] == pytest.approx(found[name])
