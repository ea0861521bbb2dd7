"""Products, similarities and distances of tensors."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class MatMul(nn.Module):
    """The matrix product, (N, …, I, K), (N, …, K, J) -> (N, …, I, J).

    A vector (N, K) is one row of a or one column of b, and is not transposed. The result is divided by √K if `scaled`.
    """

    def __init__(self, transpose_a: bool = False, transpose_b: bool = False, scaled: bool = False) -> None:
        super().__init__()
        self.transpose_a, self.transpose_b, self.scaled = transpose_a, transpose_b, scaled

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a_is_vector, b_is_vector = a.dim() == 2, b.dim() == 2
        rows = a.unsqueeze(1) if a_is_vector else a.transpose(-2, -1) if self.transpose_a else a
        columns = b.unsqueeze(2) if b_is_vector else b.transpose(-2, -1) if self.transpose_b else b
        product = rows @ columns
        if self.scaled:
            product = product / math.sqrt(rows.shape[-1])
        return product.squeeze(1) if a_is_vector else product.squeeze(2) if b_is_vector else product


class Einsum(nn.Module):
    """Products and sums over axes in the notation of torch.einsum, such as "nid,njd->nij"."""

    def __init__(self, equation: str) -> None:
        super().__init__()
        self.equation = equation

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return torch.einsum(self.equation, *inputs)


class OuterProduct(nn.Module):
    """The outer product over the last axis, (N, …, A), (N, …, B) -> (N, …, A, B)."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a.unsqueeze(-1) * b.unsqueeze(-2)


class Dot(nn.Module):
    """The product of two tensors, summed over one axis."""

    def __init__(self, dim: int, keep: bool = False) -> None:
        super().__init__()
        self.dim, self.keep = dim, keep

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a * b).sum(dim=self.dim, keepdim=self.keep)


class CosineSimilarity(nn.Module):
    """The cosine of the angle between two tensors along one axis."""

    def __init__(self, dim: int, keep: bool = False) -> None:
        super().__init__()
        self.dim, self.keep = dim, keep

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        cosine = F.cosine_similarity(a, b, dim=self.dim)
        return cosine.unsqueeze(self.dim) if self.keep else cosine


class DistanceMatrix(nn.Module):
    """The distance between each pair of steps, or its square, (N, A, D), (N, B, D) -> (N, A, B).

    `p` is the order of the norm: 1 for Manhattan distances, 2 for Euclidean ones.
    """

    def __init__(self, squared: bool = False, p: float = 2.0) -> None:
        super().__init__()
        self.squared, self.p = squared, p

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        difference = a.unsqueeze(2) - b.unsqueeze(1)  # (N, A, B, D)
        if self.squared and self.p == 2.0:  # without a root, whose gradient at 0 is not defined
            return difference.square().sum(dim=3)
        length: torch.Tensor = torch.linalg.vector_norm(difference, self.p, dim=3)
        return length.square() if self.squared else length
