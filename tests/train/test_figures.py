"""Speed against a hand-written loop, and every template against the figure that it states."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import pytest
import torch
from torch import nn
from torch.nn import functional

from builder.data import bigram_entropy, prepare
from builder.templates import templates
from builder.train import evaluate, fit_here
from builder.train.loop import Watch
from tests.networks import digits_mlp
from tests.train.runs import loop

EPOCHS = 12


def by_hand(inputs: torch.Tensor, target: torch.Tensor) -> float:
    """Seconds that a plain loop over preloaded tensors takes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    start = time.process_time()
    for _ in range(EPOCHS):
        model.train()
        order = torch.randperm(len(target))
        for rows in torch.tensor_split(order, tuple(range(64, len(order), 64))):
            loss = functional.cross_entropy(model(inputs[rows]), target[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return time.process_time() - start


@pytest.mark.alone
def test_training_is_as_fast_as_a_hand_written_loop(home: Path) -> None:
    document = digits_mlp(epochs=EPOCHS, device="cpu")
    data = prepare(document.data, home)
    rows = data.split["train"]
    inputs, target = data.inputs["image"][rows], data.target[rows]
    ratios = []
    for _ in range(5):
        made = loop(document, home)
        start = time.process_time()
        made.run(Watch())
        ours = time.process_time() - start
        ratios.append(by_hand(inputs, target) / ours)
    assert median(ratios) >= 0.8, ratios


@pytest.mark.slow
@pytest.mark.parametrize("name", list(templates()))
def test_template_reaches_its_figure(name: str, home: Path) -> None:
    template = templates()[name]
    project = template.project
    training = project.training.model_copy(update={"device": "cpu"})
    start = time.monotonic()
    trained = fit_here(project.model_copy(update={"training": training}), home)
    assert time.monotonic() - start < 240  # two minutes where nothing else runs
    reached = evaluate(trained).metrics[template.metric]
    if template.below_bigram_entropy:
        assert reached < bigram_entropy(trained.data)
    else:
        assert template.at_least is not None
        assert reached >= template.at_least
