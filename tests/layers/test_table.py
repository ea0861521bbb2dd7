"""Layers for tables against sums over columns, pairs and degrees."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
from torch import nn

from netloom.layers import TensorSpec, registry
from netloom.nn.table import (
    CategoricalEmbedding,
    CrossInteraction,
    CrossNetwork,
    FactorizationMachine,
    HashedEmbedding,
    NumericalEmbedding,
    PairwiseInteraction,
)


def double(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def test_categorical_columns_have_separate_tables() -> None:
    module = CategoricalEmbedding((2, 4, 3), 5)
    tables = torch.split(module.table.weight, [2, 4, 3])
    for row in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(3)):
        expected = torch.stack([table[value] for table, value in zip(tables, row, strict=True)])
        assert torch.equal(module(row.unsqueeze(0))[0], expected)
    assert sum(parameter.numel() for parameter in module.parameters()) == (2 + 4 + 3) * 5


@pytest.mark.parametrize("row", [[2, 0, 0], [0, 4, 0], [0, 0, 3], [-1, 0, 0], [0, -1, 0]])
def test_category_out_of_range_is_refused(row: list[int]) -> None:
    """It must not be read from the table of the next column."""
    with pytest.raises(IndexError):
        CategoricalEmbedding((2, 4, 3), 5)(torch.tensor([row]))


def test_hashed_embedding_selects_vectors_by_remainder() -> None:
    module = HashedEmbedding(7, 3)
    x = torch.tensor([[0, 6, 7, -1, -7, 2**62, 10**12 + 4]])
    expected = torch.stack([module.table.weight[int(value) % 7] for value in x[0]])
    assert torch.equal(module(x)[0], expected)


@pytest.mark.parametrize("bias", [False, True])
def test_numerical_embedding_scales_the_column_vector(bias: bool) -> None:
    module, x = NumericalEmbedding(3, 4, bias).double(), double(2, 3)
    expected = torch.stack([torch.outer(x[:, column], module.weight[column]) for column in range(3)], 1)
    if module.bias is not None:
        expected = expected + module.bias
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-10)
    assert sum(parameter.numel() for parameter in module.parameters()) == 3 * 4 * (2 if bias else 1)


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_factorization_machine_matches_a_sum_over_pairs(columns: int) -> None:
    """The double sum of equation 1 in https://www.csie.ntu.edu.tw/~b97053/paper/Rendle2010FM.pdf"""
    x = double(3, columns, 4)
    products = torch.zeros(3, 4, dtype=torch.float64)
    for i, j in combinations(range(columns), 2):
        products = products + x[:, i] * x[:, j]
    torch.testing.assert_close(FactorizationMachine(False)(x), products, rtol=0, atol=1e-10)
    torch.testing.assert_close(FactorizationMachine()(x), products.sum(1, keepdim=True), rtol=0, atol=1e-10)


def test_pairwise_interaction_gives_each_pair_once() -> None:
    x = double(3, 5, 4)
    expected = torch.stack([(x[:, i] * x[:, j]).sum(1) for i, j in combinations(range(5), 2)], 1)
    torch.testing.assert_close(PairwiseInteraction(5)(x), expected, rtol=0, atol=1e-10)


def cross_weights(step: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """W and b of a cross step; W may be a low-rank product."""
    assert isinstance(step, CrossInteraction)
    if isinstance(step.linear, nn.Linear):
        return step.linear.weight, step.linear.bias
    assert isinstance(step.linear, nn.Sequential)
    narrow, wide = step.linear
    assert isinstance(narrow, nn.Linear)
    assert isinstance(wide, nn.Linear)
    assert narrow.bias is None
    return wide.weight @ narrow.weight, wide.bias


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize("layers", [1, 3])
def test_cross_network_matches_its_formula(layers: int, rank: int | None) -> None:
    """Equation 1 of https://arxiv.org/abs/2008.13535, one number at a time."""
    torch.manual_seed(0)
    module, x = CrossNetwork(4, layers, rank).double(), double(3, 4)
    for example, out in zip(x, module(x), strict=True):
        state = list(example)
        for step in module.steps:
            w, b = cross_weights(step)
            state = [example[i] * (sum(w[i, j] * state[j] for j in range(4)) + b[i]) + state[i] for i in range(4)]
        torch.testing.assert_close(out, torch.stack(state), rtol=0, atol=1e-10)
    per_layer = 4 * 4 + 4 if rank is None else 2 * 4 * rank + 4
    assert sum(parameter.numel() for parameter in module.parameters()) == layers * per_layer


def test_two_layer_cross_network_is_cubic() -> None:
    """Along a line its fourth differences vanish and its third differences do not."""
    torch.manual_seed(0)
    module, x = CrossNetwork(4, 2).double(), double(1, 4).detach()
    line = torch.stack([module(x * step / 5)[0] for step in range(6)])
    assert line.diff(n=3, dim=0).abs().min() > 1e-6
    torch.testing.assert_close(line.diff(n=4, dim=0), torch.zeros(2, 4, dtype=torch.float64), rtol=0, atol=1e-10)


def test_chained_cross_steps_equal_a_cross_network() -> None:
    network, x = CrossNetwork(4, 3).double(), double(3, 4)
    state = x
    for step in network.steps:
        state = step(x, state)
    assert torch.equal(state, network(x))


@pytest.mark.parametrize(
    ("module", "shapes"),
    [
        (NumericalEmbedding(3, 4), [(2, 3)]),
        (FactorizationMachine(), [(2, 3, 4)]),
        (FactorizationMachine(False), [(2, 3, 4)]),
        (PairwiseInteraction(3), [(2, 3, 4)]),
        (CrossNetwork(3, 2), [(2, 3)]),
        (CrossNetwork(3, 2, 2), [(2, 3)]),
        (CrossInteraction(3), [(2, 3), (2, 3)]),
    ],
)
def test_table_layers_pass_gradcheck(module: nn.Module, shapes: list[tuple[int, ...]]) -> None:
    assert torch.autograd.gradcheck(module.double(), tuple(double(*shape) for shape in shapes))


@pytest.mark.parametrize(
    ("name", "params", "specs", "message"),
    [
        (
            "CategoricalEmbedding",
            {"sizes": [2, 3]},
            {"in": TensorSpec((None, 3), "int")},
            "has 2 numbers, but the input has 3 columns",
        ),
        ("PairwiseInteraction", {}, {"in": TensorSpec((None, 1, 4))}, "pairs need at least two"),
        (
            "CrossInteraction",
            {},
            {"first": TensorSpec((None, 3)), "in": TensorSpec((None, 4))},
            r"first \(N, 3\) and in \(N, 4\) are multiplied, so they must have the same shape",
        ),
    ],
)
def test_invalid_shapes_are_refused(
    name: str, params: dict[str, Any], specs: dict[str, TensorSpec], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        registry()[name].model_validate(params).build(specs)
