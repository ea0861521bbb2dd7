"""Modules that select, mask, convert and create tensors."""

import torch
from torch import nn


class Where(nn.Module):
    """The second input where the first is not 0, and the third elsewhere."""

    def forward(self, condition: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.where(condition != 0, a, b)


class Compare(nn.Module):
    """1 where a relation holds between two tensors, or a tensor and a number, and 0 elsewhere."""

    def __init__(self, relation: str, value: float = 0.0) -> None:
        super().__init__()
        relations = {
            "less": torch.lt,
            "less_equal": torch.le,
            "equal": torch.eq,
            "not_equal": torch.ne,
            "greater_equal": torch.ge,
            "greater": torch.gt,
        }
        if relation not in relations:
            raise ValueError(f"there is no relation {relation!r}; choose one of {', '.join(relations)}")
        self.relation, self.value = relation, value
        self.holds = relations[relation]

    def forward(self, a: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
        if b is None:
            b = torch.full((), self.value, dtype=torch.get_default_dtype(), device=a.device)
        return self.holds(a, b).to(a.dtype if a.is_floating_point() else torch.get_default_dtype())


class MaskFill(nn.Module):
    """Fills the elements where a mask is 0, or is not 0; a mask with fewer axes applies to all entries of the rest."""

    def __init__(self, value: float, where_zero: bool = True) -> None:
        super().__init__()
        self.value, self.where_zero = value, where_zero

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        mask = mask.reshape(*mask.shape, *(1 for _ in x.shape[mask.dim() :]))
        return x.masked_fill(mask == 0 if self.where_zero else mask != 0, self.value)


class ReplaceMissing(nn.Module):
    """Replaces NaN by one number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.masked_fill(x.isnan(), self.value)


class CausalMask(nn.Module):
    """(N, T, …) -> (N, T, T): 1 where a step (row) may attend to a step (column), 0 for later ones."""

    def __init__(self, window: int | None = None) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = x.shape[1]
        mask = torch.ones(steps, steps, device=x.device).tril()
        if self.window is not None:
            mask = mask.triu(1 - self.window)
        return mask.expand(x.shape[0], -1, -1)


class PaddingMask(nn.Module):
    """1 for every token that is not padding, and 0 for padding."""

    def __init__(self, padding: int = 0) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x != self.padding).to(torch.get_default_dtype())


class Cast(nn.Module):
    """Converts to "float" or "int"; conversion to integers truncates."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(torch.get_default_dtype()) if self.kind == "float" else x.to(torch.int64)


class OneHot(nn.Module):
    """Integers (N, …) -> (N, …, classes): one-hot vectors, which are zero for numbers outside of the classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        positions = torch.arange(self.classes, device=x.device)
        return (x.unsqueeze(-1) == positions).to(torch.get_default_dtype())


class Constant(nn.Module):
    """(N, …) -> (N, *shape): the same constants for each example, or one that fills the shape."""

    values: torch.Tensor

    def __init__(self, shape: tuple[int, ...], *values: float) -> None:
        super().__init__()
        self.shape = shape
        tensor = torch.tensor(values)
        self.register_buffer("values", tensor.reshape(shape if len(values) > 1 else [1] * len(shape)), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.values.expand(x.shape[0], *self.shape)


class Learned(nn.Module):
    """(N, …) -> (N, *shape): the same learned tensor for each example.

    It is initialized as "normal" with the standard deviation `spread`, "uniform" between ± `spread`, "zeros" or "ones".
    """

    def __init__(self, shape: tuple[int, ...], start: str = "normal", spread: float = 0.02) -> None:
        super().__init__()
        initial_values = {
            "normal": lambda: torch.randn(shape) * spread,
            "uniform": lambda: (torch.rand(shape) * 2 - 1) * spread,
            "zeros": lambda: torch.zeros(shape),
            "ones": lambda: torch.ones(shape),
        }
        self.weight = nn.Parameter(initial_values[start]())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight.expand(x.shape[0], *self.weight.shape)


class ConcatenateToken(nn.Module):
    """Adds learned steps before or after a sequence, (N, T, D) -> (N, T + count, D).

    https://arxiv.org/abs/2010.11929
    """

    def __init__(self, count: int, dim: int, front: bool = True) -> None:
        super().__init__()
        self.front = front
        self.weight = nn.Parameter(torch.randn(count, dim) * 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.weight.expand(x.shape[0], -1, -1)
        return torch.cat((tokens, x) if self.front else (x, tokens), dim=1)
