"""Position encodings: added sines or learned vectors, rotated queries and keys, and biases of the attention scores."""

import math

import torch
from torch import nn


class SinusoidalEncoding(nn.Module):
    """Adds sines and cosines of decreasing frequency to each step, (N, T, D) -> (N, T, D), for any T.

    If `scaled`, the input is first multiplied by √D. https://arxiv.org/abs/1706.03762, section 3.5
    """

    def __init__(self, base: float = 10000.0, scaled: bool = False) -> None:
        super().__init__()
        self.base, self.scaled = base, scaled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, dim = x.shape[1], x.shape[2]
        # At least float32: float16 represents step numbers exactly only up to 2,048, bfloat16 only up to 256.
        exact = torch.promote_types(x.dtype, torch.float32)
        rate = self.base ** (-torch.arange(0, dim, 2, device=x.device, dtype=exact) / dim)
        angles = torch.arange(steps, device=x.device, dtype=exact).unsqueeze(1) * rate  # (T, D / 2)
        waves = torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)[:, :dim]
        return (x * math.sqrt(dim) if self.scaled else x) + waves.to(x.dtype)


class PositionalEmbedding(nn.Module):
    """Adds a position vector to each step, (N, T, D) -> (N, T, D).

    The vectors are learned, or sines and cosines of decreasing frequency. T is at most `length`.
    https://arxiv.org/abs/1706.03762
    """

    weight: torch.Tensor

    def __init__(self, length: int, dim: int, learned: bool = True) -> None:
        super().__init__()
        if learned:
            self.weight = nn.Parameter(torch.randn(length, dim) * 0.02)  # the standard deviation of BERT and GPT-2
        else:
            self.register_buffer("weight", self.sines(length, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.weight[: x.shape[1]]

    @staticmethod
    def sines(length: int, dim: int) -> torch.Tensor:
        position = torch.arange(length).unsqueeze(1)  # (length, 1)
        rate = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))  # 10000^(−2i / dim), (dim / 2,)
        angles = position * rate  # (length, dim / 2)
        # Sines and cosines alternate; an odd `dim` drops the last cosine.
        return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)[:, :dim]


class RotaryPosition(nn.Module):
    """Rotates each pair of adjacent features of step t by an angle proportional to t, (…, T, D) -> (…, T, D).

    The positions then enter the dot product of a query and a key only by their distance. D is even.
    https://arxiv.org/abs/2104.09864
    """

    def __init__(self, base: float = 10000.0) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, dim = x.shape[-2], x.shape[-1]
        if dim % 2:
            raise ValueError(
                f"rotary position embedding rotates pairs of features, but the width {dim} is odd; make it even"
            )
        exact = torch.promote_types(x.dtype, torch.float32)
        rate = self.base ** (-torch.arange(0, dim, 2, device=x.device, dtype=exact) / dim)
        angles = torch.arange(steps, device=x.device, dtype=exact).unsqueeze(1) * rate  # (T, D / 2)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        # Adjacent features form a pair, as in the paper; other implementations pair feature i with i + D / 2.
        first, second = x[..., 0::2], x[..., 1::2]
        return torch.stack((first * cos - second * sin, first * sin + second * cos), dim=-1).flatten(-2)


class AlibiBias(nn.Module):
    """A bias of the scores, (heads, T, S), that decreases linearly with the distance, at a fixed slope per head.

    The slopes are 2^(-8 i / heads). If the number of heads is not a power of two, they are the slopes of the next lower
    power, followed by every second slope of the next higher power. https://arxiv.org/abs/2108.12409
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        below = 2 ** int(math.log2(heads))  # the next lower power of two, or `heads` itself
        slopes = [2.0 ** (-8.0 * head / below) for head in range(1, below + 1)]
        more = [2.0 ** (-4.0 * head / below) for head in range(1, 2 * below + 1, 2)]
        self.slopes = slopes + more[: heads - below]

    def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        queries = torch.arange(q.shape[-2], device=q.device).unsqueeze(1)
        distance = (queries - torch.arange(k.shape[-2], device=q.device)).abs().to(q.dtype)
        slopes = torch.tensor(self.slopes, device=q.device, dtype=q.dtype)
        return -slopes.view(-1, 1, 1) * distance


class RelativeTable(nn.Module):
    """A learned bias of the scores, (heads, T, S), per head and signed distance; distances beyond `reach` share one.

    https://arxiv.org/abs/1803.02155 adds vectors to keys and values; here the scores get a number.
    """

    def __init__(self, heads: int, reach: int = 128) -> None:
        super().__init__()
        self.reach = reach
        self.table = nn.Embedding(2 * reach + 1, heads)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        queries = torch.arange(q.shape[-2], device=q.device).unsqueeze(1)
        offset = torch.arange(k.shape[-2], device=q.device) - queries
        bias: torch.Tensor = self.table(offset.clamp(-self.reach, self.reach) + self.reach)  # (T, S, heads)
        return bias.permute(2, 0, 1)


class RelativeBuckets(nn.Module):
    """A learned bias of the scores, (heads, T, S), per head and bucket of distances, as in T5.

    Each short distance has its bucket; longer ones share buckets of logarithmic width, up to `reach`. If `both_sides`,
    half of the buckets are for later keys. https://arxiv.org/abs/1910.10683, section 2.1
    """

    def __init__(self, heads: int, buckets: int = 32, reach: int = 128, both_sides: bool = True) -> None:
        super().__init__()
        self.side = buckets // 2 if both_sides else buckets
        self.exact = self.side // 2
        self.reach, self.both_sides = reach, both_sides
        if self.exact < 1 or reach <= self.exact:
            raise ValueError(
                f"{buckets} buckets give {self.exact} exact distances, which must be at least 1 and less than "
                f"reach={reach}; change buckets or reach"
            )
        self.table = nn.Embedding(buckets, heads)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        queries = torch.arange(q.shape[-2], device=q.device).unsqueeze(1)
        bias: torch.Tensor = self.table(self.bucket(torch.arange(k.shape[-2], device=q.device) - queries))
        return bias.permute(2, 0, 1)

    def bucket(self, offset: torch.Tensor) -> torch.Tensor:
        """The bucket of each offset (key position minus query position), of the same shape."""
        distance = offset.abs() if self.both_sides else (-offset).clamp(min=0)
        # Logarithmic buckets begin at the distance `exact` and end at `reach`; farther keys share the last one.
        growth = (self.side - self.exact) / math.log(self.reach / self.exact)
        far = self.exact + (torch.log(distance.clamp(min=1).float() / self.exact) * growth).long()
        near = torch.where(distance < self.exact, distance, far.clamp(max=self.side - 1))
        return near + (offset > 0) * self.side if self.both_sides else near
