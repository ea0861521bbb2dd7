"""Void pixels take no part in losses, metrics, class weights, baselines and attacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, jaccard_score
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from netloom.data import Prepared
from netloom.document import Training
from netloom.explain.robustness.attack_targets import Pixels
from netloom.modalities.encoding.tags import IGNORE
from netloom.training.objectives.segmentation import Segmentation
from tests.data.test_void_pixels import imported

LOSSES: list[dict[str, Any]] = [
    {},
    {"class_weights": "balanced"},
    {"label_smoothing": 0.1, "class_weights": [0.2, 1.0, 3.0]},
    {"focal_gamma": 2.0},
    {"focal_gamma": 2.0, "class_weights": "balanced"},
    {"dice_weight": 1.0},
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return imported(tmp_path_factory.mktemp("home"))


def logits(data: Prepared, rows: int, seed: int = 0) -> torch.Tensor:
    shape = (rows, len(data.schema.target.classes), *data.schema.target.shape)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("settings", LOSSES)
def test_void_pixels_do_not_change_a_loss_and_have_no_gradient(data: Prepared, settings: dict[str, Any]) -> None:
    objective = Segmentation().configured(Training(**settings), data, "cpu")
    target = data.target[:6]
    is_void = (target < 0).unsqueeze(1)
    output = logits(data, 6).requires_grad_()
    loss = objective.loss(output, target)
    (gradient,) = torch.autograd.grad(loss, output)
    assert not gradient[is_void.expand_as(gradient)].any()
    assert gradient[~is_void.expand_as(gradient)].any()
    moved = torch.where(is_void, logits(data, 6, 1) * 9, output.detach())
    assert float(objective.loss(moved, target)) == pytest.approx(loss.item(), rel=1e-6)


def test_the_loss_equals_that_of_the_pixels_with_a_class(data: Prepared) -> None:
    target, output = data.target[:6], logits(data, 6)
    known = target >= 0
    chosen, classes = output.movedim(1, -1)[known], target[known].long()
    assert float(Segmentation().loss(output, target)) == pytest.approx(float(functional.cross_entropy(chosen, classes)))
    assert int(Segmentation().mass(target)) == int(known.sum())
    shares, truth = chosen.softmax(1), functional.one_hot(classes, 3)
    dice = 2 * (shares * truth).sum(0) / (shares.sum(0) + truth.sum(0))
    loss = Segmentation().configured(Training(dice_weight=1.0), data, "cpu").loss(output, target)
    expected = functional.cross_entropy(chosen, classes) + (1 - dice[1:]).mean()
    assert float(loss) == pytest.approx(float(expected))
    weighted = Segmentation().configured(Training(class_weights="balanced", label_smoothing=0.2), data, "cpu")
    weights = weighted.loss_weights.class_weights
    expected = functional.cross_entropy(chosen, classes, weight=weights, label_smoothing=0.2)
    assert float(weighted.loss(output, target)) == pytest.approx(float(expected))


def test_balanced_class_weights_count_pixels_with_a_class_alone(data: Prepared) -> None:
    weights = Segmentation().configured(Training(class_weights="balanced"), data, "cpu").loss_weights.class_weights
    assert weights is not None
    labels = data.target[data.split["train"]].flatten().numpy()
    labels = labels[labels >= 0]
    assert weights.tolist() == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=labels).tolist())


def test_a_batch_of_void_pixels_has_the_loss_zero_and_no_gradient(data: Prepared) -> None:
    target = torch.full_like(data.target[:2], IGNORE)
    for settings in LOSSES:
        output = logits(data, 2).requires_grad_()
        loss = Segmentation().configured(Training(**settings), data, "cpu").loss(output, target)
        (gradient,) = torch.autograd.grad(loss, output)
        assert loss.item() == 0
        assert not gradient.any()


def test_metrics_equal_those_of_scikit_learn_over_the_pixels_with_a_class(data: Prepared) -> None:
    rows, objective = torch.arange(len(data.target)), Segmentation()
    output, target = logits(data, len(rows)), data.target
    known = target >= 0
    truth, predicted = target[known].numpy(), output.argmax(1)[known].numpy()
    evaluation = objective.evaluate(output, data, rows, "test")
    scores = objective.scores(output, target)
    curve = objective.finish({name: float(value) / scores.count for name, value in scores.sums.items()})
    expected = {
        "accuracy": accuracy_score(truth, predicted),
        "iou": jaccard_score(truth, predicted, average=None)[1:].mean(),
        "dice": f1_score(truth, predicted, average=None)[1:].mean(),
        "loss": float(functional.cross_entropy(output.movedim(1, -1)[known], target[known].long())),
    }
    assert scores.count == int(known.sum())
    for name, value in expected.items():
        assert evaluation.metrics[name] == pytest.approx(value, rel=1e-5)
        assert curve[name] == pytest.approx(value, rel=1e-5)
    assert [row["pixels"] for row in evaluation.report or []] == np.bincount(truth).tolist()


def test_perfect_predictions_are_not_mistakes(data: Prepared) -> None:
    rows = torch.arange(4)
    perfect = functional.one_hot(data.target[rows].long().clamp(min=0), 3).movedim(-1, 1) * 30.0
    evaluation = Segmentation().evaluate(perfect, data, rows, "test")
    assert evaluation.metrics["accuracy"] == evaluation.metrics["iou"] == 1
    assert not evaluation.mistakes
    empty = replace(data, target=torch.full_like(data.target, IGNORE))
    worst = Segmentation().evaluate(perfect, empty, rows, "test").worst[0]
    assert worst.predicted == "none of its pixels correct"
    assert worst.target == "void"


def test_calibration_and_the_majority_baseline_leave_void_pixels_out(data: Prepared) -> None:
    from netloom.calibration.units import units_of

    rows, known = torch.arange(5), data.target[:5] >= 0
    (part,) = Segmentation().calibrated_parts(logits(data, 5), data, rows)
    assert units_of(part).target.tolist() == data.target[:5][known].tolist()
    baseline = Segmentation().trivial(data, rows)
    assert baseline is not None
    train = data.target[data.split["train"]]
    counts = np.bincount(train[train >= 0].numpy()) + 1
    assert baseline.output[0, :, 0, 0].exp().tolist() == pytest.approx((counts / counts.sum()).tolist())


def test_losses_of_single_rows_can_be_vectorized(data: Prepared) -> None:
    target, output = data.target[:4], logits(data, 4)
    losses = torch.func.vmap(lambda one, true: Segmentation().loss(one[None], true[None]))(output, target)
    singles = [float(Segmentation().loss(output[row : row + 1], target[row : row + 1])) for row in range(4)]
    assert losses.tolist() == pytest.approx(singles)


def test_an_attack_counts_pixels_with_a_class_alone(data: Prepared) -> None:
    aim = Pixels(data, data.schema.target.classes, {})
    truth, output = aim.truth(data.target[:3]), logits(data, 3)
    for row in range(3):
        known = truth[row] >= 0
        chosen, classes = output[row].movedim(0, -1)[known], truth[row][known]
        assert float(aim.loss(output, truth)[row]) == pytest.approx(float(functional.cross_entropy(chosen, classes)))
        assert float(aim.score(output, truth)[row]) == pytest.approx(
            float((chosen.argmax(1) == classes).double().mean())
        )


def test_moved_masks_keep_their_void_pixels(data: Prepared, home: Path) -> None:
    from netloom.data.augmentation.augmenter import Augmenter
    from netloom.document import Augment

    name = data.schema.inputs[0].name
    augmenter = Augmenter(
        (Augment(kind="horizontal_flip"), Augment(kind="rotate"), Augment(kind="cutmix")), data, [name]
    )
    moved = augmenter([data.inputs[name][:6]], data.target[:6], (0, 0, 0))[1]
    assert moved.dtype == torch.int8
    assert {*moved.flatten().tolist()} <= {IGNORE, 0, 1, 2}
    assert (moved < 0).any()
