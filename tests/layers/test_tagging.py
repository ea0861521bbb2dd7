"""The conditional random field against all paths of labels, one by one."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from netloom.nn.tagging import ConditionalRandomField


def field(labels: int) -> ConditionalRandomField:
    torch.manual_seed(0)
    module = ConditionalRandomField(labels).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


@pytest.mark.parametrize(("steps", "labels"), [(1, 3), (2, 2), (4, 3), (5, 1)])
def test_marginals_are_sums_over_all_paths(steps: int, labels: int) -> None:
    module, x = field(labels), torch.randn(2, steps, labels, dtype=torch.float64)
    expected = torch.zeros_like(x)
    for example in range(2):
        for path in product(range(labels), repeat=steps):
            score = module.start[path[0]] + module.end[path[-1]]
            score = score + sum(x[example, step, label] for step, label in enumerate(path))
            score = score + sum(module.transition[path[step], path[step + 1]] for step in range(steps - 1))
            for step, label in enumerate(path):
                expected[example, step, label] += score.detach().exp()
    expected = expected / expected.sum(2, keepdim=True)
    torch.testing.assert_close(module(x).exp(), expected, rtol=0, atol=1e-10)


def test_without_transitions_it_is_a_softmax() -> None:
    module, x = field(4), torch.randn(2, 5, 4, dtype=torch.float64)
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(module(x), x.log_softmax(2), rtol=0, atol=1e-10)


def test_long_and_large_sequences_stay_finite() -> None:
    out = field(4).float()(100 * torch.randn(2, 300, 4))
    assert not out.isnan().any()
    torch.testing.assert_close(out.exp().sum(2), torch.ones(2, 300))


def test_gradients_are_those_of_differences() -> None:
    module, x = field(3), torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))
    parameters = tuple(module.parameters())
    names = [name for name, _ in module.named_parameters()]

    def by_parameters(*values: torch.Tensor) -> torch.Tensor:
        given = dict(zip(names, values, strict=True))
        out: torch.Tensor = torch.func.functional_call(module, given, (x.detach(),))
        return out

    assert torch.autograd.gradcheck(by_parameters, parameters)
