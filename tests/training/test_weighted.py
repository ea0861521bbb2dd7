"""Rows that count more or less than others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression

from netloom.compile import source
from netloom.data import add_file, prepare
from netloom.document import DataChoice, Training
from netloom.training import OBJECTIVES
from netloom.training.batch_loss import batch_loss, batch_mass
from netloom.training.objectives.loss_weights import LossWeights
from netloom.training.targets import MixedTargets, WeightedTargets
from netloom.training.trainer import Callback
from netloom.training.trainers.registry import build_trainer
from netloom.validation import analyse
from tests.networks import chain

ROWS = 24


def objective(name: str, **loss_weights: object) -> object:
    made = type(OBJECTIVES[name])()
    made.loss_weights = LossWeights(**loss_weights)  # type: ignore[arg-type]
    return made


def batch(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    if name == "classification":
        return torch.randn(ROWS, 3, dtype=torch.float64, requires_grad=True), torch.arange(ROWS) % 3
    return torch.randn(ROWS, 2, dtype=torch.float64, requires_grad=True), torch.randn(ROWS, 2, dtype=torch.float64)


CASES = [
    ("classification", {}),
    ("classification", {"label_smoothing": 0.1}),
    ("classification", {"class_weights": torch.tensor([1.0, 5.0, 0.5], dtype=torch.float64), "label_smoothing": 0.2}),
    ("regression", {}),
    ("regression", {"regression": "huber", "delta": 0.3}),
    ("regression", {"regression": "quantile", "quantile": 0.8}),
]


@pytest.mark.parametrize(("name", "loss_weights"), CASES)
def test_a_row_of_weight_two_counts_as_if_it_stood_there_twice(name: str, loss_weights: dict[str, object]) -> None:
    made = objective(name, **loss_weights)
    output, target = batch(name)
    counts = torch.arange(ROWS) % 3  # some rows do not count at all
    weights = counts / counts.double().mean()
    if "class_weights" in loss_weights:  # the mean over rows is taken by class weight, which a repetition adds to
        masses = torch.stack([torch.as_tensor(batch_mass(made, row[None])) for row in target])  # type: ignore[arg-type]
        weights = counts * masses.sum() / (counts * masses).sum()
    found = batch_loss(made, output, WeightedTargets(target, weights))  # type: ignore[arg-type]
    repeated = batch_loss(made, output.repeat_interleave(counts, 0), target.repeat_interleave(counts, 0))  # type: ignore[arg-type]
    assert (found - repeated).item() == pytest.approx(0, abs=1e-12)
    ours, theirs = (torch.autograd.grad(value, output, retain_graph=True)[0] for value in (found, repeated))
    assert torch.allclose(ours, theirs, atol=1e-12)
    assert not ours[counts == 0].any()


@pytest.mark.parametrize(("name", "loss_weights"), CASES)
def test_equal_weights_change_nothing(name: str, loss_weights: dict[str, object]) -> None:
    made = objective(name, **loss_weights)
    output, target = batch(name)
    even = torch.ones(ROWS, dtype=torch.float64)
    mixed = MixedTargets(target, target.roll(1, 0), 0.3)
    for goal in (target, mixed):
        plain, weighted = batch_loss(made, output, goal), batch_loss(made, output, WeightedTargets(goal, even))  # type: ignore[arg-type]
        assert (plain - weighted).item() == pytest.approx(0, abs=1e-12)


def test_a_weighted_regression_is_that_of_scikit_learn(home: Path) -> None:
    """A line fitted to rows that disagree goes by those that count."""
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 2))
    counts = random.integers(0, 5, 200)
    y = np.where(counts > 2, x @ [2.0, -1.0] + 1, x @ [-1.0, 0.5]) + random.normal(size=200) / 20
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "count": counts, "y": y})
    info = add_file(table.to_csv(index=False).encode(), "rows.csv", home, target="y")
    data = DataChoice(dataset=info.name, options={"target": "y", "columns": {"count": {"role": "weight"}}})
    training = Training(objective="regression", optimizer="sgd", learning_rate=0.1, batch_size=200, epochs=300)
    found = prepare(data, home)
    field = ("Input", found.schema.inputs[0].parameters())
    project = chain(field, ("Linear", {"units": 1}), data=data, training=training)
    loop = build_trainer(project, source(project, analyse(project, found.schema)), found)
    loop.fit(Callback())
    train = found.split["train"]
    inputs, target = found.inputs["features"][train].numpy(), found.target[train].numpy()
    fitted = LinearRegression().fit(inputs, target, sample_weight=counts[train.numpy()])
    (weight, bias) = (value.detach().numpy() for value in loop.model.parameters())
    assert weight == pytest.approx(fitted.coef_.reshape(weight.shape), abs=1e-3)
    assert bias == pytest.approx(fitted.intercept_, abs=1e-3)
    plain = LinearRegression().fit(inputs, target)
    assert abs(plain.coef_ - fitted.coef_).max() > 0.1, "the weights matter here"
