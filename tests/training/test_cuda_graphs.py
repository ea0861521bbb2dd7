"""The trial of a CUDA graph, and what a recorded model is called for. `test_gpu.py` records real networks."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from netloom.training.auxiliary_losses import AuxiliaryLosses
from netloom.training.speed import speed_trials
from netloom.training.speed.speed_trials import CallTrial, time_cuda_graph
from netloom.training.trainer import Callback
from tests.runs.examples import moons, supervised

PLAIN_S = 0.004


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


def tried(model: nn.Module, record: Callable[[], Callable[..., Any]], steps_left: int = 100) -> CallTrial:
    def step(call: Callable[..., Any]) -> torch.Tensor:
        if call is model:
            time.sleep(PLAIN_S)
        model.zero_grad()
        loss: torch.Tensor = call(torch.arange(32.0).reshape(8, 4)).square().mean()
        torch.autograd.backward(loss)
        return loss.detach()

    before, random_state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    trial = time_cuda_graph(model, record, step, steps_left)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(weight.grad is None for weight in model.parameters())
    return trial


@pytest.fixture(autouse=True)
def every_run_is_worth_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_trials, "WORTH_RECORDING_S", 0.0)


def test_a_faster_graph_is_used() -> None:
    model = network()
    trial = tried(model, lambda: lambda value: model(value))
    assert trial.used
    assert trial.call is not model
    assert "CUDA graphs are on: a step takes" in trial.sentence


def test_a_slower_graph_is_not_used() -> None:
    model = network()

    def call(value: torch.Tensor) -> Any:
        time.sleep(2 * PLAIN_S)
        return model(value)

    trial = tried(model, lambda: call)
    assert (trial.used, trial.call) == (False, model)
    assert "CUDA graphs are off: a step takes" in trial.sentence


def test_a_model_that_cannot_be_recorded_is_called_itself() -> None:
    model = network()

    def record() -> Callable[..., Any]:
        model(torch.ones(8, 4))  # draws random numbers, and updates running statistics
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    trial = tried(model, record)
    assert (trial.used, trial.call) == (False, model)
    assert trial.sentence == "CUDA graphs are off: operation not permitted when stream is capturing."


def reversed_gradient(value: torch.Tensor) -> torch.Tensor:
    """Return the same value with a gradient of the wrong sign."""
    return 2 * value.detach() - value


@pytest.mark.parametrize(
    ("changed", "message"),
    [(lambda value: 1.001 * value, "the first loss is"), (reversed_gradient, "cosine similarity of only -1")],
)
def test_a_graph_with_another_outcome_is_not_used(
    changed: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    model = nn.Linear(4, 4)
    trial = tried(model, lambda: lambda value: changed(model(value)))
    assert not trial.used
    assert message in trial.sentence


def test_a_short_run_needs_no_trial_and_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_trials, "WORTH_RECORDING_S", 100.0)
    trial = tried(network(), lambda: pytest.fail("recorded"))
    assert (trial.used, trial.sentence) == (False, "")


def test_auxiliary_losses_are_given_back_to_their_modules() -> None:
    modules = [nn.Identity() for _ in range(3)]
    for module, loss in zip(modules, (torch.tensor(1.0), None, torch.tensor(2.0)), strict=True):
        module.auxiliary_loss = loss  # type: ignore[assignment]
    losses = AuxiliaryLosses(modules)
    assert losses.take() == (torch.tensor(1.0), torch.tensor(2.0))
    assert losses.add_to(torch.tensor(0.0)) == 0
    losses.put((torch.tensor(3.0), torch.tensor(4.0)))
    assert [module.auxiliary_loss for module in modules] == [3, None, 4]
    assert losses.add_to(torch.tensor(0.0)) == 7


def test_no_graph_is_recorded_on_a_cpu(home: Path) -> None:
    events: list[str] = []

    class Events(Callback):
        def log_event(self, kind: str, sentence: str) -> None:
            events.append(kind)

    trainer = supervised(moons(cuda_graphs="auto", epochs=1), home)
    assert trainer.fit(Events())
    assert trainer.speedups.recorded is None
    assert not events
