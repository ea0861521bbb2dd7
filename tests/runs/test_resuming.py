"""A run that is stopped at any step and resumed from disk ends bit-identical to an uninterrupted one: with every
optimizer, every schedule, and all other training settings."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from netloom.document import Project, apply
from netloom.document.optimizer_settings import OPTIMIZERS, SCHEDULES
from netloom.runs import evaluate, load_run, start
from netloom.templates import templates
from netloom.training.trainer import Trainer
from netloom.training.weights import checkpoints
from tests.runs.examples import Recorder, broken_off, loop, moons, store_in, trained_here

# Every setting with its own state, or that changes a step; the network has dropout and a batch norm.
ALL = {
    "gradient_accumulation_steps": 2,
    "ema_decay": 0.9,
    "warmup": 3.0,
    "gradient_clip": 1.0,
    "gradient_clip_value": 0.5,
    "label_smoothing": 0.1,
    "class_weights": "balanced",
    "decay_matrices_only": True,
    "weight_decay": 0.01,
    "layer_lr_multipliers": {"linear_1": 0.5},
    "monitor": "accuracy",
}
RECIPES: dict[str, dict[str, Any]] = {
    **{f"optimizer {name}": {"optimizer": name} for name in OPTIMIZERS},
    **{f"schedule {name}": {"schedule": name} for name in SCHEDULES},
    "plateau at once": {"schedule": "plateau", "schedule_settings": {"patience": 0, "threshold": 0.2}},
    "all but the optimizer": {**ALL, "schedule": "one_cycle"},
    "all with plateau": {
        **ALL,
        "schedule": "plateau",
        "schedule_settings": {"patience": 0, "threshold": 0.5},
        "optimizer": "muon",
    },
    "bf16": {**ALL, "precision": "bf16"},
    "early stopping": {"early_stopping": 2, "monitor": "accuracy", "epochs": 30, "learning_rate": 0.1},
    "last weights": {"checkpoint": "last", "ema_decay": 0.99},
}


def same(first: Any, second: Any) -> bool:
    """Whether two nested structures of dictionaries, lists and tensors are exactly equal."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, Mapping):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(same(left, right) for left, right in zip(first, second, strict=True))
    return bool(first == second)


def check_resume_is_exact(project: Project, stop_at: int, home: Path, folder: Path) -> Trainer:
    """Train a project with and without an interruption after step `stop_at`, and compare all results."""
    uninterrupted, recorder = loop(project, home), Recorder()
    assert uninterrupted.fit(recorder)
    resumed, first, second = broken_off(project, stop_at, home, folder)
    assert same(dict(uninterrupted.model.state_dict()), dict(resumed.model.state_dict()))
    assert same(uninterrupted.checkpoint().state, resumed.checkpoint().state)
    assert same(uninterrupted.best.weights, resumed.best.weights)
    names = {point[3] for point in recorder.points if point[3] not in ("batch_loss", "weighted_loss", "turns_loss")}
    assert "loss" in names
    for split in ("train", "validation"):
        for name in names:
            assert recorder.curve(split, name) == first.curve(split, name) + second.curve(split, name)
    assert same(dict(uninterrupted.best_model().state_dict()), dict(resumed.best_model().state_dict()))
    return uninterrupted


@pytest.mark.parametrize("name", RECIPES)
def test_resumed_run_matches_uninterrupted_run(name: str, home: Path, tmp_path: Path) -> None:
    project = moons(**{"weight_decay": 0.01, **RECIPES[name]})
    steps = loop(project, home).steps_per_epoch * min(project.training.epochs, 4)
    stop_at = random.Random(name).randrange(1, steps - 1)
    trainer = check_resume_is_exact(project, stop_at, home, tmp_path)
    if "plateau" in name:
        assert trainer.schedule.factor(trainer.step) < 1 or name == "schedule plateau"


def test_resumed_adversarial_run_matches_uninterrupted_run(home: Path, tmp_path: Path) -> None:
    training = {"epochs": 2, "batch_size": 256, "device": "cpu", "ema_decay": 0.9, "optimizer": "muon"}
    training |= {"layer_lr_decay": 0.9, "schedule": "plateau", "schedule_settings": {"patience": 0}}
    project = apply(templates()["digits_gan"].project, {"kind": "project", "training": training})
    check_resume_is_exact(project, 7, home, tmp_path)


def test_last_weights_to_predict_with_are_those_of_the_curve(home: Path) -> None:
    """With EMA, the curves and the best weights are those of the averaged weights, so the last ones are, too."""
    store, project = store_in(home), moons(ema_decay=0.99, checkpoint="last", epochs=2)
    with trained_here():
        run = start(store, store.create_project(project), project)
    last = store.curves([run], "loss")[run][-1][1]
    for trained in (load_run(store, run, "last"), load_run(store, run)):
        assert evaluate(trained, "validation").metrics["loss"] == pytest.approx(last, rel=1e-5)
    raw = checkpoints.load(store.artifacts(run))
    assert raw is not None
    assert not same(dict(trained.model.state_dict()), raw[1].weights), "training continues with other weights"


def test_checkpoint_without_newer_state_keys_loads(home: Path) -> None:
    trainer = loop(moons(ema_decay=0.9), home)
    trainer.fit(Recorder(3))
    checkpoint = trainer.checkpoint()
    ema = checkpoint.state["ema"]
    for name in ("schedule", "precision", "ema", "compiled", "optimizer_name"):
        del checkpoint.state[name]
    resumed = loop(moons(ema_decay=0.9), home)
    resumed.resume(checkpoint)
    assert resumed.step == 3
    checkpoint.state["average"] = ema  # the key of earlier versions
    resumed.resume(checkpoint)
    assert same(resumed.checkpoint().state["ema"], ema)
