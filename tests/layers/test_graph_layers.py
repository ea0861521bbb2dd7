"""Layers over graphs against loops over vertices and edges."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from netloom.layers import TensorSpec, registry
from netloom.nn.graph_convolution import GraphAttention, GraphConvolution


def random_graphs(batch: int = 2, vertices: int = 5) -> torch.Tensor:
    """Binary adjacency matrices of undirected graphs without self-loops; the last vertex is isolated."""
    upper_triangle = (torch.rand(batch, vertices, vertices) < 0.5).double().triu(1)
    upper_triangle[:, :, -1] = 0
    return upper_triangle + upper_triangle.transpose(1, 2)


@pytest.mark.parametrize("bias", [True, False])
def test_graph_convolution_is_a_sum_over_edges(bias: bool) -> None:
    """Equation 2 of https://arxiv.org/abs/1609.02907, one edge at a time."""
    torch.manual_seed(0)
    module = GraphConvolution(3, 4, bias).double()
    x, adjacency = torch.randn(2, 5, 3, dtype=torch.float64), random_graphs()
    expected = torch.zeros(2, 5, 4, dtype=torch.float64)
    for graph in range(2):
        degree = [1 + sum(float(value) for value in row) for row in adjacency[graph]]
        for i in range(5):
            for j in range(5):
                weight = float(adjacency[graph, i, j]) + (i == j)
                expected[graph, i] += weight / math.sqrt(degree[i] * degree[j]) * (module.linear.weight @ x[graph, j])
    if module.bias is not None:
        torch.nn.init.normal_(module.bias)
        expected = expected + module.bias
    torch.testing.assert_close(module(x, adjacency), expected, rtol=0, atol=1e-10)


def test_graph_without_edges_is_a_linear_layer() -> None:
    module, x = GraphConvolution(3, 4), torch.randn(2, 5, 3)
    torch.testing.assert_close(module(x, torch.zeros(2, 5, 5)), module.linear(x))


def test_normalized_adjacency_has_largest_eigenvalue_one() -> None:
    normalized = GraphConvolution.normalize(random_graphs(20, 7))
    values = torch.linalg.eigvalsh(normalized)
    torch.testing.assert_close(values.amax(1), torch.ones(20, dtype=torch.float64), rtol=0, atol=1e-10)


@pytest.mark.parametrize("mean", [False, True])
def test_graph_attention_is_a_softmax_over_neighbors(mean: bool) -> None:
    """Equations 1 to 6 of https://arxiv.org/abs/1710.10903, one vertex at a time."""
    torch.manual_seed(0)
    module = GraphAttention(3, 4, 2, mean).double()
    torch.nn.init.normal_(module.bias)
    x, adjacency = torch.randn(2, 5, 3, dtype=torch.float64), random_graphs()
    expected = torch.zeros(2, 5, 2, 4, dtype=torch.float64)
    for graph in range(2):
        for head in range(2):
            h = [module.linear.weight[4 * head : 4 * head + 4] @ row for row in x[graph]]
            a = torch.cat((module.target[head], module.source[head]))
            for i in range(5):
                neighbors = [j for j in range(5) if adjacency[graph, i, j] > 0 or i == j]
                scores = torch.stack([a @ torch.cat((h[i], h[j])) for j in neighbors])
                weights = torch.where(scores > 0, scores, 0.2 * scores).softmax(0)
                expected[graph, i, head] = sum(
                    (weight * h[j] for weight, j in zip(weights, neighbors, strict=True)), torch.zeros(4).double()
                )
    combined = expected.mean(2) if mean else expected.flatten(2)
    torch.testing.assert_close(module(x, adjacency), combined + module.bias, rtol=0, atol=1e-10)


def test_edge_weight_scales_the_attention_weight() -> None:
    scores = torch.randn(1, 1, 3, 3, dtype=torch.float64)
    adjacency = torch.tensor([[[0.0, 3.0, 0.0], [0.5, 0.0, 0.0], [0.0, -2.0, 2.0]]], dtype=torch.float64)
    expected = scores[0, 0].exp() * torch.tensor([[1.0, 3.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 2.0]])
    weights = GraphAttention.weights(scores, adjacency)[0, 0]
    torch.testing.assert_close(weights, expected / expected.sum(1, keepdim=True), rtol=0, atol=1e-10)


def test_unconnected_vertices_get_no_attention() -> None:
    scores = torch.tensor([[[[0.0, 1e4], [0.0, 0.0]]]], requires_grad=True)
    weights = GraphAttention.weights(scores, torch.zeros(1, 2, 2))
    assert torch.equal(weights[0, 0], torch.eye(2))
    weights.square().sum().backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("module", [GraphConvolution(3, 2), GraphAttention(3, 2, 2)])
def test_graph_layers_are_permutation_equivariant(module: torch.nn.Module) -> None:
    module, x, adjacency = module.double(), torch.randn(2, 5, 3, dtype=torch.float64), random_graphs()
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(module(x[:, order], adjacency[:, order][:, :, order]), module(x, adjacency)[:, order])


@pytest.mark.parametrize("module", [GraphConvolution(3, 2), GraphAttention(3, 2, 2), GraphAttention(3, 2, 2, True)])
def test_graph_layers_pass_gradcheck(module: torch.nn.Module) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    adjacency = (random_graphs(2, 4) + 0.1 + torch.rand(2, 4, 4, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(module.double(), (x, adjacency))


@pytest.mark.parametrize(("name", "count"), [("GraphConvolution", 3 * 5 + 5), ("GraphAttention", 3 * 20 + 2 * 20 + 20)])
def test_parameter_counts_match_the_formulas(name: str, count: int) -> None:
    specs = {"in": TensorSpec((None, 4, 3)), "adjacency": TensorSpec((None, 4, 4))}
    module = registry()[name].model_validate({"units": 5}).build(specs).build()
    assert sum(parameter.numel() for parameter in module.parameters()) == count


@pytest.mark.parametrize("name", ["GraphConvolution", "GraphAttention"])
@pytest.mark.parametrize("shape", [(4, 3), (3, 3), (4, 4, 4)])
def test_adjacency_of_wrong_shape_is_refused(name: str, shape: tuple[Any, ...]) -> None:
    specs = {"in": TensorSpec((None, 4, 3)), "adjacency": TensorSpec((None, *shape))}
    with pytest.raises(ValueError, match=r"4 vertices need an adjacency matrix \(N, 4, 4\), received"):
        registry()[name]().build(specs)
