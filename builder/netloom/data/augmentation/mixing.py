"""Mixtures of two rows: the loss is computed for both targets, weighted by their shares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from netloom.data.augmentation.augmentation import Augmentation, Batch, Facts, Mixed, Random
from netloom.modalities.field_spec import Kind

if TYPE_CHECKING:
    import torch


class Mixing(Augmentation):
    """Mixes each row of a batch with another. If several are configured, each batch uses a random one."""

    spoils: ClassVar[tuple[str, ...]] = ("boxes",)
    spoiled = "blends images, whose objects would be hidden in part"

    def suits(self, facts: Facts) -> bool:
        return facts.spec.kind in self.kinds


class Mixup(Mixing):
    """https://arxiv.org/abs/1710.09412"""

    name = "mixup"
    title = "Mixup"
    summary = "Blends each example and its target with another example and its target"
    kinds: ClassVar[tuple[Kind, ...]] = ("image", "sequence", "vector")
    alpha: float = Field(
        0.2,
        gt=0,
        le=10,
        description="α of the beta distribution. Small: mostly one example; 1: all blends are equally likely",
    )

    def apply(self, batch: Batch, places: list[int], random: Random) -> None:
        share, partner = _drawn(batch, self.alpha, random)
        # The row with the larger share comes first, for the preview; the loss is symmetric.
        share = max(share, 1 - share)
        batch.inputs = [share * values + (1 - share) * values[partner] for values in batch.inputs]
        if batch.is_input:
            batch.target = share * batch.target + (1 - share) * batch.target[partner]
        else:
            batch.mixed = Mixed(share, partner)


class Cutmix(Mixing):
    """https://arxiv.org/abs/1905.04899"""

    name = "cutmix"
    title = "CutMix"
    summary = "Pastes a rectangle of another image into each image; targets are weighted by area"
    kinds: ClassVar[tuple[Kind, ...]] = ("image",)
    alpha: float = Field(
        1.0,
        gt=0,
        le=10,
        description="α of the beta distribution. Small: mostly one image; 1: all areas are equally likely",
    )

    def apply(self, batch: Batch, places: list[int], random: Random) -> None:
        share, partner = _drawn(batch, self.alpha, random)
        side = math.sqrt(1 - share)
        middle = (float(random.numbers.random()), float(random.numbers.random()))
        area = 0.0
        for input_index in places:
            values = batch.inputs[input_index]
            inside = _rectangle(values.shape[2], values.shape[3], side, middle, values)
            batch.inputs[input_index] = values[partner].where(inside, values)
            if input_index == batch.follows and (batch.is_per_pixel or batch.is_input):
                batch.target = batch.target[partner].where(inside, batch.target)
            area += float(_size(values.shape[2], side, middle[0]) * _size(values.shape[3], side, middle[1])) / (
                values.shape[2] * values.shape[3] * len(places)
            )
        if not batch.is_per_pixel and not batch.is_input:
            batch.mixed = Mixed(1 - area, partner)


def _drawn(batch: Batch, alpha: float, random: Random) -> tuple[float, torch.Tensor]:
    """Return the share of each row itself, and the index of its partner. Rows are in random order, so a random rotation
    of the batch is a random pairing, and no row meets itself."""
    import torch

    rows = len(batch.target)
    turn = int(random.numbers.integers(1, rows)) if rows > 1 else 0
    partner = (torch.arange(rows, device=batch.target.device) + turn) % rows
    return float(random.numbers.beta(alpha, alpha)), partner


def _bounds(length: int, side: float, middle: float) -> tuple[int, int]:
    """Return the start and end of a rectangle along an axis, clipped to the image."""
    half = length * side / 2
    return max(0, round(length * middle - half)), min(length, round(length * middle + half))


def _size(length: int, side: float, middle: float) -> int:
    start, end = _bounds(length, side, middle)
    return end - start


def _rectangle(height: int, width: int, side: float, middle: tuple[float, float], like: torch.Tensor) -> torch.Tensor:
    import torch

    inside = torch.zeros(height, width, dtype=torch.bool, device=like.device)
    (top, bottom), (column_start, right) = _bounds(height, side, middle[0]), _bounds(width, side, middle[1])
    inside[top:bottom, column_start:right] = True
    return inside
