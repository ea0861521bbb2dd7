"""Optimizers against those of torch.optim in a manual loop, and parameter groups."""

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
from netloom.training.optimization.optimizers import FACTOR, ChainedOptimizer, groups, layer_factors, optimizer
from netloom.training.trainer import Callback, Trainer
from tests.networks import chain
from tests.runs.examples import Recorder, loop, moons

RATE, DECAY, STEPS = 0.01, 1e-3, 12
FUSED: Any = {"fused": True}
# Plain torch.optim calls. Muon has its own test.
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
        {"lr_decay": 0.1, "initial_accumulator_value": 0.5, "epsilon": 1e-3},
        lambda weights: optim.Adagrad(weights, RATE, 0.1, DECAY, 0.5, 1e-3, **FUSED),
    ),
    "adadelta": (
        {"smoothing": 0.5, "epsilon": 1e-3},
        lambda weights: optim.Adadelta(weights, RATE, 0.5, 1e-3, DECAY),
    ),
    "asgd": (
        {"lambd": 0.1, "alpha": 0.5, "t0": 3},
        lambda weights: optim.ASGD(weights, RATE, 0.1, 0.5, 3, DECAY),
    ),
    "rprop": (
        {"eta_minus": 0.7, "eta_plus": 1.1, "min_step": 1e-5, "max_step": 0.02},
        lambda weights: optim.Rprop(weights, RATE, (0.7, 1.1), (1e-5, 0.02)),
    ),
    "adafactor": (
        {"beta2_decay": -0.5, "clip_threshold": 2.0},
        lambda weights: optim.Adafactor(weights, RATE, -0.5, d=2.0, weight_decay=DECAY),
    ),
}


def weights_by_hand(project: Project, trainer: Trainer, build_optimizer: Any) -> dict[str, torch.Tensor]:
    """The weights after the same steps on the same rows with the torch optimizer."""
    torch.manual_seed(project.training.seed)
    model = module(source(project))
    model.train()
    torch_optimizer = build_optimizer(model.parameters())
    rows, step = trainer.data.split["train"], 0
    for epoch in range(project.training.epochs):
        seed = project.training.seed * 1_000_003 + epoch
        order = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
        for start, end in batch_bounds(len(rows), project.training.batch_size):
            if step == STEPS:
                return dict(model.state_dict())
            batch = order[start:end]
            torch_optimizer.zero_grad()
            output = model(trainer.data.inputs["features"][batch])
            nn.functional.cross_entropy(output, trainer.data.target[batch]).backward()  # type: ignore[no-untyped-call]
            torch_optimizer.step()
            step += 1
    raise AssertionError("too few steps")


def assert_equals_torch(project: Project, home: Path, build_optimizer: Any) -> None:
    trainer = loop(project, home)
    trainer.fit(Recorder(STEPS))
    for name, value in weights_by_hand(project, trainer, build_optimizer).items():
        assert torch.equal(value, trainer.model.state_dict()[name]), name


@pytest.mark.parametrize("name", sorted({*OPTIMIZERS} - {"muon"}))
def test_optimizer_matches_torch_bit_for_bit(name: str, home: Path) -> None:
    project = moons(optimizer=name, weight_decay=DECAY, learning_rate=RATE)
    assert_equals_torch(project, home, BY_HAND[name])


@pytest.mark.parametrize("name", CHANGED)
def test_optimizer_settings_match_torch(name: str, home: Path) -> None:
    settings, build_optimizer = CHANGED[name]
    assert set(settings) <= set(OPTIMIZERS[name].settings)
    project = moons(optimizer=name, weight_decay=DECAY, learning_rate=RATE, optimizer_settings=settings)
    assert_equals_torch(loads(dumps(project)), home, build_optimizer)


def deep_mlp(**training: Any) -> Project:
    """Three linear layers with a layer norm."""
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


def test_muon_optimizes_hidden_matrices_and_adamw_the_rest(home: Path) -> None:
    project = deep_mlp(optimizer="muon", weight_decay=DECAY)

    def build_optimizer(weights: Any) -> ChainedOptimizer:
        all_weights = list(weights)
        inner = [all_weights[4]]  # the weight of the second of three layers
        assert inner[0].shape == (6, 8)
        rest = [weight for weight in all_weights if weight is not inner[0]]
        return ChainedOptimizer(
            {
                "muon": optim.Muon(inner, RATE, DECAY, adjust_lr_fn="match_rms_adamw"),
                "adamw": optim.AdamW(rest, RATE, weight_decay=DECAY, fused=True),
            }
        )

    assert_equals_torch(project, home, build_optimizer)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_loss_falls_with_every_optimizer(name: str, home: Path) -> None:
    # Rprop uses only the sign of the gradient, which noise flips.
    size, epochs = (65_536, 30) if name == "rprop" else (64, 4)
    rate = max(OPTIMIZERS[name].rate, 0.01)
    trainer = loop(moons(optimizer=name, batch_size=size, epochs=epochs, learning_rate=rate), home)
    before = trainer.evaluate("validation")["loss"]
    assert trainer.fit(Callback())
    assert trainer.best.value < 0.9 * before


def test_uniform_settings_give_one_parameter_group(home: Path) -> None:
    model = module(source(deep_mlp()))
    (only,) = groups(Training(weight_decay=0.1), model)
    assert len(only["params"]) == len(list(model.parameters()))
    assert "weight_decay" not in only


def test_no_decay_on_biases_norms_and_embeddings() -> None:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.norm, self.head = nn.Embedding(9, 4), nn.LayerNorm((3, 4)), nn.Linear(4, 2)

    model = Text()
    built = optimizer(Training(weight_decay=0.1, decay_matrices_only=True, optimizer="adamw"), model)
    by_weight = {id(weight): group["weight_decay"] for group in built.param_groups for weight in group["params"]}
    decays = {name: by_weight[id(weight)] for name, weight in model.named_parameters()}
    assert decays.pop("head.weight") == 0.1
    assert set(decays.values()) == {0.0}
    assert len(decays) == 4


def test_layer_rates_combine_with_layer_wise_decay() -> None:
    model = module(source(deep_mlp()))
    factors = layer_factors(Training(layer_lr_multipliers={"linear_1": 0.1}, layer_lr_decay=0.5), model)
    assert factors == {
        "linear_1.weight": 0.1 * 0.125, "linear_1.bias": 0.1 * 0.125,
        "layernorm_1.weight": 0.25, "layernorm_1.bias": 0.25,
        "linear_2.weight": 0.5, "linear_2.bias": 0.5,
        "linear_3.weight": 1.0, "linear_3.bias": 1.0,
    }  # fmt: skip


def test_layer_rates_use_the_longest_matching_path() -> None:
    inner = nn.ModuleDict({"one": nn.Linear(2, 2), "two": nn.Linear(2, 2)})
    model = nn.ModuleDict({"block_1": inner, "head": nn.Linear(2, 2)})
    rates = {"block_1": 0.5, "block_1.two": 3.0, "head": 2.0}
    factors = layer_factors(Training(layer_lr_multipliers=rates), model)
    assert {name.removesuffix(".bias"): value for name, value in factors.items() if name.endswith(".bias")} == {
        "block_1.one": 0.5,
        "block_1.two": 3.0,
        "head": 2.0,
    }
    # In a part that is trained separately, paths are still those of the whole network.
    assert layer_factors(Training(layer_lr_multipliers=rates), inner, "block_1")["two.bias"] == 3.0
    alone = nn.ModuleDict({"whole": inner})
    assert layer_factors(Training(layer_lr_decay=0.5), alone)["whole.one.bias"] == 0.5


def test_layer_rate_scales_the_first_step(home: Path) -> None:
    """SGD without momentum: the first step of a layer is proportional to its rate."""
    plain = {"optimizer": "sgd", "optimizer_settings": {"momentum": 0.0}, "schedule": "cosine"}

    def weight_changes(**training: Any) -> dict[str, torch.Tensor]:
        trainer = loop(deep_mlp(**plain, **training), home)
        before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        trainer.fit(Recorder(1))
        return {name: value - before[name] for name, value in trainer.model.state_dict().items()}

    default_rates, layer_rates_changes = (
        weight_changes(),
        weight_changes(layer_lr_multipliers={"linear_2": 0.1, "linear_3": 0.0}),
    )
    torch.testing.assert_close(
        layer_rates_changes["linear_2.weight"], 0.1 * default_rates["linear_2.weight"], rtol=1e-3, atol=1e-7
    )
    torch.testing.assert_close(layer_rates_changes["linear_1.weight"], default_rates["linear_1.weight"])
    assert not layer_rates_changes["linear_3.weight"].any()


def test_frozen_weights_are_in_no_parameter_group(home: Path) -> None:
    model = module(source(deep_mlp()))
    model.get_submodule("linear_1").requires_grad_(False)
    built = optimizer(Training(optimizer="muon"), model)
    assert sum(len(group["params"]) for group in built.param_groups) == len(list(model.parameters())) - 2
    assert all(FACTOR in group for group in built.param_groups)


def test_optimizer_declarations_are_complete() -> None:
    for choice in OPTIMIZERS.values():
        assert hasattr(optim, choice.torch)
        assert choice.title
        assert choice.help
        for name, default in choice.settings.items():
            assert not SETTINGS[name].problem(default), (choice.title, name)
