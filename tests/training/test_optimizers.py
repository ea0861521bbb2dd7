"""Optimizers against those of torch.optim in a loop by hand, and the groups of weights that learn alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn, optim

from netloom.compile import module, source
from netloom.document import DataChoice, Project, Training, dumps, loads
from netloom.document.optimizer_settings import OPTIMIZERS, SETTINGS
from netloom.training.batches import batch_bounds
from netloom.training.optimizers import FACTOR, ChainedOptimizer, groups, layer_factors, optimizer
from netloom.training.trainer import Callback, Trainer
from tests.networks import chain
from tests.runs.examples import Recorder, loop, moons

RATE, DECAY, STEPS = 0.01, 1e-3, 12
FUSED: Any = {"fused": True}
# As one writes them by hand. Muon has its own test.
BY_HAND: dict[str, Any] = {
    "adam": lambda weights: optim.Adam(weights, RATE, weight_decay=DECAY, **FUSED),
    "adamw": lambda weights: optim.AdamW(weights, RATE, weight_decay=DECAY, **FUSED),
    "sgd": lambda weights: optim.SGD(weights, RATE, momentum=0.9, weight_decay=DECAY, **FUSED),
    "rmsprop": lambda weights: optim.RMSprop(weights, RATE, weight_decay=DECAY),
    "nadam": lambda weights: optim.NAdam(weights, RATE, weight_decay=DECAY),
    "radam": lambda weights: optim.RAdam(weights, RATE, weight_decay=DECAY),
    "adamax": lambda weights: optim.Adamax(weights, RATE, weight_decay=DECAY),
    "adagrad": lambda weights: optim.Adagrad(weights, RATE, weight_decay=DECAY, **FUSED),
    "adadelta": lambda weights: optim.Adadelta(weights, RATE, weight_decay=DECAY),
    "asgd": lambda weights: optim.ASGD(weights, RATE, weight_decay=DECAY),
    "rprop": lambda weights: optim.Rprop(weights, RATE),
    "adafactor": lambda weights: optim.Adafactor(weights, RATE, weight_decay=DECAY),
}
CHANGED: dict[str, tuple[dict[str, Any], Any]] = {
    "adam": (
        {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3, "amsgrad": True},
        lambda weights: optim.Adam(weights, RATE, (0.5, 0.9), 1e-3, DECAY, True, **FUSED),
    ),
    "sgd": (
        {"momentum": 0.5, "nesterov": True},
        lambda weights: optim.SGD(weights, RATE, 0.5, 0, DECAY, True, **FUSED),
    ),
    "rmsprop": (
        {"smoothing": 0.9, "epsilon": 1e-4, "momentum": 0.5, "centered": True},
        lambda weights: optim.RMSprop(weights, RATE, 0.9, 1e-4, DECAY, 0.5, True),
    ),
    "nadam": (
        {"momentum_decay": 0.1, "decoupled": True},
        lambda weights: optim.NAdam(weights, RATE, weight_decay=DECAY, momentum_decay=0.1, decoupled_weight_decay=True),
    ),
    "adagrad": (
        {"rate_decay": 0.1, "initial": 0.5, "epsilon": 1e-3},
        lambda weights: optim.Adagrad(weights, RATE, 0.1, DECAY, 0.5, 1e-3, **FUSED),
    ),
    "adadelta": (
        {"smoothing": 0.5, "epsilon": 1e-3},
        lambda weights: optim.Adadelta(weights, RATE, 0.5, 1e-3, DECAY),
    ),
    "asgd": (
        {"decay_term": 0.1, "power": 0.5, "average_from": 3},
        lambda weights: optim.ASGD(weights, RATE, 0.1, 0.5, 3, DECAY),
    ),
    "rprop": (
        {"shrink": 0.7, "grow": 1.1, "step_least": 1e-5, "step_most": 0.02},
        lambda weights: optim.Rprop(weights, RATE, (0.7, 1.1), (1e-5, 0.02)),
    ),
    "adafactor": (
        {"beta2_decay": -0.5, "clip_update": 2.0},
        lambda weights: optim.Adafactor(weights, RATE, -0.5, d=2.0, weight_decay=DECAY),
    ),
}


def by_hand(project: Project, made: Trainer, by: Any) -> dict[str, torch.Tensor]:
    """The weights after the same steps on the same rows, with torch's own optimizer."""
    torch.manual_seed(project.training.seed)
    model = module(source(project))
    model.train()
    its = by(model.parameters())
    rows, step = made.data.split["train"], 0
    for epoch in range(project.training.epochs):
        seed = project.training.seed * 1_000_003 + epoch
        order = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
        for start, end in batch_bounds(len(rows), project.training.batch_size):
            if step == STEPS:
                return dict(model.state_dict())
            part = order[start:end]
            its.zero_grad()
            answer = model(made.data.inputs["features"][part])
            nn.functional.cross_entropy(answer, made.data.target[part]).backward()  # type: ignore[no-untyped-call]
            its.step()
            step += 1
    raise AssertionError("too few steps")


def check(project: Project, home: Path, by: Any) -> None:
    made = loop(project, home)
    made.fit(Recorder(STEPS))
    for name, value in by_hand(project, made, by).items():
        assert torch.equal(value, made.model.state_dict()[name]), name


@pytest.mark.parametrize("name", sorted({*OPTIMIZERS} - {"muon"}))
def test_it_does_what_torch_does_bit_for_bit(name: str, home: Path) -> None:
    project = moons(optimizer=name, weight_decay=DECAY, learning_rate=RATE)
    check(project, home, BY_HAND[name])


@pytest.mark.parametrize("name", CHANGED)
def test_its_settings_are_those_of_torch(name: str, home: Path) -> None:
    chosen, by = CHANGED[name]
    assert set(chosen) <= set(OPTIMIZERS[name].settings)
    project = moons(optimizer=name, weight_decay=DECAY, learning_rate=RATE, optimizer_settings=chosen)
    check(loads(dumps(project)), home, by)


def deep(**training: Any) -> Project:
    """An embedding and a norm between layers."""
    return chain(
        ("Input", {"field": "features", "kind": "vector", "shape": [2]}),
        ("Linear", {"units": 8}),
        ("LayerNorm", {}),
        ("ReLU", {}),
        ("Linear", {"units": 6}),
        ("ReLU", {}),
        ("Linear", {"units": 2}),
        data=DataChoice(dataset="moons"),
        training=Training(**{"epochs": 4, "learning_rate": RATE, "device": "cpu", **training}),
    )


def test_muon_has_hidden_matrices_and_adamw_the_rest(home: Path) -> None:
    project = deep(optimizer="muon", weight_decay=DECAY)

    def by(weights: Any) -> ChainedOptimizer:
        found = list(weights)
        inner = [found[4]]  # the weight of the second of three layers
        assert inner[0].shape == (6, 8)
        rest = [weight for weight in found if weight is not inner[0]]
        return ChainedOptimizer(
            {
                "muon": optim.Muon(inner, RATE, DECAY, adjust_lr_fn="match_rms_adamw"),
                "adamw": optim.AdamW(rest, RATE, weight_decay=DECAY, fused=True),
            }
        )

    check(project, home, by)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_loss_falls(name: str, home: Path) -> None:
    # Rprop looks at the sign of the gradient alone, which noise turns round.
    size, epochs = (65_536, 30) if name == "rprop" else (64, 4)
    rate = max(OPTIMIZERS[name].rate, 0.01)
    made = loop(moons(optimizer=name, batch_size=size, epochs=epochs, learning_rate=rate), home)
    before = made.evaluate("validation")["loss"]
    assert made.fit(Callback())
    assert made.best.value < 0.9 * before


def test_one_group_where_all_learn_alike(home: Path) -> None:
    model = module(source(deep()))
    (only,) = groups(Training(weight_decay=0.1), model)
    assert len(only["params"]) == len(list(model.parameters()))
    assert "weight_decay" not in only


def test_no_decay_on_biases_norms_and_embeddings() -> None:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.norm, self.head = nn.Embedding(9, 4), nn.LayerNorm((3, 4)), nn.Linear(4, 2)

    model = Text()
    made = optimizer(Training(weight_decay=0.1, decay_matrices_only=True, optimizer="adamw"), model)
    by_weight = {id(weight): group["weight_decay"] for group in made.param_groups for weight in group["params"]}
    found = {name: by_weight[id(weight)] for name, weight in model.named_parameters()}
    assert found.pop("head.weight") == 0.1
    assert set(found.values()) == {0.0}
    assert len(found) == 4


def test_learning_rates_by_layer_and_by_depth() -> None:
    model = module(source(deep()))
    found = layer_factors(Training(layer_rates={"linear_1": 0.1}, layer_rate_decay=0.5), model)
    assert found == {
        "linear_1.weight": 0.1 * 0.125, "linear_1.bias": 0.1 * 0.125,
        "layernorm_1.weight": 0.25, "layernorm_1.bias": 0.25,
        "linear_2.weight": 0.5, "linear_2.bias": 0.5,
        "linear_3.weight": 1.0, "linear_3.bias": 1.0,
    }  # fmt: skip


def test_the_longest_path_counts_within_other_networks() -> None:
    inner = nn.ModuleDict({"one": nn.Linear(2, 2), "two": nn.Linear(2, 2)})
    model = nn.ModuleDict({"block_1": inner, "head": nn.Linear(2, 2)})
    rates = {"block_1": 0.5, "block_1.two": 3.0, "head": 2.0}
    found = layer_factors(Training(layer_rates=rates), model)
    assert {name.removesuffix(".bias"): value for name, value in found.items() if name.endswith(".bias")} == {
        "block_1.one": 0.5,
        "block_1.two": 3.0,
        "head": 2.0,
    }
    # Within a part that is trained on its own, paths are still those of the whole network.
    assert layer_factors(Training(layer_rates=rates), inner, "block_1")["two.bias"] == 3.0
    alone = nn.ModuleDict({"whole": inner})
    assert layer_factors(Training(layer_rate_decay=0.5), alone)["whole.one.bias"] == 0.5


def test_a_layer_learns_at_its_own_rate(home: Path) -> None:
    """SGD without momentum: the first step of a layer is in proportion to its rate."""
    plain = {"optimizer": "sgd", "optimizer_settings": {"momentum": 0.0}, "schedule": "cosine"}

    def moved(**training: Any) -> dict[str, torch.Tensor]:
        made = loop(deep(**plain, **training), home)
        before = {name: value.clone() for name, value in made.model.state_dict().items()}
        made.fit(Recorder(1))
        return {name: value - before[name] for name, value in made.model.state_dict().items()}

    same, other = moved(), moved(layer_rates={"linear_2": 0.1, "linear_3": 0.0})
    torch.testing.assert_close(other["linear_2.weight"], 0.1 * same["linear_2.weight"], rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(other["linear_1.weight"], same["linear_1.weight"])
    assert not other["linear_3.weight"].any()


def test_frozen_weights_are_in_no_group(home: Path) -> None:
    model = module(source(deep()))
    model.get_submodule("linear_1").requires_grad_(False)
    made = optimizer(Training(optimizer="muon"), model)
    assert sum(len(group["params"]) for group in made.param_groups) == len(list(model.parameters())) - 2
    assert all(FACTOR in group for group in made.param_groups)


def test_declarations_are_whole() -> None:
    for choice in OPTIMIZERS.values():
        assert hasattr(optim, choice.torch)
        assert choice.title
        assert choice.help
        for name, default in choice.settings.items():
            assert not SETTINGS[name].problem(default), (choice.title, name)
