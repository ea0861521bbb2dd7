"""Color augmentations of images: brightness, contrast, color, noise, blur, and covered parts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from netloom.data.augmentation.augmentation import CHANCE, Change, Facts, Random
from netloom.modalities.field_spec import Kind

if TYPE_CHECKING:
    import torch

# Luminance weights of red, green and blue, and the two axes of chrominance: https://en.wikipedia.org/wiki/YIQ
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


class _Light(Change):
    kinds: ClassVar[tuple[Kind, ...]] = ("image",)


class Brightness(_Light):
    name = "brightness"
    title = "Brightness and contrast"
    summary = "Changes brightness and contrast"
    brightness: float = Field(
        0.2, ge=0, le=1, description="Maximum change of the brightness, as a share of the range from black to white"
    )
    contrast: float = Field(0.2, ge=0, le=0.95, description="Maximum relative change of the contrast")

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        rows = (len(values), 1, 1, 1)
        added = random.uniform(rows, -self.brightness, self.brightness) * _as_column(facts.stretched(1.0), values)
        grown = random.uniform(rows, 1 - self.contrast, 1 + self.contrast)
        mean = values.mean((2, 3), keepdim=True)
        return within(mean + (values - mean) * grown + added, facts)


class Color(_Light):
    name = "color"
    title = "Color"
    summary = "Changes saturation and hue"
    channels = 3
    saturation: float = Field(0.3, ge=0, le=1, description="Maximum relative change of the saturation")
    hue: float = Field(10.0, ge=0, le=180, description="Maximum rotation of the hue on the color wheel, in degrees")

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        import torch

        rows = len(values)
        grown = random.uniform((rows,), 1 - self.saturation, 1 + self.saturation)
        angle = torch.deg2rad(random.uniform((rows,), -self.hue, self.hue))
        yiq = torch.tensor(_YIQ, device=values.device)
        turn = torch.zeros(rows, 3, 3, device=values.device)
        turn[:, 0, 0] = 1.0
        turn[:, 1, 1] = turn[:, 2, 2] = grown * angle.cos()
        turn[:, 1, 2], turn[:, 2, 1] = -grown * angle.sin(), grown * angle.sin()
        matrix = torch.linalg.inv(yiq) @ turn @ yiq
        black, unit = _as_column(facts.normalized(0.0), values), _as_column(facts.stretched(1.0), values)
        pixels = torch.einsum("nij,njhw->nihw", matrix, (values - black) / unit)
        return within(pixels * unit + black, facts)


class GaussianNoise(_Light):
    name = "gaussian_noise"
    title = "Noise"
    summary = "Adds Gaussian noise to every pixel"
    amount: float = Field(
        0.05, gt=0, le=1, description="Maximum standard deviation, as a share of the range from black to white"
    )

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        deviation = random.uniform((len(values), 1, 1, 1), 0.0, self.amount) * _as_column(facts.stretched(1.0), values)
        return within(values + random.normal(tuple(values.shape)) * deviation, facts)


class Blur(_Light):
    name = "blur"
    title = "Blur"
    summary = "Blurs the image with a Gaussian kernel"
    radius: float = Field(1.0, gt=0, le=5, description="Maximum standard deviation of the kernel, in pixels")
    chance: float = CHANCE

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        import torch

        rows = len(values)
        deviation = random.uniform((rows, 1), 0.1, max(self.radius, 0.1))
        reach = min(math.ceil(3 * self.radius), *(side - 1 for side in values.shape[2:]))
        positions = torch.arange(-reach, reach + 1, device=values.device)
        kernel = torch.exp(-(positions**2) / (2 * deviation**2))
        kernel = kernel / kernel.sum(1, keepdim=True)
        blurred = _along(_along(values, kernel, 3), kernel, 2)
        return blurred.where(random.chosen(rows, self.chance, 4), values)


class Cutout(_Light):
    """Covers a rectangle (https://arxiv.org/abs/1708.04552), with the sizes and shapes of
    https://arxiv.org/abs/1708.04896."""

    name = "cutout"
    title = "Cutout"
    summary = "Covers a random rectangle, so that the prediction does not rely on a single region"
    smallest: float = Field(0.02, gt=0, le=0.9, description="Minimum area of the rectangle, as a share of the image")
    largest: float = Field(0.2, gt=0, le=0.9, description="Maximum area of the rectangle, as a share of the image")
    chance: float = CHANCE

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        rows, _, height, width = values.shape
        area = random.uniform((rows,), min(self.smallest, self.largest), self.largest) * height * width
        ratio = random.uniform((rows,), math.log(0.3), math.log(1 / 0.3)).exp()
        tall = (area * ratio).sqrt().round().clamp(1, height)
        wide = (area / tall).round().clamp(1, width)
        covered = _span(tall, height, random)[:, None, :, None] & _span(wide, width, random)[:, None, None, :]
        covered = covered & random.chosen(rows, self.chance, 4)
        return values.masked_fill(covered, 0.0)  # the mean of the training images


def _span(length: torch.Tensor, side: int, random: Random) -> torch.Tensor:
    """Return which of `side` positions are in an interval of the given lengths (N,) at a random start, bool (N,
    side)."""
    import torch

    start = (random.uniform((len(length),)) * (side - length + 1)).floor()
    positions = torch.arange(side, device=length.device)
    return (positions >= start[:, None]) & (positions < (start + length)[:, None])


def _along(values: torch.Tensor, kernel: torch.Tensor, axis: int) -> torch.Tensor:
    """Convolve each image with its own kernel (N, K) along an axis, with repeated edges. A sum over shifted copies is
    many times as fast as a convolution with N groups."""
    import torch

    reach, length = kernel.shape[1] // 2, values.shape[axis]
    positions = torch.arange(length, device=values.device)
    total = torch.zeros_like(values)
    for tap in range(kernel.shape[1]):
        shifted = values.index_select(axis, (positions + tap - reach).clamp(0, length - 1))
        total += kernel[:, tap].reshape(-1, 1, 1, 1) * shifted
    return total


def within(values: torch.Tensor, facts: Facts) -> torch.Tensor:
    """Clip pixel values to the range from black to white."""
    black, white = facts.normalized(0.0), facts.normalized(1.0)
    if isinstance(black, float):
        return values.clamp(black, white)
    return values.maximum(_as_column(black, values)).minimum(_as_column(white, values))


def _as_column(value: Any, values: torch.Tensor) -> Any:
    return value if isinstance(value, float) else value.to(values.device)
