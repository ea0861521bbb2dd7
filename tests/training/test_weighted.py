"""Row weights in losses."""

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
from netloom.validation import analyze
from tests.networks import chain

ROWS = 24


def new_objective(name: str, **loss_weights: object) -> object:
    objective = type(OBJECTIVES[name])()
    objective.loss_weights = LossWeights(**loss_weights)  # type: ignore[arg-type]
    return objective


def random_batch(name: str) -> tuple[torch.Tensor, torch.Tensor]:
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
def test_row_weight_equals_row_repetition(name: str, loss_weights: dict[str, object]) -> None:
    objective = new_objective(name, **loss_weights)
    output, target = random_batch(name)
    counts = torch.arange(ROWS) % 3  # some rows have weight zero
    weights = counts / counts.double().mean()
    if "class_weights" in loss_weights:  # the mean is over class weights, which repeated rows add to
        masses = torch.stack([torch.as_tensor(batch_mass(objective, row[None])) for row in target])  # type: ignore[arg-type]
        weights = counts * masses.sum() / (counts * masses).sum()
    weighted_loss = batch_loss(objective, output, WeightedTargets(target, weights))  # type: ignore[arg-type]
    repeated_loss = batch_loss(objective, output.repeat_interleave(counts, 0), target.repeat_interleave(counts, 0))  # type: ignore[arg-type]
    assert (weighted_loss - repeated_loss).item() == pytest.approx(0, abs=1e-12)
    weighted_gradient, repeated_gradient = (
        torch.autograd.grad(value, output, retain_graph=True)[0] for value in (weighted_loss, repeated_loss)
    )
    assert torch.allclose(weighted_gradient, repeated_gradient, atol=1e-12)
    assert not weighted_gradient[counts == 0].any()


@pytest.mark.parametrize(("name", "loss_weights"), CASES)
def test_equal_row_weights_do_not_change_the_loss(name: str, loss_weights: dict[str, object]) -> None:
    objective = new_objective(name, **loss_weights)
    output, target = random_batch(name)
    even = torch.ones(ROWS, dtype=torch.float64)
    mixed = MixedTargets(target, target.roll(1, 0), 0.3)
    for goal in (target, mixed):
        plain = batch_loss(objective, output, goal)  # type: ignore[arg-type]
        weighted = batch_loss(objective, output, WeightedTargets(goal, even))  # type: ignore[arg-type]
        assert (plain - weighted).item() == pytest.approx(0, abs=1e-12)


def test_weighted_regression_matches_scikit_learn(home: Path) -> None:
    """A linear fit to contradictory rows follows the rows with large weights."""
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 2))
    counts = random.integers(0, 5, 200)
    y = np.where(counts > 2, x @ [2.0, -1.0] + 1, x @ [-1.0, 0.5]) + random.normal(size=200) / 20
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "count": counts, "y": y})
    info = add_file(table.to_csv(index=False).encode(), "rows.csv", home, target="y")
    data = DataChoice(dataset=info.name, options={"target": "y", "columns": {"count": {"role": "weight"}}})
    training = Training(objective="regression", optimizer="sgd", learning_rate=0.1, batch_size=200, epochs=300)
    prepared = prepare(data, home)
    field = ("Input", prepared.schema.inputs[0].parameters())
    project = chain(field, ("Linear", {"units": 1}), data=data, training=training)
    trainer = build_trainer(project, source(project, analyze(project, prepared.schema)), prepared)
    trainer.fit(Callback())
    train = prepared.split["train"]
    inputs, target = prepared.inputs["features"][train].numpy(), prepared.target[train].numpy()
    fitted = LinearRegression().fit(inputs, target, sample_weight=counts[train.numpy()])
    (weight, bias) = (value.detach().cpu().numpy() for value in trainer.model.parameters())
    assert weight == pytest.approx(fitted.coef_.reshape(weight.shape), abs=1e-3)
    assert bias == pytest.approx(fitted.intercept_, abs=1e-3)
    unweighted = LinearRegression().fit(inputs, target)
    assert abs(unweighted.coef_ - fitted.coef_).max() > 0.1, "the weights matter here"
