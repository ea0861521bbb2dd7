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
from netloom.validation import analyse
from tests.networks import chain

BENDS: dict[str, Any] = {
    "gelu": nn.functional.gelu,
    "relu": torch.relu,
    "swiglu": nn.functional.silu,
    "geglu": nn.functional.gelu,
}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def made(*args: Any, **options: Any) -> MixtureOfExperts:
    """A mixture whose biases and router have left their start."""
    torch.manual_seed(0)
    layer = MixtureOfExperts(*args, **options).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer


def expert(experts: Experts, number: int, x: torch.Tensor, activation: str) -> torch.Tensor:
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


def one_by_one(
    layer: MixtureOfExperts, x: torch.Tensor, activation: str, places: int | None = None
) -> tuple[torch.Tensor, int]:
    """Each step and each of its choices by itself; where an expert has only so many places, how many were dropped."""
    steps = x.reshape(-1, x.shape[-1])
    chances = [(layer.router.weight @ step).exp() for step in steps]
    chances = [chance / chance.sum() for chance in chances]
    ranked = [chance.argsort(descending=True).tolist() for chance in chances]
    out, taken, dropped = torch.zeros_like(steps), [0] * len(chances[0]), 0
    for rank in range(layer.top):
        for s, step in enumerate(steps):
            chosen = ranked[s][rank]
            taken[chosen] += 1
            if places is not None and taken[chosen] > places:
                dropped += 1
                continue
            gate = chances[s][chosen]
            if layer.top > 1:
                gate = gate / sum(chances[s][e] for e in ranked[s][: layer.top])
            out[s] = out[s] + gate * expert(layer.experts, chosen, step, activation)
    return out.view_as(x), dropped


@pytest.mark.parametrize("top", [1, 2, 3])
@pytest.mark.parametrize(("activation", "bias"), [("gelu", True), ("relu", False), ("swiglu", False), ("geglu", True)])
def test_a_mixture_is_the_loop_over_its_experts(activation: str, bias: bool, top: int) -> None:
    layer = made(4, 6, 3, top, activation, bias)
    for x in (random(2, 5, 4), random(7, 4)):
        for training in (True, False):
            close(layer.train(training)(x), one_by_one(layer, x, activation)[0])


@pytest.mark.parametrize(("capacity", "top"), [(0.5, 1), (1.0, 1), (1.0, 2), (0.7, 2), (100.0, 2)])
def test_a_capacity_drops_what_comes_late_in_training_alone(capacity: float, top: int) -> None:
    layer = made(4, 6, 3, top, capacity=capacity)
    x = random(2, 9, 4)
    places = math.ceil(capacity * 18 * top / 3)
    wanted, dropped = one_by_one(layer, x, "gelu", places)
    assert (dropped > 0) == (capacity < 100)
    close(layer.train()(x), wanted)
    close(layer.eval()(x), one_by_one(layer, x, "gelu")[0])


def test_a_dropped_step_gets_zero() -> None:
    layer = made(4, 6, 2, 1, capacity=0.5)
    out = layer(random(1, 4).expand(6, 4).clone())  # all want the same expert, which has two places
    close(out[0], out[1])
    assert (out[0] != 0).all()
    assert (out[2:] == 0).all()


@pytest.mark.parametrize("capacity", [None, 1.0])
@pytest.mark.parametrize("top", [1, 2])
def test_the_balance_loss_is_its_formula(top: int, capacity: float | None) -> None:
    """Equations 4 to 6 of https://arxiv.org/abs/2101.03961; the shares count all choices of a step."""
    layer = made(4, 6, 3, top, balance=0.5, capacity=capacity)
    x = random(2, 5, 4)
    layer(x)
    chances = (x.view(10, 4) @ layer.router.weight.T).softmax(-1)
    counts = [0, 0, 0]
    for row in chances.tolist():
        for chosen in sorted(range(3), key=lambda e, row=row: -row[e])[:top]:  # type: ignore[misc]
            counts[chosen] += 1
    shares = [count / (10 * top) for count in counts]
    wanted = 0.5 * 3 * sum(share * chances[:, e].mean() for e, share in enumerate(shares))
    assert layer.auxiliary_loss is not None
    assert layer.auxiliary_loss.shape == ()
    close(layer.auxiliary_loss, torch.as_tensor(wanted))
    layer.auxiliary_loss.backward()  # type: ignore[no-untyped-call]
    assert layer.router.weight.grad is not None
    assert (layer.router.weight.grad != 0).any()


def test_the_balance_loss_is_least_where_the_experts_share_evenly() -> None:
    layer = MixtureOfExperts(4, 6, 4, 1, balance=1.0)
    even = torch.full((8, 4), 0.25)
    assert float(layer.imbalance(even, torch.arange(8).unsqueeze(1) % 4)) == pytest.approx(1.0)
    one_sided = torch.tensor([[1.0, 0, 0, 0]]).expand(8, 4)
    assert float(layer.imbalance(one_sided, torch.zeros(8, 1, dtype=torch.long))) == pytest.approx(4.0)


def test_the_loss_is_there_in_training_alone_and_stays_out_of_copies() -> None:
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
def test_a_mixture_has_the_right_gradients(options: dict[str, Any]) -> None:
    layer = made(3, 4, 3, **options)
    assert torch.autograd.gradcheck(layer, (random(2, 3, 3).requires_grad_(),))
    names = [name for name, _ in layer.named_parameters()]
    values = [value.detach().clone().requires_grad_() for value in layer.parameters()]
    x = random(4, 3)

    def answer(*given: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.func.functional_call(layer, dict(zip(names, given, strict=True)), (x,))
        return found

    assert torch.autograd.gradcheck(answer, values)


def test_training_with_the_loss_spreads_the_steps() -> None:
    """A router that sends all to one expert lets go of it."""
    torch.manual_seed(0)
    layer = MixtureOfExperts(4, 6, 4, 1, balance=1.0)
    x = torch.randn(64, 4) + torch.tensor([3.0, 0, 0, 0])
    with torch.no_grad():
        layer.router.weight.zero_()
        layer.router.weight[2, 0] = 1.0
    assert int(layer.router(x).argmax(-1).bincount(minlength=4)[2]) > 60
    optimiser = torch.optim.Adam(layer.router.parameters(), lr=0.02)
    losses = []
    for _ in range(150):
        optimiser.zero_grad()
        layer(x)
        assert layer.auxiliary_loss is not None
        layer.auxiliary_loss.backward()  # type: ignore[no-untyped-call]
        losses.append(float(layer.auxiliary_loss.detach()))
        optimiser.step()
    counts = layer.router(x).argmax(-1).bincount(minlength=4)
    assert losses[0] > 2.0
    assert losses[-1] < 1.3
    assert int(counts.max()) < 48


def count(params: dict[str, Any], width: int) -> int:
    document = chain(("Input", {"kind": "sequence", "shape": [4, width]}), ("MixtureOfExperts", params))
    return analyse(document).nodes["mixtureofexperts_1"].parameters


def test_published_parameter_counts() -> None:
    """Mixtral 8x7B, https://arxiv.org/abs/2401.04088: attention, mixture and two norms in each of 32 blocks."""
    mixture = count({"experts": 8, "top": 2, "hidden": 14336, "activation": "swiglu", "bias": False}, 4096)
    attention = 2 * 4096**2 + 2 * 4096 * 1024
    assert 32 * (attention + mixture + 2 * 4096) + 2 * 32000 * 4096 + 4096 == 46_702_792_704
    assert count({"experts": 4, "hidden": 32}, 16) == 16 * 4 + 4 * (2 * 16 * 32 + 32 + 16)


def test_a_capacity_saves_computation() -> None:
    """Without one each expert computes each step; with one as many as there are choices, and a quarter more."""
    flops = {}
    for capacity in (None, 1.0):
        params = {"experts": 8, "top": 1, "hidden": 32, "capacity": capacity}
        document = chain(("Input", {"kind": "sequence", "shape": [64, 16]}), ("MixtureOfExperts", params))
        flops[capacity] = analyse(document).nodes["mixtureofexperts_1"].flops
    router = 2 * 64 * 16 * 8
    assert flops[None] - router == 8 * (flops[1.0] - router) == 8 * 64 * 2 * 2 * 16 * 32


def test_more_choices_than_experts_are_refused() -> None:
    params = {"experts": 2, "top": 3}
    document = chain(("Input", {"kind": "sequence", "shape": [4, 8]}), ("MixtureOfExperts", params))
    [message] = [issue.message for issue in analyse(document).errors if issue.code == "shape"]
    assert "lower top" in message
