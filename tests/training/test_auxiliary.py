"""Auxiliary losses of modules: they are minimized with the objective's loss and recorded separately."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from netloom.document import DataChoice, Project, Training
from netloom.nn.generative import Reparameterize
from netloom.training.loop import SupervisedTrainer
from netloom.training.trainer import Trainer
from tests.networks import project
from tests.runs.examples import Recorder, loop, moons


def bottleneck(coefficient: float, **training: Any) -> Project:
    """The moons through a Gaussian latent vector of four dimensions."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", {"field": "features", "kind": "vector", "shape": [2]}),
        "linear_1": ("Linear", {"units": 16}),
        "relu_1": ("ReLU", {}),
        "mean": ("Linear", {"units": 4}),
        "log_variance": ("Linear", {"units": 4}),
        "sample": ("Reparameterize", {"coefficient": coefficient}),
        "linear_2": ("Linear", {"units": 2}),
        "output_1": ("Output", {}),
    }
    edges = [
        ("input_1", "linear_1"),
        ("linear_1", "relu_1"),
        ("relu_1", "mean"),
        ("relu_1", "log_variance"),
        ("mean", "sample.mean"),
        ("log_variance", "sample.log_variance"),
        ("sample", "linear_2"),
        ("linear_2", "output_1"),
    ]
    options = {"epochs": 6, "batch_size": 64, "learning_rate": 0.01, "device": "cpu", **training}
    return project(nodes, edges, data=DataChoice(dataset="moons"), training=Training(**options))


def latent_divergence(trainer: Trainer) -> float:
    """The KL divergence of the latent vectors of the validation split, computed outside of the trainer."""
    calls = []
    sample = trainer.model.get_submodule("sample")
    with sample.register_forward_hook(lambda _module, inputs, _output: calls.append(inputs)):
        trainer.evaluate("validation")
    assert len(calls) == 1
    return float(Reparameterize.divergence(*calls[0]))


def test_kl_divergence_falls_with_its_coefficient(home: Path) -> None:
    unregularized, regularized = loop(bottleneck(0.0), home), loop(bottleneck(1.0), home)
    before = latent_divergence(regularized)
    assert before == latent_divergence(unregularized)
    assert unregularized.fit(Recorder())
    assert regularized.fit(Recorder())
    assert latent_divergence(regularized) < 0.2 * before < latent_divergence(unregularized)


class Constant(nn.Module):
    """A linear layer whose auxiliary loss is `factor` times the sum of its weight."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.linear, self.factor = nn.Linear(2, 2), factor
        self.auxiliary_loss: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.auxiliary_loss = self.factor * self.linear.weight.sum()
        out: torch.Tensor = self.linear(x)
        return out


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_auxiliary_loss_enters_gradient_but_not_recorded_loss(factor: float, home: Path) -> None:
    plain = loop(moons(optimizer="sgd", learning_rate=0.001, epochs=1), home)
    torch.manual_seed(0)
    module = Constant(factor)
    weights = copy.deepcopy(module.state_dict())
    trainer = SupervisedTrainer(module, plain.objective, plain.data, plain.fields, plain.training, "cpu")
    first = Recorder(stop_at=1)
    assert not trainer.fit(first)
    trainer.flush()
    order = torch.randperm(trainer.loader.rows, generator=torch.Generator().manual_seed(0))[: trainer.batch_size]
    rows = plain.data.split["train"][order]
    weight, bias = (weights[name].requires_grad_() for name in ("linear.weight", "linear.bias"))
    objective = nn.functional.cross_entropy(
        plain.data.inputs["features"][rows] @ weight.T + bias, plain.data.target[rows]
    )
    assert first.curve("train", "batch_loss") == pytest.approx([float(objective.detach())], rel=1e-5)
    (gradient,) = torch.autograd.grad(objective + factor * weight.sum(), weight)
    torch.testing.assert_close(module.linear.weight, weight - 0.001 * gradient)


def test_auxiliary_losses_are_added_once_and_released(home: Path) -> None:
    plain = loop(moons(optimizer="sgd", learning_rate=0.001, epochs=1), home)
    model = nn.Sequential(Constant(0.5), nn.Sequential(Constant(2.0)))
    trainer = SupervisedTrainer(model, plain.objective, plain.data, plain.fields, plain.training, "cpu")
    before, loss = [copy.deepcopy(part) for part in model.parameters()], torch.tensor(3.0)
    model(torch.zeros(2, 2))
    total = trainer.auxiliary_losses.add_to(loss)
    sums = [float(before[number].sum().detach()) for number in (0, 2)]
    assert float(total.detach()) == pytest.approx(3.0 + 0.5 * sums[0] + 2.0 * sums[1], abs=1e-5)
    assert trainer.auxiliary_losses.add_to(loss) is loss  # the loss of one forward pass is added once
    assert trainer.fit(Recorder())
    copy.deepcopy(model)  # copying a tensor with an autograd history would fail


def test_network_without_auxiliary_modules_adds_nothing(home: Path) -> None:
    trainer, loss = loop(moons(), home), torch.tensor(1.0)
    assert trainer.auxiliary_losses.modules == []
    assert trainer.auxiliary_losses.add_to(loss) is loss


def test_auxiliary_loss_curve_survives_resuming(home: Path) -> None:
    """The curve is the mean over the steps of each epoch, also after a checkpoint within an epoch."""
    whole, recorder = loop(bottleneck(0.5, epochs=2), home), Recorder()
    added: list[float] = []

    def record_divergence(_module: nn.Module, inputs: Any, _output: Any) -> None:
        if whole.model.training:
            added.append(0.5 * float(Reparameterize.divergence(*inputs).detach()))

    with whole.model.get_submodule("sample").register_forward_hook(record_divergence):
        assert whole.fit(recorder)
    steps = whole.steps_per_epoch
    means = [sum(added[:steps]) / steps, sum(added[steps:]) / steps]
    assert recorder.curve("train", "auxiliary_loss") == pytest.approx(means, rel=1e-5)
    assert whole.titles["auxiliary_loss"] == "Auxiliary loss"
    assert "auxiliary_loss" not in loop(moons(), home).titles

    broken, first, second = loop(bottleneck(0.5, epochs=2), home), Recorder(steps + 2), Recorder()
    assert not broken.fit(first)
    checkpoint, resumed = broken.checkpoint(), loop(bottleneck(0.5, epochs=2), home)
    resumed.resume(checkpoint, broken.best.weights)
    assert resumed.fit(second)
    both = [*first.curve("train", "auxiliary_loss"), *second.curve("train", "auxiliary_loss")]
    assert both == recorder.curve("train", "auxiliary_loss")
