"""Augmentation within the loop: training batches alone, exactly the same after a break, and of some use."""

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

PICTURES = (Augment(kind="crop"), Augment(kind="rotate"), Augment(kind="cutout"), Augment(kind="mixup"))


def digits(*augment: Augment, **training: Any) -> Project:
    """A small network with dropout on the digits."""
    plain = moons(epochs=3, augment=augment, **training)
    layers: tuple[tuple[str, dict[str, Any]], ...] = (
        ("Flatten", {}),
        ("Linear", {"units": 16}),
        ("ReLU", {}),
        ("Dropout", {"rate": 0.2}),
    )
    made = chain(IMAGE, *layers, ("Linear", {"units": 10}), training=plain.training)
    return made.model_copy(update={"data": plain.data.model_copy(update={"dataset": "digits"})})


class Batches(Callback):
    """Keeps what each step learns from."""

    def __init__(self) -> None:
        self.seen: list[tuple[list[torch.Tensor], Any]] = []

    def on_step_start(self, trainer: Trainer, inputs: list[torch.Tensor], targets: Any) -> None:
        self.seen.append((inputs, targets))


@pytest.mark.parametrize("stop_at", [1, 20, 31])
def test_a_run_goes_on_exactly_as_if_it_had_not_stopped(stop_at: int, home: Path) -> None:
    whole = loop(digits(*PICTURES), home)
    watch = Recorder()
    assert whole.fit(watch)
    first = loop(digits(*PICTURES), home)
    assert not first.fit(Recorder(stop_at=stop_at))
    kept = first.checkpoint()  # before anybody else draws
    second, rest = loop(digits(*PICTURES), home), Recorder()
    second.resume(kept, first.best.weights)
    assert second.fit(rest)
    assert same(dict(whole.model.state_dict()), dict(second.model.state_dict()))
    assert watch.curve("validation", "loss")[-1] == rest.curve("validation", "loss")[-1]


def test_batches_are_changed_and_rows_that_are_measured_are_not(home: Path) -> None:
    plain, changed = loop(digits(), home), loop(digits(*PICTURES[:2]), home)
    one, two = Batches(), Batches()
    plain.fit(one)
    changed.fit(two)
    assert len(one.seen) == len(two.seen)
    for (before, target), (after, same_target) in zip(one.seen, two.seen, strict=True):
        assert torch.equal(target, same_target)  # the same rows in the same order
        assert not torch.equal(before[0], after[0])
    epoch = plain.steps_per_epoch
    assert not torch.equal(two.seen[0][0][0], two.seen[epoch][0][0])
    changed.model.load_state_dict(plain.model.state_dict())
    for split in ("train", "validation"):
        assert changed.evaluate(split) == plain.evaluate(split)


def test_where_nothing_is_declared_nothing_is_made(home: Path) -> None:
    assert supervised(digits(), home).loader.augmentation is None


def test_the_loss_of_a_mixed_batch_is_that_of_mixed_labels(home: Path) -> None:
    made, watch = loop(digits(Augment(kind="mixup"), batch_size=32), home), Batches()
    made.fit(watch)
    inputs, target = watch.seen[3]
    assert isinstance(target, MixedTargets)
    made.model.eval()
    output = made.model(*inputs).detach()
    labels = torch.nn.functional.one_hot
    soft = target.share * labels(target.first, 10) + (1 - target.share) * labels(target.second, 10)
    expected = torch.nn.functional.cross_entropy(output, soft)
    assert batch_loss(made.objective, output, target) == pytest.approx(float(expected), rel=1e-5)
    assert not torch.equal(target.first, target.second)


def test_gradients_added_up_over_parts_of_a_mixed_batch_are_those_of_the_whole(home: Path) -> None:
    found = []
    for size, parts in ((64, 1), (16, 4)):
        project = digits(*PICTURES, batch_size=size, accumulation=parts, optimizer="sgd")
        made = loop(project, home)
        for layer in made.model.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0
        made.fit(Recorder(stop_at=4))
        found.append(torch.cat([weight.detach().flatten() for weight in made.model.parameters()]))
    assert torch.allclose(found[0], found[1], atol=1e-5)


def test_two_targets_are_cut_and_weighed_as_one(home: Path) -> None:
    both = MixedTargets(torch.arange(10), torch.arange(10).flip(0), 0.7)
    assert len(both) == 10
    assert both[2:5].second.tolist() == [7, 6, 5]
    assert batch_mass(OBJECTIVES["classification"], both) == pytest.approx(10)


@pytest.mark.parametrize("objective", ["reconstruction", "classification"])
def test_every_kind_of_picture_trains_a_step(objective: str, home: Path) -> None:
    layers: list[tuple[str, dict[str, Any]]] = [("Flatten", {}), ("Linear", {"units": 64})]
    if objective == "reconstruction":
        layers.append(("Reshape", {"shape": [1, 8, 8]}))
    else:
        layers[-1] = ("Linear", {"units": 10})
    every = tuple(Augment(kind=name) for name in ("crop", "brightness", "blur", "gaussian_noise", "mixup", "cutmix"))
    plain = digits(*every, objective=objective)
    project = chain(IMAGE, *layers, training=plain.training).model_copy(update={"data": plain.data})
    made, watch = loop(project, home), Recorder()
    assert made.fit(watch)
    losses = watch.curve("validation", "loss")
    assert losses[-1] < losses[0]


def test_what_fits_no_field_is_said_before_training(home: Path) -> None:
    with pytest.raises((TrainingError, ValueError), match="fits no field"):
        loop(moons(augment=(Augment(kind="rotate"),)), home)


@pytest.mark.slow
@pytest.mark.long
def test_augmentation_helps_where_rows_are_few(home: Path) -> None:
    """The digits' network of convolutions on 100 rows: crops and turns raise the accuracy on the test rows."""
    from statistics import mean

    from netloom.templates import templates

    def accuracy(seed: int, *augment: Augment) -> float:
        project = templates()["digits_cnn"].project
        training = project.training.model_copy(update={"augment": augment, "epochs": 60, "seed": seed, "device": "cpu"})
        made = loop(project.model_copy(update={"training": training}), home)
        few: Trainer = few_rows(made, 100)
        few.fit(Callback())
        data, model = few.data, few.best_model()
        rows = data.split["test"]
        with torch.no_grad():
            return float((model(data.inputs["image"][rows]).argmax(1) == data.target[rows]).float().mean())

    plain = mean(accuracy(seed) for seed in range(3))
    changed = mean(accuracy(seed, Augment(kind="crop"), Augment(kind="rotate")) for seed in range(3))
    assert changed > plain + 0.01


def few_rows(made: Trainer, count: int) -> Trainer:
    """The same loop with the first training rows alone."""
    from dataclasses import replace

    data = replace(made.data, split={**made.data.split, "train": made.data.split["train"][:count]})
    return type(made)(made.model, made.objective, data, made.fields, made.training, made.device)
