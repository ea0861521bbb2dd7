"""Mixtures of experts, against a loop over steps and experts."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from netloom.nn.mixture import Experts, MixtureOfExperts
from netloom.validation import analyze
from tests.networks import chain

BENDS: dict[str, Any] = {
    "gelu": nn.functional.gelu,
    "relu": torch.relu,
    "swiglu": nn.functional.silu,
    "geglu": nn.functional.gelu,
}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


def build_perturbed(*args: Any, **options: Any) -> MixtureOfExperts:
    """A mixture with perturbed parameters, so that biases and router are not at their initial values."""
    torch.manual_seed(0)
    layer = MixtureOfExperts(*args, **options).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer


def run_expert(experts: Experts, number: int, x: torch.Tensor, activation: str) -> torch.Tensor:
    middle = x @ experts.up[number]
    if experts.up_bias is not None:
        middle = middle + experts.up_bias[number, 0]
    if activation in ("swiglu", "geglu"):
        half = len(middle) // 2
        middle = BENDS[activation](middle[:half]) * middle[half:]
    else:
        middle = BENDS[activation](middle)
    out: torch.Tensor = middle @ experts.down[number]
    return out if experts.down_bias is None else out + experts.down_bias[number, 0]


def reference_mixture(
    layer: MixtureOfExperts, x: torch.Tensor, activation: str, capacity: int | None = None
) -> tuple[torch.Tensor, int]:
    """Route step by step and choice by choice; also return how many choices exceed the capacity of an expert."""
    steps = x.reshape(-1, x.shape[-1])
    probabilities = [(layer.router.weight @ step).exp() for step in steps]
    probabilities = [probability / probability.sum() for probability in probabilities]
    ranked = [probability.argsort(descending=True).tolist() for probability in probabilities]
    out, assigned, dropped = torch.zeros_like(steps), [0] * len(probabilities[0]), 0
    for rank in range(layer.top):
        for s, step in enumerate(steps):
            chosen = ranked[s][rank]
            assigned[chosen] += 1
            if capacity is not None and assigned[chosen] > capacity:
                dropped += 1
                continue
            gate = probabilities[s][chosen]
            if layer.top > 1:
                gate = gate / sum(probabilities[s][e] for e in ranked[s][: layer.top])
            out[s] = out[s] + gate * run_expert(layer.experts, chosen, step, activation)
    return out.view_as(x), dropped


@pytest.mark.parametrize("top", [1, 2, 3])
@pytest.mark.parametrize(("activation", "bias"), [("gelu", True), ("relu", False), ("swiglu", False), ("geglu", True)])
def test_mixture_matches_a_loop_over_experts(activation: str, bias: bool, top: int) -> None:
    layer = build_perturbed(4, 6, 3, top, activation, bias)
    for x in (random(2, 5, 4), random(7, 4)):
        for training in (True, False):
            assert_close(layer.train(training)(x), reference_mixture(layer, x, activation)[0])


@pytest.mark.parametrize(("capacity", "top"), [(0.5, 1), (1.0, 1), (1.0, 2), (0.7, 2), (100.0, 2)])
def test_capacity_drops_late_steps_only_in_training(capacity: float, top: int) -> None:
    layer = build_perturbed(4, 6, 3, top, capacity=capacity)
    x = random(2, 9, 4)
    expert_capacity = math.ceil(capacity * 18 * top / 3)
    expected, dropped = reference_mixture(layer, x, "gelu", expert_capacity)
    assert (dropped > 0) == (capacity < 100)
    assert_close(layer.train()(x), expected)
    assert_close(layer.eval()(x), reference_mixture(layer, x, "gelu")[0])


def test_dropped_step_outputs_zero() -> None:
    layer = build_perturbed(4, 6, 2, 1, capacity=0.5)
    out = layer(random(1, 4).expand(6, 4).clone())  # all steps select the same expert, which has a capacity of two
    assert_close(out[0], out[1])
    assert (out[0] != 0).all()
    assert (out[2:] == 0).all()


@pytest.mark.parametrize("capacity", [None, 1.0])
@pytest.mark.parametrize("top", [1, 2])
def test_balance_loss_matches_its_formula(top: int, capacity: float | None) -> None:
    """Equations 4 to 6 of https://arxiv.org/abs/2101.03961; the fractions count all choices of a step."""
    layer = build_perturbed(4, 6, 3, top, balance=0.5, capacity=capacity)
    x = random(2, 5, 4)
    layer(x)
    probabilities = (x.view(10, 4) @ layer.router.weight.T).softmax(-1)
    counts = [0, 0, 0]
    for row in probabilities.tolist():
        for chosen in sorted(range(3), key=lambda e, row=row: -row[e])[:top]:  # type: ignore[misc]
            counts[chosen] += 1
    shares = [count / (10 * top) for count in counts]
    expected = 0.5 * 3 * sum(share * probabilities[:, e].mean() for e, share in enumerate(shares))
    assert layer.auxiliary_loss is not None
    assert layer.auxiliary_loss.shape == ()
    assert_close(layer.auxiliary_loss, torch.as_tensor(expected))
    layer.auxiliary_loss.backward()  # type: ignore[no-untyped-call]
    assert layer.router.weight.grad is not None
    assert (layer.router.weight.grad != 0).any()


def test_balance_loss_is_minimal_for_uniform_routing() -> None:
    layer = MixtureOfExperts(4, 6, 4, 1, balance=1.0)
    even = torch.full((8, 4), 0.25)
    assert float(layer.imbalance(even, torch.arange(8).unsqueeze(1) % 4)) == pytest.approx(1.0)
    one_sided = torch.tensor([[1.0, 0, 0, 0]]).expand(8, 4)
    assert float(layer.imbalance(one_sided, torch.zeros(8, 1, dtype=torch.long))) == pytest.approx(4.0)


def test_balance_loss_exists_only_in_training_and_not_in_copies() -> None:
    layer = MixtureOfExperts(4, 6)
    assert layer.auxiliary_loss is None
    layer(torch.randn(3, 4))
    assert layer.auxiliary_loss is not None
    assert copy.deepcopy(layer).auxiliary_loss is None
    assert pickle.loads(pickle.dumps(layer)).auxiliary_loss is None
    assert layer.auxiliary_loss is not None
    layer.eval()(torch.randn(3, 4))
    assert layer.auxiliary_loss is None


@pytest.mark.parametrize("options", [{}, {"top": 1}, {"capacity": 1.0}, {"activation": "swiglu", "bias": False}])
def test_mixture_passes_gradcheck(options: dict[str, Any]) -> None:
    layer = build_perturbed(3, 4, 3, **options)
    assert torch.autograd.gradcheck(layer, (random(2, 3, 3).requires_grad_(),))
    names = [name for name, _ in layer.named_parameters()]
    values = [value.detach().clone().requires_grad_() for value in layer.parameters()]
    x = random(4, 3)

    def run_with_parameters(*parameter_values: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = torch.func.functional_call(layer, dict(zip(names, parameter_values, strict=True)), (x,))
        return output

    assert torch.autograd.gradcheck(run_with_parameters, values)


def test_training_on_the_balance_loss_spreads_the_routing() -> None:
    """A router that sends all steps to one expert learns to distribute them."""
    torch.manual_seed(0)
    layer = MixtureOfExperts(4, 6, 4, 1, balance=1.0)
    x = torch.randn(64, 4) + torch.tensor([3.0, 0, 0, 0])
    with torch.no_grad():
        layer.router.weight.zero_()
        layer.router.weight[2, 0] = 1.0
    assert int(layer.router(x).argmax(-1).bincount(minlength=4)[2]) > 60
    optimizer = torch.optim.Adam(layer.router.parameters(), lr=0.02)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        layer(x)
        assert layer.auxiliary_loss is not None
        layer.auxiliary_loss.backward()  # type: ignore[no-untyped-call]
        losses.append(float(layer.auxiliary_loss.detach()))
        optimizer.step()
    counts = layer.router(x).argmax(-1).bincount(minlength=4)
    assert losses[0] > 2.0
    assert losses[-1] < 1.3
    assert int(counts.max()) < 48


def count(params: dict[str, Any], width: int) -> int:
    document = chain(("Input", {"kind": "sequence", "shape": [4, width]}), ("MixtureOfExperts", params))
    return analyze(document).nodes["mixtureofexperts_1"].parameters


def test_parameter_counts_match_published_models() -> None:
    """Mixtral 8x7B, https://arxiv.org/abs/2401.04088: attention, mixture and two norms in each of 32 blocks."""
    mixture = count({"experts": 8, "top": 2, "hidden": 14336, "activation": "swiglu", "bias": False}, 4096)
    attention = 2 * 4096**2 + 2 * 4096 * 1024
    assert 32 * (attention + mixture + 2 * 4096) + 2 * 32000 * 4096 + 4096 == 46_702_792_704
    assert count({"experts": 4, "hidden": 32}, 16) == 16 * 4 + 4 * (2 * 16 * 32 + 32 + 16)


def test_capacity_reduces_flops() -> None:
    """Without a capacity each expert computes every step; with one, only as many as it can hold."""
    flops = {}
    for capacity in (None, 1.0):
        params = {"experts": 8, "top": 1, "hidden": 32, "capacity": capacity}
        document = chain(("Input", {"kind": "sequence", "shape": [64, 16]}), ("MixtureOfExperts", params))
        flops[capacity] = analyze(document).nodes["mixtureofexperts_1"].flops
    router = 2 * 64 * 16 * 8
    assert flops[None] - router == 8 * (flops[1.0] - router) == 8 * 64 * 2 * 2 * 16 * 32


def test_top_k_larger_than_expert_count_is_refused() -> None:
    params = {"experts": 2, "top": 3}
    document = chain(("Input", {"kind": "sequence", "shape": [4, 8]}), ("MixtureOfExperts", params))
    [message] = [issue.message for issue in analyze(document).errors if issue.code == "shape"]
    assert "lower top" in message
