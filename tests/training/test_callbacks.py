"""Callbacks: which events are emitted, in which order, and which callback is asked whether to continue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from netloom.tasks import tasks
from netloom.training.callbacks import CallbackList
from netloom.training.errors import TrainingError
from netloom.training.trainer import Callback, Trainer
from netloom.training.trainers.registry import TRAINERS, trainer_for
from tests.runs.examples import loop, moons
from tests.training.test_reinforcement import agent


class Events(Callback):
    """Records every event with a prefix; stops after `stop_at` steps."""

    def __init__(self, seen: list[str], name: str = "", stop_at: int | None = None) -> None:
        self.seen, self.name, self.stop_at = seen, name, stop_at

    def on_fit_start(self, trainer: Trainer) -> None:
        self.seen.append(f"{self.name}fit start")

    def on_fit_end(self, trainer: Trainer) -> None:
        self.seen.append(f"{self.name}fit end")

    def on_epoch_start(self, trainer: Trainer) -> None:
        self.seen.append(f"{self.name}epoch {trainer.epoch} start")

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.seen.append(f"{self.name}epoch {trainer.epoch} end")

    def on_step_start(self, trainer: Trainer, inputs: list[torch.Tensor], targets: Any) -> None:
        self.seen.append(f"{self.name}step {trainer.step} start")

    def on_step_end(self, trainer: Trainer, loss: torch.Tensor) -> None:
        self.seen.append(f"{self.name}step {trainer.step} end")

    def should_continue(self, trainer: Trainer) -> bool:
        self.seen.append(f"{self.name}continue?")
        return self.stop_at is None or trainer.step < self.stop_at

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        if split == "validation":
            self.seen.append(f"{self.name}metrics of epoch {epoch}")


def test_callback_events_have_the_documented_order(home: Path) -> None:
    seen: list[str] = []
    assert loop(moons(epochs=2, batch_size=400), home).fit(Events(seen))  # two steps in an epoch
    assert seen == [
        *("fit start", "epoch 0 start", "step 0 start", "step 1 end", "continue?", "step 1 start", "step 2 end"),
        *("metrics of epoch 0", "epoch 1 end", "continue?"),
        *("epoch 1 start", "step 2 start", "step 3 end", "continue?", "step 3 start", "step 4 end"),
        *("metrics of epoch 1", "epoch 2 end", "fit end"),
    ]


def test_stopped_run_has_no_fit_end_event(home: Path) -> None:
    seen: list[str] = []
    assert not loop(moons(epochs=2, batch_size=400), home).fit(Events(seen, stop_at=1))
    assert seen == ["fit start", "epoch 0 start", "step 0 start", "step 1 end", "continue?"]


def test_callbacks_run_in_order_until_one_stops(home: Path) -> None:
    seen: list[str] = []
    callbacks = CallbackList([Events(seen, "a "), Callback(), Events(seen, "b ", stop_at=1)])
    assert not loop(moons(epochs=1, batch_size=400), home).fit(callbacks, Events(seen, "c "))
    assert seen[:3] == ["a fit start", "b fit start", "c fit start"]
    assert seen[-5:] == ["a step 1 end", "b step 1 end", "c step 1 end", "a continue?", "b continue?"]


@pytest.mark.parametrize("objective", ["dqn", "ppo"])
def test_reinforcement_trainer_emits_the_same_events(objective: str, home: Path) -> None:
    """Its steps are optimizer steps, too; an episode may have none or several."""
    seen: list[str] = []
    assert loop(agent(objective, epochs=1), home).fit(Events(seen))
    kinds = [event.split()[0] for event in seen]
    assert kinds[:2] == ["fit", "epoch"]
    assert seen[-3:] == ["metrics of epoch 0", "epoch 1 end", "fit end"]
    steps = [event.split()[-1] for event in seen if event.startswith("step")]
    assert steps == ["start", "end"] * (len(steps) // 2)
    assert len(steps) > 2


def test_every_task_has_a_trainer() -> None:
    assert {task.trainer for task in tasks().values()} == set(TRAINERS)
    for task in tasks().values():
        assert issubclass(trainer_for(task), Trainer)


def test_only_supervised_tasks_are_distributed() -> None:
    assert trainer_for(tasks()["regression"], is_distributed=True).__name__ == "DistributedTrainer"
    for name in ("gan", "dqn"):
        with pytest.raises(TrainingError, match="supports only one worker"):
            trainer_for(tasks()[name], is_distributed=True)
