"""Augmentation in the training loop: it affects only training batches, resumes exactly, and improves accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from netloom.document import Augment, Project
from netloom.training import TrainingError
from netloom.training.batch_loss import batch_loss, batch_mass
from netloom.training.objectives import OBJECTIVES
from netloom.training.targets import MixedTargets
from netloom.training.trainer import Callback, Trainer
from tests.networks import IMAGE, chain
from tests.runs.examples import Recorder, loop, moons, supervised
from tests.training.test_loop import same

IMAGE_AUGMENTATIONS = (Augment(kind="crop"), Augment(kind="rotate"), Augment(kind="cutout"), Augment(kind="mixup"))


def digits(*augment: Augment, **training: Any) -> Project:
    """A small network with dropout on the digits."""
    plain = moons(epochs=3, augment=augment, **training)
    layers: tuple[tuple[str, dict[str, Any]], ...] = (
        ("Flatten", {}),
        ("Linear", {"units": 16}),
        ("ReLU", {}),
        ("Dropout", {"rate": 0.2}),
    )
    document = chain(IMAGE, *layers, ("Linear", {"units": 10}), training=plain.training)
    return document.model_copy(update={"data": plain.data.model_copy(update={"dataset": "digits"})})


class Batches(Callback):
    """Records the batch of each step."""

    def __init__(self) -> None:
        self.seen: list[tuple[list[torch.Tensor], Any]] = []

    def on_step_start(self, trainer: Trainer, inputs: list[torch.Tensor], targets: Any) -> None:
        self.seen.append((inputs, targets))


@pytest.mark.parametrize("stop_at", [1, 20, 31])
def test_resumed_augmented_run_equals_uninterrupted_run(stop_at: int, home: Path) -> None:
    whole = loop(digits(*IMAGE_AUGMENTATIONS), home)
    recorder = Recorder()
    assert whole.fit(recorder)
    first = loop(digits(*IMAGE_AUGMENTATIONS), home)
    assert not first.fit(Recorder(stop_at=stop_at))
    checkpoint = first.checkpoint()  # before anything else draws random numbers
    second, resumed_recorder = loop(digits(*IMAGE_AUGMENTATIONS), home), Recorder()
    second.resume(checkpoint, first.best.weights)
    assert second.fit(resumed_recorder)
    assert same(dict(whole.model.state_dict()), dict(second.model.state_dict()))
    assert recorder.curve("validation", "loss")[-1] == resumed_recorder.curve("validation", "loss")[-1]


def test_augmentation_changes_training_batches_only(home: Path) -> None:
    plain, augmented = loop(digits(), home), loop(digits(*IMAGE_AUGMENTATIONS[:2]), home)
    plain_batches, augmented_batches = Batches(), Batches()
    plain.fit(plain_batches)
    augmented.fit(augmented_batches)
    assert len(plain_batches.seen) == len(augmented_batches.seen)
    for (before, target), (after, same_target) in zip(plain_batches.seen, augmented_batches.seen, strict=True):
        assert torch.equal(target, same_target)  # the same rows in the same order
        assert not torch.equal(before[0], after[0])
    epoch = plain.steps_per_epoch
    assert not torch.equal(augmented_batches.seen[0][0][0], augmented_batches.seen[epoch][0][0])
    augmented.model.load_state_dict(plain.model.state_dict())
    for split in ("train", "validation"):
        assert augmented.evaluate(split) == plain.evaluate(split)


def test_no_augmentation_by_default(home: Path) -> None:
    assert supervised(digits(), home).loader.augmentation is None


def test_mixup_loss_equals_soft_label_cross_entropy(home: Path) -> None:
    trainer, batches = loop(digits(Augment(kind="mixup"), batch_size=32), home), Batches()
    trainer.fit(batches)
    inputs, target = batches.seen[3]
    assert isinstance(target, MixedTargets)
    trainer.model.eval()
    output = trainer.model(*inputs).detach()
    one_hot = torch.nn.functional.one_hot
    soft = target.share * one_hot(target.first, 10) + (1 - target.share) * one_hot(target.second, 10)
    expected = torch.nn.functional.cross_entropy(output, soft)
    assert batch_loss(trainer.objective, output, target) == pytest.approx(float(expected), rel=1e-5)
    assert not torch.equal(target.first, target.second)


def test_accumulation_of_mixed_batches_equals_the_large_batch(home: Path) -> None:
    final_weights = []
    for size, parts in ((64, 1), (16, 4)):
        project = digits(*IMAGE_AUGMENTATIONS, batch_size=size, gradient_accumulation_steps=parts, optimizer="sgd")
        trainer = loop(project, home)
        for layer in trainer.model.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0
        trainer.fit(Recorder(stop_at=4))
        final_weights.append(torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()]))
    assert torch.allclose(final_weights[0], final_weights[1], atol=1e-5)


def test_mixed_targets_slice_and_mass(home: Path) -> None:
    mixed = MixedTargets(torch.arange(10), torch.arange(10).flip(0), 0.7)
    assert len(mixed) == 10
    assert mixed[2:5].second.tolist() == [7, 6, 5]
    assert batch_mass(OBJECTIVES["classification"], mixed) == pytest.approx(10)


@pytest.mark.parametrize("objective", ["reconstruction", "classification"])
def test_image_augmentations_train_each_objective(objective: str, home: Path) -> None:
    layers: list[tuple[str, dict[str, Any]]] = [("Flatten", {}), ("Linear", {"units": 64})]
    if objective == "reconstruction":
        layers.append(("Reshape", {"shape": [1, 8, 8]}))
    else:
        layers[-1] = ("Linear", {"units": 10})
    every = tuple(Augment(kind=name) for name in ("crop", "brightness", "blur", "gaussian_noise", "mixup", "cutmix"))
    plain = digits(*every, objective=objective)
    project = chain(IMAGE, *layers, training=plain.training).model_copy(update={"data": plain.data})
    trainer, recorder = loop(project, home), Recorder()
    assert trainer.fit(recorder)
    losses = recorder.curve("validation", "loss")
    assert losses[-1] < losses[0]


def test_augmentation_without_matching_field_is_rejected(home: Path) -> None:
    with pytest.raises((TrainingError, ValueError), match="fits no field"):
        loop(moons(augment=(Augment(kind="rotate"),)), home)


@pytest.mark.slow
@pytest.mark.long
def test_augmentation_improves_accuracy_on_few_rows(home: Path) -> None:
    """The digits CNN on 100 rows: crops and rotations raise the test accuracy."""
    from statistics import mean

    from netloom.templates import templates

    def accuracy(seed: int, *augment: Augment) -> float:
        project = templates()["digits_cnn"].project
        training = project.training.model_copy(update={"augment": augment, "epochs": 60, "seed": seed, "device": "cpu"})
        trainer = loop(project.model_copy(update={"training": training}), home)
        small_trainer: Trainer = with_few_rows(trainer, 100)
        small_trainer.fit(Callback())
        data, model = small_trainer.data, small_trainer.best_model()
        rows = data.split["test"]
        with torch.no_grad():
            return float((model(data.inputs["image"][rows]).argmax(1) == data.target[rows]).float().mean())

    plain = mean(accuracy(seed) for seed in range(3))
    augmented = mean(accuracy(seed, Augment(kind="crop"), Augment(kind="rotate")) for seed in range(3))
    assert augmented > plain + 0.01


def with_few_rows(trainer: Trainer, count: int) -> Trainer:
    """The same trainer with only the first training rows."""
    from dataclasses import replace

    data = replace(trainer.data, split={**trainer.data.split, "train": trainer.data.split["train"][:count]})
    return type(trainer)(trainer.model, trainer.objective, data, trainer.fields, trainer.training, trainer.device)
