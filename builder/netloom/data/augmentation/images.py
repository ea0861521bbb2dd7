"""Geometric augmentations of images: flips, crops, rotation and scale. Pixels outside are filled with the nearest
edge."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from netloom.data.augmentation.augmentation import CHANCE, Facts, Motion, Move, Random
from netloom.modalities.field_spec import Kind

if TYPE_CHECKING:
    import torch


class _Picture(Motion):
    kinds: ClassVar[tuple[Kind, ...]] = ("image",)


class _Flip(_Picture):
    axis: ClassVar[int]
    chance: float = CHANCE

    def moves(self, values: torch.Tensor, facts: Facts, random: Random) -> Move:
        chosen = random.chosen(len(values), self.chance, values.dim())
        return lambda tensor, exact: tensor.where(~chosen, tensor.flip(self.axis))


class HorizontalFlip(_Flip):
    name = "horizontal_flip"
    title = "Horizontal flip"
    summary = "Mirrors the image left to right; not for letters and digits"
    axis = 3


class VerticalFlip(_Flip):
    name = "vertical_flip"
    title = "Vertical flip"
    summary = "Mirrors the image top to bottom; for images taken from above"
    axis = 2


class Crop(_Picture):
    """Shifts by padding and cropping: https://arxiv.org/abs/1512.03385, section 4.2."""

    name = "crop"
    title = "Random crop"
    summary = "Shifts the image by a few pixels: it is padded, then cropped to its size"
    padding: float = Field(0.125, gt=0, le=0.5, description="Maximum shift, as a share of the side")

    def moves(self, values: torch.Tensor, facts: Facts, random: Random) -> Move:
        import torch

        rows, _, height, width = values.shape
        down, right = (max(1, round(self.padding * side)) for side in (height, width))
        top, column_offset = random.whole((rows, 1), -down, down), random.whole((rows, 1), -right, right)
        lines = (top + torch.arange(height, device=values.device)).clamp(0, height - 1)
        columns = (column_offset + torch.arange(width, device=values.device)).clamp(0, width - 1)

        def move(tensor: torch.Tensor, exact: bool) -> torch.Tensor:
            tall = tensor.gather(2, lines[:, None, :, None].expand_as(tensor))
            return tall.gather(3, columns[:, None, None, :].expand_as(tensor))

        return move


class _Affine(_Picture):
    def matrices(self, rows: int, random: Random) -> torch.Tensor:
        """Return matrices (N, 2, 2) that map points of the new image to the old one, in pixels relative to the
        center."""
        raise NotImplementedError

    def moves(self, values: torch.Tensor, facts: Facts, random: Random) -> Move:
        import torch
        from torch.nn import functional

        rows, _, height, width = values.shape
        matrix = self.matrices(rows, random)
        # grid_sample uses coordinates from -1 to 1 on both axes, so a rotation in pixels needs their ratio.
        ratio = height / width
        scale = torch.tensor([[1.0, ratio], [1 / ratio, 1.0]], device=values.device)
        theta = torch.cat([matrix * scale, torch.zeros(rows, 2, 1, device=values.device)], dim=2)
        grid = functional.affine_grid(theta, [rows, 1, height, width], align_corners=False)

        def move(tensor: torch.Tensor, exact: bool) -> torch.Tensor:
            mode = "nearest" if exact else "bilinear"
            moved = functional.grid_sample(tensor.float(), grid, mode, "border", align_corners=False)
            return moved.to(tensor.dtype)

        return move


class Rotate(_Affine):
    name = "rotate"
    title = "Rotate"
    summary = "Rotates the image about its center"
    degrees: float = Field(15.0, gt=0, le=180, description="Maximum angle in degrees, in both directions")

    def matrices(self, rows: int, random: Random) -> torch.Tensor:
        return turned(random.uniform((rows,), -self.degrees, self.degrees))


class Scale(_Affine):
    name = "scale"
    title = "Scale"
    summary = "Enlarges or shrinks the content of the image"
    smallest: float = Field(0.8, ge=0.2, le=1, description="Minimum scale factor")
    largest: float = Field(1.25, ge=1, le=5, description="Maximum scale factor")

    def matrices(self, rows: int, random: Random) -> torch.Tensor:
        import torch

        # Uniform in the logarithm, so that half and twice the size are equally likely.
        factor = random.uniform((rows, 1, 1), math.log(self.smallest), math.log(self.largest)).exp()
        return torch.eye(2, device=factor.device) / factor


def turned(degrees: torch.Tensor) -> torch.Tensor:
    """Return matrices (N, 2, 2) that rotate an image counterclockwise by angles (N,) in degrees."""
    import torch

    angle = torch.deg2rad(degrees)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], dim=1), torch.stack([sin, cos], dim=1)], dim=1)
