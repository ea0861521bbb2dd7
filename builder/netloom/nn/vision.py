"""Blocks of published vision networks, over images (N, C, H, W)."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class DropPath(nn.Module):
    """Stochastic depth: drops a residual branch per example with the probability `rate` in training.

    The remaining examples are scaled by 1 / (1 − rate), so that the expected value stays the same.
    https://arxiv.org/abs/1603.09382
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep_probability = 1.0 - self.rate
        mask = torch.empty(x.shape[0], *[1] * (x.dim() - 1), dtype=x.dtype, device=x.device).bernoulli_(
            keep_probability
        )
        return x * mask / keep_probability


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from the means of all channels, (N, C, H, W) -> (N, C, H, W).

    https://arxiv.org/abs/1709.01507
    """

    def __init__(self, channels: int, hidden: int, silu: bool = False) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.activation = nn.SiLU() if silu else nn.ReLU()
        self.expand = nn.Conv2d(hidden, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate: torch.Tensor = self.gate(self.expand(self.activation(self.reduce(self.pool(x)))))
        return x * gate


class InvertedResidual(nn.Module):
    """The block of MobileNetV2: expansion, depthwise convolution, projection. https://arxiv.org/abs/1801.04381

    (N, C, H, W) -> (N, filters, H / stride, W / stride), rounded up. The input is added if the shape stays the same.
    """

    def __init__(self, channels: int, filters: int, stride: int = 1, expansion: int = 6) -> None:
        super().__init__()
        hidden = channels * expansion
        # No biases before batch normalization, which subtracts them again
        widen: list[nn.Module] = [nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6()]
        self.residual = stride == 1 and channels == filters
        self.layers = nn.Sequential(
            *(widen if expansion > 1 else []),
            nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, filters, 1, bias=False),
            nn.BatchNorm2d(filters),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x)
        return x + out if self.residual else out


class MBConv(nn.Module):
    """The block of EfficientNet: an inverted residual with squeeze-and-excite. https://arxiv.org/abs/1905.11946

    The input is added if the shape stays the same; only such a branch is dropped by stochastic depth.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel_size: int = 3,
        stride: int = 1,
        expansion: int = 6,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size} has no center; choose an odd number such as 3 or 5")
        hidden = channels * expansion
        widen: list[nn.Module] = [nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.SiLU()]
        self.residual = stride == 1 and channels == filters
        self.layers = nn.Sequential(
            *(widen if expansion > 1 else []),
            nn.Conv2d(hidden, hidden, kernel_size, stride, kernel_size // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.SiLU(),
            SqueezeExcite(hidden, max(1, channels // 4), silu=True),  # a quarter of the input, not of the expansion
            nn.Conv2d(hidden, filters, 1, bias=False),
            nn.BatchNorm2d(filters),
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x)
        return x + self.drop_path(out) if self.residual else out


class ConvNeXtBlock(nn.Module):
    """A large depthwise convolution, then two linear layers per position. https://arxiv.org/abs/2201.03545"""

    def __init__(self, channels: int, kernel_size: int = 7, expansion: int = 4, drop_path: float = 0.0) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size} has no center; choose an odd number such as 5 or 7")
        self.depthwise = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.expand = nn.Linear(channels, channels * expansion)
        self.activation = nn.GELU()
        self.reduce = nn.Linear(channels * expansion, channels)
        # LayerScale, with the initial value of the ConvNeXt paper: the block starts close to the identity.
        self.scale = nn.Parameter(torch.full((channels,), 1e-6))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.norm(self.depthwise(x).permute(0, 2, 3, 1))  # (N, H, W, C)
        branch = self.scale * self.reduce(self.activation(self.expand(branch)))
        dropped: torch.Tensor = self.drop_path(branch.permute(0, 3, 1, 2))
        return x + dropped


class ResidualBlock(nn.Module):
    """The blocks of ResNet: two 3×3 convolutions, or a bottleneck of 1×1, 3×3 and 1×1 with a quarter of the width.

    If the shape changes, a 1×1 convolution projects the input to the new shape. https://arxiv.org/abs/1512.03385
    """

    def __init__(self, channels: int, filters: int, stride: int = 1, bottleneck: bool = False) -> None:
        super().__init__()
        if bottleneck and filters % 4:
            raise ValueError(f"a bottleneck has a quarter of the {filters} filters; choose a multiple of 4")
        width = filters // 4 if bottleneck else filters
        if bottleneck:
            # The 3×3 convolution has the stride, as in torchvision; in the paper, the first 1×1 convolution has it.
            layers = [
                nn.Conv2d(channels, width, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, filters, 1, bias=False),
            ]
        else:
            layers = [
                nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, filters, 3, padding=1, bias=False),
            ]
        self.layers = nn.Sequential(*layers, nn.BatchNorm2d(filters))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != filters:
            projection = nn.Conv2d(channels, filters, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(filters))
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.activation(self.layers(x) + self.shortcut(x))
        return out


class PatchEmbedding(nn.Module):
    """Projects the square patches of an image to vectors, row by row, (N, C, H, W) -> (N, T, D).

    With `class_token`, a learned vector precedes them. https://arxiv.org/abs/2010.11929
    """

    def __init__(self, channels: int, patch: int, dim: int, class_token: bool = False) -> None:
        super().__init__()
        # A stride equal to the kernel makes the convolution one linear layer, shared by all patches.
        self.project = nn.Conv2d(channels, dim, patch, stride=patch)
        self.class_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02) if class_token else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches: torch.Tensor = self.project(x).flatten(2).transpose(1, 2)  # (N, D, H', W') -> (N, T, D)
        if self.class_token is None:
            return patches
        return torch.cat((self.class_token.expand(x.shape[0], -1, -1), patches), dim=1)


class WindowAttention(nn.Module):
    """Self-attention within square windows of an image, (N, C, H, W) -> (N, C, H, W). https://arxiv.org/abs/2103.14030

    The scores get a learned bias per relative position. With `shift`, the windows move by half their side, so that
    positions on both sides of an edge attend to each other; windows at the border are cut.
    """

    distance: torch.Tensor

    def __init__(self, dim: int, heads: int, window: int, shift: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(
                f"{heads} heads cannot divide {dim} channels evenly; choose a number of heads that divides it"
            )
        self.heads, self.window, self.shift = heads, window, shift
        self.qkv = nn.Linear(dim, 3 * dim)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(dim, dim)
        self.bias = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.02)
        positions = torch.arange(window)
        # The row of `bias` for each pair of places, from their distances along both axes: 0 to 2 · window − 2 each
        apart = positions[:, None] - positions[None, :] + window - 1  # (window, window)
        table = apart[:, None, :, None] * (2 * window - 1) + apart[None, :, None, :]
        self.register_buffer("distance", table.reshape(window**2, window**2), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[2:]
        # A single window along an axis already covers it, so a shift would only cut it.
        down, right = (self.window // 2 if self.shift and size > self.window else 0 for size in (height, width))
        x = x.permute(0, 2, 3, 1)
        if down or right:
            # A cyclic shift keeps the number of windows; `apart` masks the pairs that it brings together.
            x = x.roll((-down, -right), (1, 2))
        parts = self.qkv(self.windows(x)).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        q, k, v = parts.unbind(0)  # (N, windows, heads, places, C / heads)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]) + self.bias[self.distance].permute(2, 0, 1)
        if down or right:
            scores = scores.masked_fill(self.apart(height, width, down, right, x.device), float("-inf"))
        mixed = self.dropout(scores.softmax(dim=-1)) @ v
        out = self.out(mixed.transpose(2, 3).flatten(3))
        out = out.reshape(-1, height // self.window, width // self.window, self.window, self.window, out.shape[-1])
        image: torch.Tensor = out.transpose(2, 3).flatten(3, 4).flatten(1, 2)  # (N, H, W, C)
        if down or right:
            image = image.roll((down, right), (1, 2))
        return image.permute(0, 3, 1, 2)

    def windows(self, x: torch.Tensor) -> torch.Tensor:
        """(N, H, W, C) -> (N, windows, places, C), where places is window²."""
        batch, height, width, dim = x.shape
        x = x.reshape(batch, height // self.window, self.window, width // self.window, self.window, dim)
        return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def apart(self, height: int, width: int, down: int, right: int, device: torch.device) -> torch.Tensor:
        """Pairs of positions that the shift brought together from opposite borders, (windows, 1, places, places)."""
        # After the shift, the last `down` rows and `right` columns come from the opposite border.
        below = (torch.arange(height, device=device) >= height - down).long()
        beyond = (torch.arange(width, device=device) >= width - right).long()
        side = self.windows((2 * below[:, None] + beyond[None, :])[None, :, :, None])[0, :, :, 0]
        return (side[:, :, None] != side[:, None, :]).unsqueeze(1)


class SwinBlock(nn.Module):
    """Window attention and a feed-forward network, each with a norm and a residual connection, over (N, C, H, W).

    https://arxiv.org/abs/2103.14030
    """

    def __init__(
        self, dim: int, heads: int, window: int, shift: bool = False, expansion: int = 4, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = WindowAttention(dim, heads, window, shift)
        self.drop_path1 = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, dim * expansion), nn.GELU(), nn.Linear(dim * expansion, dim))
        self.drop_path2 = DropPath(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.norm1(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = x + self.drop_path1(self.attention(normed))
        branch = self.feed_forward(self.norm2(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        dropped: torch.Tensor = self.drop_path2(branch)
        return x + dropped


class AffineGrid(nn.Module):
    """The positions from which an affine map takes the pixels of an image, (N, 6) or (N, 2, 3) -> (N, H, W, 2).

    The positions are (x, y) between −1 and 1, as GridSample reads them. https://arxiv.org/abs/1506.02025
    """

    def __init__(self, height: int, width: int, align_corners: bool = False) -> None:
        super().__init__()
        self.height, self.width, self.align_corners = height, width, align_corners

    def forward(self, theta: torch.Tensor) -> torch.Tensor:
        size = [theta.shape[0], 1, self.height, self.width]
        return F.affine_grid(theta.reshape(-1, 2, 3), size, align_corners=self.align_corners)


class GridSample(nn.Module):
    """The values of an image at the positions of a grid, (N, C, H, W), (N, H', W', 2) -> (N, C, H', W').

    A position is (x, y), where −1 is the left or upper border and 1 the right or lower one: of the image, or with
    `align_corners` the centers of its outermost pixels.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html
    """

    def __init__(self, mode: str = "bilinear", outside: str = "zeros", align_corners: bool = False) -> None:
        super().__init__()
        self.mode, self.outside, self.align_corners = mode, outside, align_corners

    def forward(self, image: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        return F.grid_sample(image, grid, self.mode, self.outside, self.align_corners)
