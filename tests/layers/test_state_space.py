"""State space layers against their recurrences, one step at a time."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from netloom.nn.state_space import S4D, DiagonalStateSpace, LinearRecurrence, Mamba, MambaBlock
from netloom.validation import analyze
from tests.networks import chain


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


def build_seeded(kind: type[nn.Module], *args: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    return kind(*args, **options).double()


def reference_recurrence(decay: torch.Tensor, drive: torch.Tensor) -> torch.Tensor:
    state, states = torch.zeros_like(drive[:, 0]), []
    for step in range(drive.shape[1]):
        state = decay[:, step] * state + drive[:, step]
        states.append(state)
    return torch.stack(states, dim=1)


@pytest.mark.parametrize("steps", [*range(1, 18), 31, 64, 100, 257])
def test_scan_matches_the_recurrence(steps: int) -> None:
    decay, drive = random(2, steps, 3, 2).sigmoid(), random(2, steps, 3, 2, seed=1)
    assert_close(LinearRecurrence()(decay, drive), reference_recurrence(decay, drive))
    assert_close(
        LinearRecurrence()(random(2, steps, 3), drive[..., 0]), reference_recurrence(random(2, steps, 3), drive[..., 0])
    )


def test_scan_is_exact_for_zero_negative_and_tiny_decays() -> None:
    """Decays of 1, 0, −0.999 and 1e-200 over 2,000 steps, where a scan in log space would fail."""
    decay = torch.ones(1, 2000, 4, dtype=torch.float64)
    decay[:, ::7, 1], decay[..., 2], decay[..., 3] = 0.0, -0.999, 1e-200
    drive = random(1, 2000, 4)
    assert_close(LinearRecurrence()(decay, drive), reference_recurrence(decay, drive))


def test_scan_passes_gradcheck() -> None:
    for steps in (1, 2, 5, 8):
        inputs = random(2, steps, 3).requires_grad_(), random(2, steps, 3, seed=1).requires_grad_()
        assert torch.autograd.gradcheck(LinearRecurrence(), inputs)


def reference_state_space(layer: DiagonalStateSpace, x: torch.Tensor) -> torch.Tensor:
    """h_t = exp(ΔA) h_(t-1) + A⁻¹(exp(ΔA) - 1) u_t, zero-order hold, per channel and mode."""
    batch, steps, dim = x.shape
    out = torch.zeros_like(x)
    for d in range(dim):
        step = float(layer.log_step[d].exp())
        for m in range(layer.log_decay.shape[1]):
            a = complex(-math.exp(float(layer.log_decay[d, m])), 0.0 if layer.real else float(layer.frequency[d, m]))
            c = complex(layer.read[d, m]) if layer.real else complex(*layer.read[d, m].tolist())
            decay = torch.exp(torch.tensor(step * a, dtype=torch.complex128))
            state = torch.zeros(batch, dtype=torch.complex128)
            for t in range(steps):
                state = decay * state + (decay - 1) / a * x[:, t, d]
                out[:, t, d] += (1 if layer.real else 2) * (c * state).real
        out[:, :, d] += layer.skip[d] * x[:, :, d]
    return out


@pytest.mark.parametrize(("real", "state"), [(False, 6), (True, 3)])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_diagonal_state_space_matches_its_recurrence(steps: int, real: bool, state: int) -> None:
    layer = build_seeded(DiagonalStateSpace, 3, state, real)
    x = random(2, steps, 3)
    with torch.no_grad():
        assert_close(layer(x), reference_state_space(layer, x))


@pytest.mark.parametrize("real", [False, True])
def test_diagonal_state_space_passes_gradcheck(real: bool) -> None:
    layer = build_seeded(DiagonalStateSpace, 2, 4, real)
    assert torch.autograd.gradcheck(layer, (random(2, 5, 2).requires_grad_(),))
    names = [name for name, _ in layer.named_parameters()]
    values = [value.detach().clone().requires_grad_() for value in layer.parameters()]
    x = random(1, 4, 2)

    def run_with_parameters(*parameter_values: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = torch.func.functional_call(layer, dict(zip(names, parameter_values, strict=True)), (x,))
        return output

    assert torch.autograd.gradcheck(run_with_parameters, values)


def test_state_space_has_the_published_initialization() -> None:
    """S4D-Lin, A = -1/2 + iπn, and S4D-Real, A = -(n + 1): https://arxiv.org/abs/2206.11893, section 4."""
    layer = DiagonalStateSpace(3, 8)
    torch.testing.assert_close(-layer.log_decay.exp(), torch.full((3, 4), -0.5))
    torch.testing.assert_close(layer.frequency[1], math.pi * torch.arange(4))
    torch.testing.assert_close(-DiagonalStateSpace(1, 4, real=True).log_decay.exp()[0], -torch.arange(1.0, 5))
    assert ((layer.log_step.exp() >= 0.001) & (layer.log_step.exp() <= 0.1)).all()


def test_s4d_is_causal_or_bidirectional() -> None:
    x = random(1, 12, 4)
    changed = x.clone()
    changed[:, 8] += 1
    causal, bidirectional = build_seeded(S4D, 4, 8), build_seeded(S4D, 4, 8, both_ways=True)
    assert torch.allclose(causal(x)[:, :8], causal(changed)[:, :8], atol=1e-12)
    assert ((bidirectional(x) - bidirectional(changed)).abs().amax(-1) > 1e-9).all()
    y = bidirectional.forwards(x) + bidirectional.backwards(x.flip(1)).flip(1)
    y = nn.functional.gelu(y) @ bidirectional.mix.weight.T + bidirectional.mix.bias
    assert_close(bidirectional(x), y[..., :4] * y[..., 4:].sigmoid())
    assert torch.autograd.gradcheck(bidirectional, (random(1, 3, 4).requires_grad_(),))


def reference_mamba(layer: Mamba, x: torch.Tensor) -> torch.Tensor:
    """Algorithm 2 of https://arxiv.org/abs/2312.00752 and the block around it, one step at a time."""
    outputs = []
    inner = layer.skip.shape[0]
    size = layer.conv.weight.shape[2]
    for row in x:
        wide = row @ layer.in_proj.weight.T
        u, z = wide[:, :inner], wide[:, inner:]
        state, step_outputs = torch.zeros(inner, layer.state, dtype=x.dtype), []
        for t in range(len(row)):
            short = layer.conv.bias.clone()  # type: ignore[union-attr]
            for lag in range(min(size, t + 1)):
                short = short + layer.conv.weight[:, 0, size - 1 - lag] * u[t - lag]
            v = short * short.sigmoid()
            low = layer.x_proj.weight @ v
            step = torch.log1p(torch.exp(layer.dt_proj.weight @ low[: layer.rank] + layer.dt_proj.bias))
            write, read = low[layer.rank : layer.rank + layer.state], low[layer.rank + layer.state :]
            decay = torch.exp(-step[:, None] * layer.log_decay.exp())
            state = decay * state + step[:, None] * write[None] * v[:, None]
            step_outputs.append((state @ read + layer.skip * v) * z[t] * z[t].sigmoid())
        outputs.append(torch.stack(step_outputs) @ layer.out_proj.weight.T)
    return torch.stack(outputs)


@pytest.mark.parametrize("options", [{}, {"state": 3, "kernel_size": 2, "expand": 1, "rank": 2}])
@pytest.mark.parametrize("steps", [1, 3, 13])
def test_mamba_matches_its_recurrence(steps: int, options: dict[str, int]) -> None:
    layer = build_seeded(Mamba, 6, **options)
    with torch.no_grad():
        layer.skip.copy_(random(*layer.skip.shape))  # initial ones would hide a missing skip
    x = 2 * random(2, steps, 6)
    assert_close(layer(x), reference_mamba(layer, x))


def test_mamba_passes_gradcheck() -> None:
    assert torch.autograd.gradcheck(build_seeded(Mamba, 2, state=2), (random(2, 5, 2).requires_grad_(),))
    assert torch.autograd.gradcheck(build_seeded(MambaBlock, 2, state=2), (random(2, 4, 2).requires_grad_(),))


def test_mamba_is_causal() -> None:
    layer, x = build_seeded(Mamba, 6), random(1, 12, 6)
    changed = x.clone()
    changed[:, 7:] += 1
    assert torch.equal(layer(x)[:, :7], layer(changed)[:, :7])


def test_mamba_has_the_published_initialization() -> None:
    layer = Mamba(32)
    steps = nn.functional.softplus(layer.dt_proj.bias)
    assert ((steps > 0.00099) & (steps < 0.101)).all()
    torch.testing.assert_close(-layer.log_decay.exp()[5], -torch.arange(1.0, 17))


def test_mamba_block_is_pre_norm_with_residual() -> None:
    block, x = build_seeded(MambaBlock, 6), random(2, 4, 6)
    with torch.no_grad():
        block.norm.weight.add_(0.3)
    normal = block.norm.weight * x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    assert_close(block(x), x + block.mixer(normal))


def count(name: str, params: dict[str, Any], width: int) -> int:
    document = chain(("Input", {"kind": "sequence", "shape": [4, width]}), (name, params))
    return analyze(document).nodes[f"{name.lower()}_1"].parameters


def test_parameter_counts_match_published_models() -> None:
    """The released weights of https://huggingface.co/state-spaces/mamba-130m and mamba-370m, with tied embeddings."""
    assert 24 * count("MambaBlock", {}, 768) + 50280 * 768 + 768 == 129_135_360
    assert 48 * count("MambaBlock", {}, 1024) + 50280 * 1024 + 1024 == 371_516_416


@pytest.mark.parametrize(
    ("params", "numbers"),
    [
        # Step, skip, and per mode a decay, a frequency and two numbers to read it; then the mix.
        ({"state": 64}, 16 + 16 + 16 * 32 * 4 + 16 * 32 + 32),
        ({"state": 5, "kind": "real"}, 16 + 16 + 16 * 5 * 2 + 16 * 32 + 32),
        ({"state": 4, "both_ways": True}, 2 * (16 + 16 + 16 * 2 * 4) + 16 * 32 + 32),
    ],
)
def test_parameter_counts_match_the_formulas(params: dict[str, Any], numbers: int) -> None:
    assert count("S4D", params, 16) == numbers


def test_odd_complex_state_size_is_refused() -> None:
    document = chain(("Input", {"kind": "sequence", "shape": [4, 8]}), ("S4D", {"state": 3}))
    [message] = [issue.message for issue in analyze(document).errors if issue.code == "shape"]
    assert "set kind to real" in message
    with pytest.raises(ValueError, match="come in pairs"):
        DiagonalStateSpace(4, 3)
