"""Losses that modules leave in training: they are lowered with that of the objective, and recorded beside it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from netloom.document import DataChoice, Project, Training
from netloom.nn.generative import Reparameterise
from netloom.training.loop import SupervisedTrainer
from netloom.training.trainer import Trainer
from tests.networks import project
from tests.runs.examples import Recorder, loop, moons


def bottleneck(coefficient: float, **training: Any) -> Project:
    """The moons through a latent vector of four numbers with a mean and a variance."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "input_1": ("Input", {"field": "features", "kind": "vector", "shape": [2]}),
        "linear_1": ("Linear", {"units": 16}),
        "relu_1": ("ReLU", {}),
        "mean": ("Linear", {"units": 4}),
        "log_variance": ("Linear", {"units": 4}),
        "sample": ("Reparameterise", {"coefficient": coefficient}),
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


def divergence(made: Trainer) -> float:
    """The divergence of the latent vectors for the validation split, without the loop's help."""
    seen = []
    sample = made.model.get_submodule("sample")
    with sample.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs)):
        made.evaluate("validation")
    assert len(seen) == 1
    return float(Reparameterise.divergence(*seen[0]))


def test_the_divergence_of_a_sampled_vector_falls(home: Path) -> None:
    free, pulled = loop(bottleneck(0.0), home), loop(bottleneck(1.0), home)
    before = divergence(pulled)
    assert before == divergence(free)
    assert free.fit(Recorder())
    assert pulled.fit(Recorder())
    assert divergence(pulled) < 0.2 * before < divergence(free)


class Constant(nn.Module):
    """A linear layer that leaves `loss` of its weight, and counts its forwards in training."""

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
def test_recorded_loss_is_the_objectives_and_the_gradient_that_of_the_sum(factor: float, home: Path) -> None:
    plain = loop(moons(optimizer="sgd", learning_rate=0.001, epochs=1), home)
    torch.manual_seed(0)
    module = Constant(factor)
    weights = copy.deepcopy(module.state_dict())
    made = SupervisedTrainer(module, plain.objective, plain.data, plain.fields, plain.training, "cpu")
    first = Recorder(stop_at=1)
    assert not made.fit(first)
    made.flush()
    order = torch.randperm(made.loader.rows, generator=torch.Generator().manual_seed(0))[: made.batch_size]
    rows = plain.data.split["train"][order]
    weight, bias = (weights[name].requires_grad_() for name in ("linear.weight", "linear.bias"))
    objective = nn.functional.cross_entropy(
        plain.data.inputs["features"][rows] @ weight.T + bias, plain.data.target[rows]
    )
    assert first.curve("train", "batch_loss") == pytest.approx([float(objective.detach())], rel=1e-5)
    (gradient,) = torch.autograd.grad(objective + factor * weight.sum(), weight)
    torch.testing.assert_close(module.linear.weight, weight - 0.001 * gradient)


def test_every_module_counts_once_and_none_is_kept_after_a_step(home: Path) -> None:
    plain = loop(moons(optimizer="sgd", learning_rate=0.001, epochs=1), home)
    model = nn.Sequential(Constant(0.5), nn.Sequential(Constant(2.0)))
    made = SupervisedTrainer(model, plain.objective, plain.data, plain.fields, plain.training, "cpu")
    before, loss = [copy.deepcopy(part) for part in model.parameters()], torch.tensor(3.0)
    model(torch.zeros(2, 2))
    total = made.auxiliary_losses.add_to(loss)
    sums = [float(before[number].sum().detach()) for number in (0, 2)]
    assert float(total.detach()) == pytest.approx(3.0 + 0.5 * sums[0] + 2.0 * sums[1], abs=1e-5)
    assert made.auxiliary_losses.add_to(loss) is loss  # what a forward left is added once
    assert made.fit(Recorder())
    copy.deepcopy(model)  # a tensor with a history could not be copied


def test_a_network_without_such_modules_has_nothing_to_add(home: Path) -> None:
    made, loss = loop(moons(), home), torch.tensor(1.0)
    assert made.auxiliary_losses.modules == []
    assert made.auxiliary_losses.add_to(loss) is loss


def test_what_modules_add_is_on_the_curves_and_goes_on_after_a_break(home: Path) -> None:
    """The mean over the steps of each epoch, which a checkpoint within an epoch does not change."""
    whole, seen = loop(bottleneck(0.5, epochs=2), home), Recorder()
    added: list[float] = []

    def note(_module: nn.Module, inputs: Any, _output: Any) -> None:
        if whole.model.training:
            added.append(0.5 * float(Reparameterise.divergence(*inputs).detach()))

    with whole.model.get_submodule("sample").register_forward_hook(note):
        assert whole.fit(seen)
    steps = whole.steps_per_epoch
    means = [sum(added[:steps]) / steps, sum(added[steps:]) / steps]
    assert seen.curve("train", "auxiliary_loss") == pytest.approx(means, rel=1e-5)
    assert whole.titles["auxiliary_loss"] == "Auxiliary loss"
    assert "auxiliary_loss" not in loop(moons(), home).titles

    broken, first, second = loop(bottleneck(0.5, epochs=2), home), Recorder(steps + 2), Recorder()
    assert not broken.fit(first)
    checkpoint, resumed = broken.checkpoint(), loop(bottleneck(0.5, epochs=2), home)
    resumed.resume(checkpoint, broken.best.weights)
    assert resumed.fit(second)
    both = [*first.curve("train", "auxiliary_loss"), *second.curve("train", "auxiliary_loss")]
    assert both == seen.curve("train", "auxiliary_loss")
