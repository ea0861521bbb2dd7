"""Losses by name: focal loss and Dice loss against formulas and PyTorch, and their settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from netloom.cli.training_options import with_settings
from netloom.document import Training
from netloom.training.batch_loss import batch_loss
from netloom.training.objectives import OBJECTIVES
from netloom.training.objectives.loss_weights import LossWeights
from netloom.training.objectives.segmentation import dice_loss
from netloom.training.targets import WeightedTargets
from netloom.validation import analyse
from tests.networks import chain, digits_mlp
from tests.runs.examples import supervised

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(40, 5, generator=GENERATOR)
CLASSES = torch.randint(5, (40,), generator=GENERATOR)


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
    import copy

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


def test_loss_of_another_task_is_named_with_a_fix() -> None:
    project = chain(("Input", {}), ("Linear", {}), training=Training(objective="regression", dice_weight=1.0))
    (issue,) = [issue for issue in analyse(project).issues if issue.code == "loss"]
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
    ],
)
def test_settings_without_effect_are_named_by_the_check_and_refused_by_the_command(
    settings: dict[str, Any], unread: str
) -> None:
    project = chain(("Input", {}), ("Linear", {}), training=Training.model_validate(settings))
    issues = [issue for issue in analyse(project).issues if issue.code == "loss"]
    assert [set(issue.fix.edit["training"]) for issue in issues if issue.fix] == ([{unread}] if unread else [])
    assignments = [f"{name}={value}" for name, value in settings.items()]
    if unread:
        with pytest.raises(ValueError, match=f"{unread} has no effect"):
            with_settings(Training(), assignments)
    else:
        assert with_settings(Training(), assignments) == project.training
