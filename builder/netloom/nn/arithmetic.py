"""Elementwise functions, and cumulative sums, products and maxima."""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class StopGradient(nn.Module):
    """The identity, whose output counts as a constant in the backward pass."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach()


class Function(nn.Module):
    """An elementwise function; with `least`, the input is clamped to this minimum first."""

    def __init__(self, name: str, least: float | None = None) -> None:
        super().__init__()
        functions = {
            "abs": torch.abs,
            "neg": torch.neg,
            "exp": torch.exp,
            "expm1": torch.expm1,
            "log": torch.log,
            "log1p": torch.log1p,
            "log2": torch.log2,
            "log10": torch.log10,
            "sqrt": torch.sqrt,
            "rsqrt": torch.rsqrt,
            "square": torch.square,
            "reciprocal": torch.reciprocal,
            "sin": torch.sin,
            "cos": torch.cos,
            "tan": torch.tan,
            "asin": torch.asin,
            "acos": torch.acos,
            "atan": torch.atan,
            "sinh": torch.sinh,
            "cosh": torch.cosh,
            "asinh": torch.asinh,
            "erf": torch.erf,
            "sign": torch.sign,
            "floor": torch.floor,
            "ceil": torch.ceil,
            "round": torch.round,
        }
        if name not in functions:
            raise ValueError(f"there is no function {name!r}; choose one of {', '.join(functions)}")
        self.name, self.least = name, least
        self.function = functions[name]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x if self.least is None else x.clamp(min=self.least))


class Power(nn.Module):
    """The input raised to a fixed exponent, or elementwise to the second input; of absolute values if `absolute`."""

    def __init__(self, exponent: float | None = None, absolute: bool = False) -> None:
        super().__init__()
        self.exponent, self.absolute = exponent, absolute

    def forward(self, x: torch.Tensor, power: torch.Tensor | None = None) -> torch.Tensor:
        base = x.abs() if self.absolute else x
        if power is not None:
            return torch.pow(base, power)
        return base if self.exponent is None else torch.pow(base, self.exponent)


class ScaleShift(nn.Module):
    """x · scale + shift, with constants."""

    def __init__(self, scale: float, shift: float) -> None:
        super().__init__()
        self.scale, self.shift = scale, shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale + self.shift


class Clamp(nn.Module):
    """Clamps every element to the range from `low` to `high`; None means no limit."""

    def __init__(self, low: float | None, high: float | None) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(min=self.low, max=self.high)


class Normalize(nn.Module):
    """Scales the vectors along one axis to length 1; vectors shorter than `eps` are divided by `eps`."""

    def __init__(self, dim: int, eps: float = 1e-12) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.normalize(x, dim=self.dim, eps=self.eps)


class CumSum(nn.Module):
    """The cumulative sum along one axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.cumsum(dim=self.dim)


class CumProd(nn.Module):
    """The cumulative product along one axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.cumprod(dim=self.dim)


class CumMax(nn.Module):
    """The cumulative maximum along one axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.cummax(dim=self.dim).values


class Difference(nn.Module):
    """The difference of consecutive steps along one axis; with `keep_length`, the first difference is 0."""

    def __init__(self, dim: int, keep_length: bool = False) -> None:
        super().__init__()
        self.dim, self.keep_length = dim, keep_length

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = x.narrow(self.dim, 0, 1) if self.keep_length else None
        return torch.diff(x, dim=self.dim, prepend=first)
