"""Schedules against those of torch.optim.lr_scheduler, step by step."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from netloom.document import DocumentError, Training, dumps, loads
from netloom.document.optimizer_settings import SCHEDULES
from netloom.training.optimization.schedules import FACTORS, Schedule, factor, warmup_steps
from netloom.training.trainer import Callback, Trainer
from tests.runs.examples import Recorder, loop, moons

PER_EPOCH = 7
Made = Callable[[torch.optim.Optimizer, int], Any]


# The torch scheduler of each schedule, and the number of steps between its updates.
TORCH_SCHEDULES: dict[str, tuple[Made, int]] = {
    "constant": (lambda one, total: lr_scheduler.ConstantLR(one, factor=1.0, total_iters=total), 1),
    "cosine": (lambda one, total: lr_scheduler.CosineAnnealingLR(one, T_max=total), 1),
    "linear": (lambda one, total: lr_scheduler.LinearLR(one, 1.0, 0.0, total_iters=total), 1),
    "step": (lambda one, total: lr_scheduler.StepLR(one, step_size=10, gamma=0.1), PER_EPOCH),
    "exponential": (lambda one, total: lr_scheduler.ExponentialLR(one, gamma=0.95), PER_EPOCH),
    "polynomial": (lambda one, total: lr_scheduler.PolynomialLR(one, total_iters=total, power=2.0), 1),
    "cosine_restarts": (lambda one, total: lr_scheduler.CosineAnnealingWarmRestarts(one, 5 * PER_EPOCH, T_mult=2), 1),
}


def torch_rates(build: Made, total: int, every: int = 1) -> list[float]:
    """The learning rate of the torch scheduler before each step, starting at 1."""
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, factors = build(reference, total), []
    for step in range(total):
        factors.append(reference.param_groups[0]["lr"])
        reference.step()
        if (step + 1) % every == 0 and step < total - 1:
            schedule.step()
    return factors


def our_rates(total: int, **training: Any) -> list[float]:
    schedule = Schedule(Training(**training), total, PER_EPOCH)
    return [schedule.factor(step) for step in range(total)]


@pytest.mark.parametrize("total", [1, 2, 10, 400])
@pytest.mark.parametrize("name", TORCH_SCHEDULES)
def test_schedule_matches_torch(name: str, total: int) -> None:
    build, every = TORCH_SCHEDULES[name]
    if total > 1:
        assert our_rates(total, schedule=name) == pytest.approx(torch_rates(build, total, every), abs=1e-9)
    else:
        assert our_rates(1, schedule=name) == [1.0]


def test_every_schedule_has_a_torch_reference() -> None:
    assert {*TORCH_SCHEDULES, "one_cycle", "plateau"} == set(SCHEDULES)


@pytest.mark.parametrize("rise", [0.3, 0.1])
def test_one_cycle_matches_torch_shape(rise: float) -> None:
    total = 1000
    expected = torch_rates(
        lambda one, total: lr_scheduler.OneCycleLR(
            one, max_lr=1.0, total_steps=total, pct_start=rise, cycle_momentum=False
        ),
        total,
    )
    factors = our_rates(total, schedule="one_cycle", schedule_settings={"pct_start": rise})
    assert factors == pytest.approx(expected, abs=0.03)
    assert factors[0] == pytest.approx(1 / 25)
    assert max(factors) == factors[round(rise * total)] == 1.0
    assert 0 < factors[-1] < 1e-3


@pytest.mark.parametrize(("name", "chosen", "made", "every"), [
    ("cosine", {"end_factor": 0.1}, lambda one, total: lr_scheduler.CosineAnnealingLR(one, total, eta_min=0.1), 1),
    ("linear", {"end_factor": 0.25}, lambda one, total: lr_scheduler.LinearLR(one, 1.0, 0.25, total_iters=total), 1),
    ("step", {"step_size": 3, "gamma": 0.5}, lambda one, total: lr_scheduler.StepLR(one, 3, 0.5), PER_EPOCH),
    ("exponential", {"decay_rate": 0.5}, lambda one, total: lr_scheduler.ExponentialLR(one, 0.5), PER_EPOCH),
    ("polynomial", {"power": 0.5}, lambda one, total: lr_scheduler.PolynomialLR(one, total, 0.5), 1),
    ("cosine_restarts", {"first_cycle": 2, "cycle_mult": 1, "end_factor": 0.2},
     lambda one, total: lr_scheduler.CosineAnnealingWarmRestarts(one, 2 * PER_EPOCH, 1, eta_min=0.2), 1),
])  # fmt: skip
def test_schedule_settings_match_torch(name: str, chosen: dict[str, float], made: Made, every: int) -> None:
    factors = our_rates(200, schedule=name, schedule_settings=chosen)
    assert factors == pytest.approx(torch_rates(made, 200, every), abs=1e-9)


@pytest.mark.parametrize("warmup", [10, 0.1])
@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "polynomial", "cosine_restarts"])
def test_warmup_is_linear_and_precedes_the_schedule(name: str, warmup: float) -> None:
    def build(one: torch.optim.Optimizer, total: int) -> Any:
        first = lr_scheduler.LinearLR(one, start_factor=1 / 11, end_factor=1.0, total_iters=10)
        return lr_scheduler.SequentialLR(one, [first, TORCH_SCHEDULES[name][0](one, total - 10)], milestones=[10])

    factors = our_rates(100, schedule=name, warmup=warmup)
    assert factors == pytest.approx(torch_rates(build, 100), abs=1e-9)
    assert factors[0] == pytest.approx(1 / 11)


def test_warmup_is_shorter_than_the_run() -> None:
    assert warmup_steps(0, 100) == 0
    assert warmup_steps(0.25, 100) == 25
    assert warmup_steps(30, 100) == 30
    assert warmup_steps(1e6, 100) == 99
    assert warmup_steps(5, 1) == 0


@pytest.mark.parametrize("chosen", [{}, {"gamma": 0.1, "patience": 0, "threshold": 0.05, "end_factor": 0.05}])
def test_plateau_matches_torch(chosen: dict[str, float]) -> None:
    settings = {**SCHEDULES["plateau"].settings, **chosen}
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torch_schedule = lr_scheduler.ReduceLROnPlateau(
        reference,
        factor=settings["gamma"],
        patience=int(settings["patience"]),
        threshold=settings["threshold"],
        min_lr=settings["end_factor"],
    )
    schedule = Schedule(Training(schedule="plateau", schedule_settings=chosen), 1000, 10)
    order = random.Random(1)
    for epoch in range(60):
        assert schedule.factor(epoch * 10) == pytest.approx(reference.param_groups[0]["lr"], rel=1e-12)
        loss = 1 / (1 + min(epoch, 20)) + order.random() * 0.02
        schedule.on_epoch_end(loss)
        torch_schedule.step(loss)
    assert schedule.factor(999) < 0.2


def test_plateau_lowers_the_learning_rate_during_a_run(home: Path) -> None:
    class Rates(Callback):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def on_epoch_end(self, loop: Trainer) -> None:
            self.seen.append(loop.optimizer.param_groups[0]["lr"])

    settings = {"patience": 0, "threshold": 0.5, "gamma": 0.5}
    trainer, rates = loop(moons(epochs=6, schedule="plateau", schedule_settings=settings), home), Rates()
    trainer.fit(rates)
    assert rates.seen[0] == 0.01
    assert rates.seen[-1] <= 0.01 * 0.5**3
    assert all(later <= earlier for earlier, later in zip(rates.seen, rates.seen[1:], strict=False))


def test_schedule_change_during_a_run_applies_immediately(home: Path) -> None:
    trainer = loop(moons(epochs=4), home)
    trainer.fit(Recorder(stop_at=5))
    trainer.training = trainer.training.model_copy(update={"schedule": "linear"})
    trainer.fit(Recorder(stop_at=6))
    expected = 0.01 * (1 - 5 / trainer.total_steps)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(expected)


def test_restart_factor_is_computed_in_closed_form() -> None:
    assert factor("cosine_restarts", 10**9, 2 * 10**9, 1, {"first_cycle": 1, "cycle_mult": 1, "end_factor": 0.0}) == 1.0


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"schedule": "magic"}, "there is no 'magic'"),
        ({"schedule_settings": {"slope": 0.1}}, "no setting 'slope'"),
        ({"schedule_settings": {"gamma": 0}}, "must be a number above 0 up to 1"),
        ({"schedule_settings": {"step_size": 2.5}}, "whole number"),
        ({"optimizer_settings": {"nesterov": 1}}, "true or false"),
        ({"optimizer_settings": {"beta1": 1.0}}, "beta1 must be a number from 0"),
        ({"optimizer": "sgd", "optimizer_settings": {"nesterov": True, "momentum": 0}}, "Nesterov needs momentum"),
    ],
)
def test_invalid_training_settings_are_rejected(training: dict[str, Any], message: str) -> None:
    value = json.loads(dumps(moons()))
    value["training"] |= training
    with pytest.raises(DocumentError, match="training"):
        loads(json.dumps(value))
    with pytest.raises(DocumentError, match=message):
        loads(json.dumps(value))


def test_each_schedule_of_documents_has_its_factor_and_only_one_follows_the_loss() -> None:
    assert set(SCHEDULES) == {*FACTORS, "plateau"}
