"""Operations that ONNX lacks, expressed by operations that it has, with equal results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram


def decompose(program: ExportedProgram) -> ExportedProgram:
    """Return the program without operations that ONNX lacks; it is unchanged if it does not use them."""
    used = {node.target for node in program.graph.nodes}
    table = {operation: function for operation, function in _table().items() if operation in used}
    return program.run_decompositions(table) if table else program


def _table() -> dict[Any, Callable[..., Any]]:
    import torch

    aten = torch.ops.aten
    return {
        aten.sort.stable: _sort,
        aten.sort.default: lambda x, dim=-1, descending=False: _sort(x, dim=dim, descending=descending),
        aten.cummax.default: lambda x, dim: _running(x, dim, largest=True),
        aten.cummin.default: lambda x, dim: _running(x, dim, largest=False),
        aten.cumprod.default: _product,
        aten.rrelu.default: _rrelu,
    }


def _sort(
    x: torch.Tensor, *, stable: bool | None = None, dim: int = -1, descending: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sort as the `topk` of all values: ONNX's TopK returns equal values in the order of their indices, a stable sort.

    https://onnx.ai/onnx/operators/onnx__TopK.html
    """
    ordered: tuple[torch.Tensor, torch.Tensor] = x.topk(x.shape[dim], dim=dim, largest=descending, sorted=True)
    return ordered


def _running(x: torch.Tensor, dim: int, largest: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cumulative maximum or minimum and its indices, from a table of all prefixes (…, T, T)."""
    import torch

    worst = float("-inf") if largest else float("inf")
    square = _square(x, dim, worst)
    values = square.amax(-1) if largest else square.amin(-1)
    positions = torch.arange(square.shape[-1], device=x.device)
    # PyTorch returns the index of the last of several equal values.
    last = torch.where(square == values.unsqueeze(-1), positions, torch.zeros_like(positions)).amax(-1)
    return values.movedim(-1, dim), last.movedim(-1, dim)


def _product(x: torch.Tensor, dim: int, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    products = _square(x if dtype is None else x.to(dtype), dim, 1.0).prod(-1)
    return products.movedim(-1, dim)


def _square(x: torch.Tensor, dim: int, fill: float) -> torch.Tensor:
    """Return (…, T, T), whose row t holds the first t + 1 values of the axis, followed by `fill`."""
    import torch

    moved = x.movedim(dim, -1)
    steps = torch.arange(moved.shape[-1], device=x.device)
    is_prefix = steps.unsqueeze(0) <= steps.unsqueeze(1)
    return torch.where(is_prefix, moved.unsqueeze(-2), torch.full_like(moved[..., :1].unsqueeze(-1), fill))


def _rrelu(
    x: torch.Tensor, lower: float = 0.125, upper: float = 1 / 3, training: bool = False, generator: object = None
) -> torch.Tensor:
    """Return RReLU in evaluation mode, whose slope is the mean of its bounds."""
    from torch.nn import functional

    return functional.leaky_relu(x, (lower + upper) / 2)


__all__ = ["decompose"]
