"""The conditional random field against explicit sums over all label paths."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from netloom.nn.tagging import ConditionalRandomField


def random_crf(labels: int) -> ConditionalRandomField:
    torch.manual_seed(0)
    module = ConditionalRandomField(labels).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


@pytest.mark.parametrize(("steps", "labels"), [(1, 3), (2, 2), (4, 3), (5, 1)])
def test_marginals_match_sums_over_all_paths(steps: int, labels: int) -> None:
    module, x = random_crf(labels), torch.randn(2, steps, labels, dtype=torch.float64)
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


def test_crf_without_transitions_is_a_softmax() -> None:
    module, x = random_crf(4), torch.randn(2, 5, 4, dtype=torch.float64)
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(module(x), x.log_softmax(2), rtol=0, atol=1e-10)


def test_long_and_large_sequences_stay_finite() -> None:
    out = random_crf(4).float()(100 * torch.randn(2, 300, 4))
    assert not out.isnan().any()
    torch.testing.assert_close(out.exp().sum(2), torch.ones(2, 300))


def test_crf_passes_gradcheck() -> None:
    module, x = random_crf(3), torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))
    parameters = tuple(module.parameters())
    names = [name for name, _ in module.named_parameters()]

    def run_with_parameters(*values: torch.Tensor) -> torch.Tensor:
        parameters_by_name = dict(zip(names, values, strict=True))
        out: torch.Tensor = torch.func.functional_call(module, parameters_by_name, (x.detach(),))
        return out

    assert torch.autograd.gradcheck(run_with_parameters, parameters)
