"""Losses by name: focal loss and Dice loss against formulas and PyTorch, and their settings."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from netloom.cli.training_options import with_settings
from netloom.document import Project, Training, apply
from netloom.modalities.encoding.tags import IGNORE
from netloom.tasks.regression import LOSSES
from netloom.templates import templates
from netloom.training.batch_loss import batch_loss
from netloom.training.objectives import OBJECTIVES
from netloom.training.objectives.loss_weights import LossWeights
from netloom.training.objectives.segmentation import dice_loss
from netloom.training.targets import WeightedTargets
from netloom.validation import analyze
from tests.networks import chain, digits_mlp
from tests.runs.examples import supervised

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(40, 5, generator=GENERATOR)
CLASSES = torch.randint(5, (40,), generator=GENERATOR)


def from_template(name: str, **training: Any) -> Project:
    return apply(templates()[name].project, {"kind": "project", "training": training})


def test_focal_loss_is_that_of_its_paper() -> None:
    right = LOGITS.softmax(1)[torch.arange(40), CLASSES]
    expected = (-((1 - right) ** 2) * right.log()).mean()
    torch.testing.assert_close(LossWeights(focal_gamma=2.0).entropy(LOGITS, CLASSES), expected)


def test_focal_loss_has_the_divisor_of_weighted_cross_entropy() -> None:
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.0])
    right = LOGITS.softmax(1)[torch.arange(40), CLASSES]
    costs = -weights[CLASSES] * (1 - right) ** 1.5 * right.log()
    loss = LossWeights(class_weights=weights, focal_gamma=1.5).entropy(LOGITS, CLASSES)
    torch.testing.assert_close(loss, costs.sum() / weights[CLASSES].sum())


def test_focal_loss_without_focus_is_cross_entropy_and_skips_ignored_steps() -> None:
    almost = LossWeights(focal_gamma=1e-12, label_smoothing=0.1)
    target = CLASSES.clone()
    target[:7] = -100
    expected = functional.cross_entropy(LOGITS, target, label_smoothing=0.1, ignore_index=-100)
    torch.testing.assert_close(almost.entropy(LOGITS, target, ignore_index=-100), expected)


def test_binary_focal_loss_is_that_of_its_paper() -> None:
    logits, target = LOGITS[:, :1], (CLASSES > 2).float().unsqueeze(1)
    shares = torch.where(target > 0, logits.sigmoid(), 1 - logits.sigmoid())
    expected = (-((1 - shares) ** 2) * shares.log()).mean()
    torch.testing.assert_close(LossWeights(focal_gamma=2.0).binary(logits, target), expected)


def test_gradient_of_focal_loss_is_finite_for_certain_answers() -> None:
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    LossWeights(focal_gamma=0.5).entropy(logits, torch.tensor([0, 0])).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_dice_loss_counts_the_pixels_of_all_classes_but_the_background() -> None:
    target = torch.randint(3, (4, 6, 6), generator=GENERATOR)
    certain = functional.one_hot(target, 4).movedim(3, 1).float() * 100  # class 3 does not occur
    torch.testing.assert_close(dice_loss(certain, target), torch.tensor(0.0))
    even = torch.zeros(4, 4, 6, 6)  # each class has the probability 1/4 everywhere
    pixels = target.numel()
    sizes = target.flatten().bincount(minlength=4)[1:3]
    expected = 1 - (2 * 0.25 * sizes / (0.25 * pixels + sizes)).mean()
    torch.testing.assert_close(dice_loss(even, target), expected)
    assert dice_loss(even, torch.zeros_like(target)) == 0  # background alone


@pytest.mark.parametrize("name", ["classification", "segmentation"])
def test_named_losses_weight_single_rows(name: str) -> None:
    """Sample weights need the loss of each row by `vmap`."""
    objective = copy.copy(OBJECTIVES[name])
    objective.loss_weights = LossWeights(focal_gamma=2.0, dice_weight=0.5 if name == "segmentation" else 0.0)
    image = name == "segmentation"
    output = torch.randn(3, 4, 5, 5, generator=GENERATOR) if image else LOGITS[:3]
    target = torch.randint(4, (3, 5, 5), generator=GENERATOR) if image else CLASSES[:3]
    weights = torch.tensor([0.5, 1.0, 2.0])
    expected = sum(w * objective.loss(output[i : i + 1], target[i : i + 1]) for i, w in enumerate(weights)) / 3
    torch.testing.assert_close(batch_loss(objective, output, WeightedTargets(target, weights)), expected)


def test_focal_loss_trains_and_its_curve_is_not_the_evaluated_loss(home: Path) -> None:
    trainer = supervised(digits_mlp(epochs=3, focal_gamma=2.0, device="cpu"), home)
    trainer.fit()
    assert trainer.objective.training_loss_name == "weighted_loss"
    assert trainer.evaluate("validation")["loss"] < 1.5  # cross-entropy, comparable with other runs


def test_class_and_tags_have_the_focal_loss_of_each_output() -> None:
    objective = copy.copy(OBJECTIVES["class_and_tags"])
    weights = torch.tensor([1.0, 3.0, 1.0, 1.0, 2.0])
    objective.loss_weights = LossWeights(class_weights=weights, focal_gamma=2.0)
    classes, tags = LOGITS[:3], torch.randn(3, 5, 6, generator=GENERATOR)
    goal = torch.randint(6, (3, 5), generator=GENERATOR)
    goal[0, 3:] = IGNORE
    target = torch.cat([torch.full((3, 1), 5), CLASSES[:3, None], goal], dim=1)
    expected = objective.loss_weights.entropy(classes, CLASSES[:3]) + LossWeights(focal_gamma=2.0).entropy(
        tags.flatten(0, 1), goal.flatten(), ignore_index=IGNORE
    )
    torch.testing.assert_close(objective.loss(torch.cat([classes, tags.flatten(1)], dim=1), target), expected)


@pytest.mark.parametrize("template", ["digits_autoencoder", "pulses_anomaly"])
@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_reconstruction_trains_and_reports_the_chosen_loss(template: str, loss: str, home: Path) -> None:
    project = from_template(template, regression_loss=loss, huber_delta=0.5, epochs=1, device="cpu")
    trainer = supervised(project, home)
    inputs, target = trainer.loader.evaluation_rows("validation")
    with torch.no_grad():
        output = trainer.model(inputs[0]).flatten(1)
    is_normal = target[:, 0] > 0 if template == "pulses_anomaly" else torch.ones(len(target), dtype=torch.bool)
    values = target[:, 1:] if template == "pulses_anomaly" else target.flatten(1)
    function = functional.l1_loss if loss == "mae" else functools.partial(functional.huber_loss, delta=0.5)
    expected = function(output[is_normal], values[is_normal])
    goal = target if template == "pulses_anomaly" else values
    torch.testing.assert_close(trainer.objective.loss(output, goal), expected)
    assert trainer.evaluate("validation")["loss"] == pytest.approx(float(expected), rel=1e-4)
    assert trainer.objective.titles(project.training)["loss"] == LOSSES[loss]


def test_reconstruction_refuses_the_quantile_loss() -> None:
    project = from_template("digits_autoencoder", regression_loss="quantile")
    (issue,) = [issue for issue in analyze(project).issues if issue.code == "objective"]
    assert "cannot train with the quantile loss" in issue.message
    assert issue.fix is not None
    assert not [issue for issue in analyze(apply(project, issue.fix.edit)).issues if issue.code == "objective"]


def test_loss_of_another_task_is_named_with_a_fix() -> None:
    project = chain(("Input", {}), ("Linear", {}), training=Training(objective="regression", dice_weight=1.0))
    (issue,) = [issue for issue in analyze(project).issues if issue.code == "loss"]
    assert issue.message.startswith("Dice weight has no effect on regression; it belongs to segmentation.")
    assert issue.fix is not None
    assert issue.fix.edit == {"kind": "project", "training": {"dice_weight": 0.0}}


@pytest.mark.parametrize(
    ("settings", "unread"),
    [
        ({"objective": "regression", "label_smoothing": 0.2}, "label_smoothing"),
        ({"objective": "regression", "huber_delta": 2.0}, "huber_delta"),
        ({"objective": "regression", "regression_loss": "huber", "huber_delta": 2.0}, ""),
        ({"objective": "regression", "regression_loss": "quantile", "huber_delta": 2.0}, "huber_delta"),
        ({"objective": "classification", "regression_loss": "mae"}, "regression_loss"),
        ({"objective": "classification", "class_weights": "balanced", "focal_gamma": 2.0}, ""),
        ({"objective": "class_and_tags", "focal_gamma": 2.0}, ""),
        ({"objective": "reconstruction", "regression_loss": "huber", "huber_delta": 2.0}, ""),
        ({"objective": "reconstruction", "likelihood": "gaussian", "regression_loss": "huber"}, "regression_loss"),
        ({"objective": "anomaly_detection", "regression_loss": "huber", "huber_delta": 2.0}, ""),
    ],
)
def test_settings_without_effect_are_named_by_the_check_and_refused_by_the_command(
    settings: dict[str, Any], unread: str
) -> None:
    project = chain(("Input", {}), ("Linear", {}), training=Training.model_validate(settings))
    issues = [issue for issue in analyze(project).issues if issue.code == "loss"]
    assert [set(issue.fix.edit["training"]) for issue in issues if issue.fix] == ([{unread}] if unread else [])
    assignments = [f"{name}={value}" for name, value in settings.items()]
    if unread:
        with pytest.raises(ValueError, match=f"{unread} has no effect"):
            with_settings(Training(), assignments)
    else:
        assert with_settings(Training(), assignments) == project.training
