"""Causal convolutions against loops over the steps: no step depends on later steps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from netloom.nn.sequence_convolution import CausalConv1d, TCNBlock, WaveNetBlock


def reference_causal_convolution(x: torch.Tensor, convolution: nn.Conv1d, dilation: int) -> torch.Tensor:
    """One step and one filter tap at a time, with zeros before the start."""
    weight, bias = convolution.weight, convolution.bias
    assert bias is not None
    size = weight.shape[2]
    rows = []
    for step in range(x.shape[1]):
        row = bias.expand(x.shape[0], -1)
        for tap in range(size):
            source_step = step - (size - 1 - tap) * dilation
            if source_step >= 0:
                row = row + x[:, source_step] @ weight[:, :, tap].T
        rows.append(row)
    return torch.stack(rows, 1)


@pytest.mark.parametrize("weight_norm", [False, True])
@pytest.mark.parametrize(("kernel_size", "dilation"), [(1, 1), (2, 1), (3, 2), (4, 3), (3, 9)])
def test_causal_convolution_matches_a_loop(kernel_size: int, dilation: int, weight_norm: bool) -> None:
    torch.manual_seed(0)
    module = CausalConv1d(3, 5, kernel_size, dilation, weight_norm).double()
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    torch.testing.assert_close(
        module(x), reference_causal_convolution(x, module.convolution, dilation), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("dim", [5, 3])
def test_tcn_block_matches_its_formula(dim: int) -> None:
    torch.manual_seed(0)
    module = TCNBlock(dim, 5, kernel_size=2, dilation=2).double()
    x = torch.randn(2, 7, dim, dtype=torch.float64)
    first, second = (layer for layer in module.layers if isinstance(layer, CausalConv1d))
    branch = reference_causal_convolution(x, first.convolution, 2).clamp(min=0)
    branch = reference_causal_convolution(branch, second.convolution, 2).clamp(min=0)
    shortcut = x
    if isinstance(module.shortcut, nn.Linear):
        shortcut = x @ module.shortcut.weight.T + module.shortcut.bias
    torch.testing.assert_close(module(x), (branch + shortcut).clamp(min=0), rtol=0, atol=1e-10)


def test_weight_normalization_stores_one_norm_per_filter() -> None:
    """One additional parameter per filter, https://arxiv.org/abs/1602.07868: the norm of the filter."""
    plain, normed = (CausalConv1d(3, 5, 2, weight_norm=value) for value in (False, True))
    count = [sum(parameter.numel() for parameter in module.parameters()) for module in (plain, normed)]
    assert count == [5 * 3 * 2 + 5, 5 * 3 * 2 + 5 + 5]
    lengths = normed.get_parameter("convolution.parametrizations.weight.original0").flatten()
    torch.testing.assert_close(normed.convolution.weight.flatten(1).norm(dim=1), lengths)


def test_wavenet_block_matches_its_formula() -> None:
    torch.manual_seed(0)
    module = WaveNetBlock(4, 6, kernel_size=3, dilation=2).double()
    x = torch.randn(2, 9, 4, dtype=torch.float64)
    tanh = reference_causal_convolution(x, module.filter.convolution, 2).tanh()
    gated = tanh / (1 + torch.exp(-reference_causal_convolution(x, module.gate.convolution, 2)))
    out, skip = module(x)
    expected = x + gated @ module.residual.weight.T + module.residual.bias
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(skip, gated @ module.skip.weight.T + module.skip.bias, rtol=0, atol=1e-10)


@pytest.mark.parametrize("module", [CausalConv1d(4, 4, 3, 2), TCNBlock(4, 5, 3, 2), WaveNetBlock(4, 5, 3, 2)])
def test_causal_layers_do_not_see_future_steps(module: nn.Module) -> None:
    x = torch.randn(1, 12, 4)
    changed = x.clone()
    changed[:, 7] += 10
    first, second = module(x), module(changed)
    for before, after in zip(
        *(value if isinstance(value, tuple) else (value,) for value in (first, second)), strict=True
    ):
        assert torch.equal(before[:, :7], after[:, :7])
        assert not torch.equal(before[:, 7], after[:, 7])


@pytest.mark.parametrize(
    "module", [CausalConv1d(2, 3, 2, 2, weight_norm=True), TCNBlock(2, 3, 2, 2), WaveNetBlock(2, 3, 2, 2)]
)
def test_sequence_layers_pass_gradcheck(module: nn.Module) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module.double(), (x,))
