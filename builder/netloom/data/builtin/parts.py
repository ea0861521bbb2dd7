"""An image and numbers that determine the target only together."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netloom.data.builtin.shapes import Shapes
from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.multi_field import MultiFieldDataset
from netloom.data.raw.images import Images
from netloom.data.raw.table import Table
from netloom.data.raw_dataset import RawDataset

# The weight of a sound part in grams, by shape: circle, square, triangle, cross.
_WEIGHTS = (40.0, 60.0, 80.0, 100.0)


class Parts(Dataset):
    """Machine parts: an image of each, its weight and its temperature, which is irrelevant.

    A part is sound if its weight is that of its shape; a faulty one has the weight of another shape.
    """

    name = "parts"
    example_count = 2400
    title = "Machine parts"
    kind = "image"
    task = "classification"
    summary = "An image and two measurements: predict faulty parts, whose weight does not match their shape"

    rows: Rows = Field(2400, description="Number of parts")

    def read(self) -> RawDataset:
        pictures = Shapes(rows=self.rows, size=20, noise=0.08).read()
        random = np.random.default_rng(11)
        faulty = random.integers(2, size=self.rows)
        weighs_as = (pictures.target + faulty * random.integers(1, 4, size=self.rows)) % 4
        weight = np.array(_WEIGHTS)[weighs_as] + random.normal(0, 4, self.rows)
        numbers = {"weight": weight, "temperature": random.normal(20, 3, self.rows)}
        if not isinstance(pictures, Images):
            raise TypeError("shapes are images")
        table = Table(name="measured", target=faulty, target_kind="class", numbers=numbers)
        return MultiFieldDataset(
            name="",
            target=faulty,
            target_kind="class",
            target_name="state",
            classes=("sound", "faulty"),
            parts=(pictures, table),
        )


class SameDigits(Dataset):
    """Two handwritten digits. Pairs are sampled within pools, and each pool is in a single part of the split."""

    name = "same_digits"
    example_count = 3000
    title = "Digit pairs"
    kind = "image"
    task = "classification"
    summary = "Pairs of handwritten digits: predict whether both are equal. Training and test share no images"

    rows: Rows = Field(3000, description="Number of pairs")
    pools: int = Field(20, ge=10, le=40, description="Number of pools that the images are divided into")

    def read(self) -> RawDataset:
        from netloom.data.builtin.scikit import Digits

        digits = Digits().read()
        if not isinstance(digits, Images):
            raise TypeError("digits are images")
        random = np.random.default_rng(7)
        pool = random.permutation(len(digits)) % self.pools
        groups, same = np.arange(self.rows) % self.pools, random.integers(2, size=self.rows)
        first, second = np.empty(self.rows, dtype=np.int64), np.empty(self.rows, dtype=np.int64)
        for row in range(self.rows):
            members = np.flatnonzero(pool == groups[row])
            first[row] = random.choice(members)
            alike = (digits.target[members] == digits.target[first[row]]) == bool(same[row])
            second[row] = random.choice(members[alike & (members != first[row])])
        parts = tuple(
            Images(name=name, target=same, target_kind="class", pixels=digits.pixels[rows], top=digits.top)
            for name, rows in (("first", first), ("second", second))
        )
        return MultiFieldDataset(
            name="",
            target=same,
            target_kind="class",
            target_name="pair",
            classes=("different", "same"),
            parts=parts,
            groups=groups,
        )
