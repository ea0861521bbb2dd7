"""Schedules against those of torch.optim.lr_scheduler, step by step."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from netloom.document import DocumentError, Training, dumps, loads
from netloom.document.optimizer_settings import SCHEDULES
from netloom.training.schedules import Schedule, factor, warmup_steps
from netloom.training.trainer import Callback, Trainer
from tests.runs.examples import Recorder, loop, moons

PER_EPOCH = 7
Made = Callable[[torch.optim.Optimizer, int], Any]


# What torch's own is, and after how many steps it moves on.
TRUTH: dict[str, tuple[Made, int]] = {
    "constant": (lambda one, total: lr_scheduler.ConstantLR(one, factor=1.0, total_iters=total), 1),
    "cosine": (lambda one, total: lr_scheduler.CosineAnnealingLR(one, T_max=total), 1),
    "linear": (lambda one, total: lr_scheduler.LinearLR(one, 1.0, 0.0, total_iters=total), 1),
    "step": (lambda one, total: lr_scheduler.StepLR(one, step_size=10, gamma=0.1), PER_EPOCH),
    "exponential": (lambda one, total: lr_scheduler.ExponentialLR(one, gamma=0.95), PER_EPOCH),
    "polynomial": (lambda one, total: lr_scheduler.PolynomialLR(one, total_iters=total, power=2.0), 1),
    "cosine_restarts": (lambda one, total: lr_scheduler.CosineAnnealingWarmRestarts(one, 5 * PER_EPOCH, T_mult=2), 1),
}


def rates(made: Made, total: int, every: int = 1) -> list[float]:
    """The learning rate of torch's own schedule before each step, beginning with 1."""
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, found = made(reference, total), []
    for step in range(total):
        found.append(reference.param_groups[0]["lr"])
        reference.step()
        if (step + 1) % every == 0 and step < total - 1:
            schedule.step()
    return found


def ours(total: int, **training: Any) -> list[float]:
    schedule = Schedule(Training(**training), total, PER_EPOCH)
    return [schedule.factor(step) for step in range(total)]


@pytest.mark.parametrize("total", [1, 2, 10, 400])
@pytest.mark.parametrize("name", TRUTH)
def test_it_is_that_of_torch(name: str, total: int) -> None:
    made, every = TRUTH[name]
    if total > 1:
        assert ours(total, schedule=name) == pytest.approx(rates(made, total, every), abs=1e-9)
    else:
        assert ours(1, schedule=name) == [1.0]


def test_every_schedule_is_compared_with_torch() -> None:
    assert {*TRUTH, "one_cycle", "plateau"} == set(SCHEDULES)


@pytest.mark.parametrize("rise", [0.3, 0.1])
def test_one_cycle_has_the_shape_of_that_of_torch(rise: float) -> None:
    total = 1000
    theirs = rates(
        lambda one, total: lr_scheduler.OneCycleLR(
            one, max_lr=1.0, total_steps=total, pct_start=rise, cycle_momentum=False
        ),
        total,
    )
    found = ours(total, schedule="one_cycle", schedule_settings={"rise": rise})
    assert found == pytest.approx(theirs, abs=0.03)
    assert found[0] == pytest.approx(1 / 25)
    assert max(found) == found[round(rise * total)] == 1.0
    assert 0 < found[-1] < 1e-3


@pytest.mark.parametrize(("name", "chosen", "made", "every"), [
    ("cosine", {"end": 0.1}, lambda one, total: lr_scheduler.CosineAnnealingLR(one, total, eta_min=0.1), 1),
    ("linear", {"end": 0.25}, lambda one, total: lr_scheduler.LinearLR(one, 1.0, 0.25, total_iters=total), 1),
    ("step", {"every": 3, "drop": 0.5}, lambda one, total: lr_scheduler.StepLR(one, 3, 0.5), PER_EPOCH),
    ("exponential", {"per_epoch": 0.5}, lambda one, total: lr_scheduler.ExponentialLR(one, 0.5), PER_EPOCH),
    ("polynomial", {"curve": 0.5}, lambda one, total: lr_scheduler.PolynomialLR(one, total, 0.5), 1),
    ("cosine_restarts", {"first": 2, "longer": 1, "end": 0.2},
     lambda one, total: lr_scheduler.CosineAnnealingWarmRestarts(one, 2 * PER_EPOCH, 1, eta_min=0.2), 1),
])  # fmt: skip
def test_its_settings_are_those_of_torch(name: str, chosen: dict[str, float], made: Made, every: int) -> None:
    found = ours(200, schedule=name, schedule_settings=chosen)
    assert found == pytest.approx(rates(made, 200, every), abs=1e-9)


@pytest.mark.parametrize("warmup", [10, 0.1])
@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "polynomial", "cosine_restarts"])
def test_warmup_is_a_line_before_the_schedule(name: str, warmup: float) -> None:
    def made(one: torch.optim.Optimizer, total: int) -> Any:
        first = lr_scheduler.LinearLR(one, start_factor=1 / 11, end_factor=1.0, total_iters=10)
        return lr_scheduler.SequentialLR(one, [first, TRUTH[name][0](one, total - 10)], milestones=[10])

    found = ours(100, schedule=name, warmup=warmup)
    assert found == pytest.approx(rates(made, 100), abs=1e-9)
    assert found[0] == pytest.approx(1 / 11)


def test_warmup_never_takes_the_whole_run() -> None:
    assert warmup_steps(0, 100) == 0
    assert warmup_steps(0.25, 100) == 25
    assert warmup_steps(30, 100) == 30
    assert warmup_steps(1e6, 100) == 99
    assert warmup_steps(5, 1) == 0


@pytest.mark.parametrize("chosen", [{}, {"drop": 0.1, "patience": 0, "threshold": 0.05, "end": 0.05}])
def test_plateau_is_that_of_torch(chosen: dict[str, float]) -> None:
    have = {**SCHEDULES["plateau"].settings, **chosen}
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(
        reference, factor=have["drop"], patience=int(have["patience"]), threshold=have["threshold"], min_lr=have["end"]
    )
    schedule = Schedule(Training(schedule="plateau", schedule_settings=chosen), 1000, 10)
    order = random.Random(1)
    for epoch in range(60):
        assert schedule.factor(epoch * 10) == pytest.approx(reference.param_groups[0]["lr"], rel=1e-12)
        loss = 1 / (1 + min(epoch, 20)) + order.random() * 0.02
        schedule.on_epoch_end(loss)
        theirs.step(loss)
    assert schedule.factor(999) < 0.2


def test_plateau_lowers_the_rate_in_a_run(home: Path) -> None:
    class Rates(Callback):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def on_epoch_end(self, loop: Trainer) -> None:
            self.seen.append(loop.optimizer.param_groups[0]["lr"])

    settings = {"patience": 0, "threshold": 0.5, "drop": 0.5}
    made, seen = loop(moons(epochs=6, schedule="plateau", schedule_settings=settings), home), Rates()
    made.fit(seen)
    assert seen.seen[0] == 0.01
    assert seen.seen[-1] <= 0.01 * 0.5**3
    assert all(later <= earlier for earlier, later in zip(seen.seen, seen.seen[1:], strict=False))


def test_a_schedule_that_is_changed_on_the_way_counts_at_once(home: Path) -> None:
    made = loop(moons(epochs=4), home)
    made.fit(Recorder(stop_at=5))
    made.training = made.training.model_copy(update={"schedule": "linear"})
    made.fit(Recorder(stop_at=6))
    expected = 0.01 * (1 - 5 / made.total_steps)
    assert made.optimizer.param_groups[0]["lr"] == pytest.approx(expected)


def test_long_runs_with_restarts_cost_no_more() -> None:
    assert factor("cosine_restarts", 10**9, 2 * 10**9, 1, {"first": 1, "longer": 1, "end": 0.0}) == 1.0


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"schedule": "magic"}, "there is no 'magic'"),
        ({"schedule_settings": {"gamma": 0.1}}, "no setting 'gamma'"),
        ({"schedule_settings": {"drop": 0}}, "must be a number above 0 up to 1"),
        ({"schedule_settings": {"every": 2.5}}, "whole number"),
        ({"optimizer_settings": {"nesterov": 1}}, "true or false"),
        ({"optimizer_settings": {"beta1": 1.0}}, "beta1 must be a number from 0"),
        ({"optimizer": "sgd", "optimizer_settings": {"nesterov": True, "momentum": 0}}, "Nesterov needs momentum"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(training: dict[str, Any], said: str) -> None:
    import json

    value = json.loads(dumps(moons()))
    value["training"] |= training
    with pytest.raises(DocumentError, match="training"):
        loads(json.dumps(value))
    with pytest.raises(DocumentError, match=said):
        loads(json.dumps(value))
