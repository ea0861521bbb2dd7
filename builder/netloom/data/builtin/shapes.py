"""Images whose decisive pixels are known, to test whether an explanation finds them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import Field

from netloom.data.boxes import padded
from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.raw.images import Images
from netloom.data.raw_dataset import RawDataset

CLASSES = ("circle", "square", "triangle", "cross")


class Shapes(Dataset):
    """One shape, which is the label, and one small bright dot, which is irrelevant."""

    name = "shapes"
    example_count = 1200
    title = "Shapes with known masks"
    kind = "image"
    task = "classification"
    summary = "Drawn shapes on a noisy background, with a decoy. The decisive pixels are known"

    rows: Rows = Field(1200, description="Number of images")
    size: int = Field(24, ge=16, le=96, description="Height and width in pixels")
    noise: float = Field(0.15, ge=0, le=1, description="Standard deviation of the background noise")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        target = np.arange(self.rows) % len(CLASSES)
        pixels = np.empty((self.rows, 1, self.size, self.size), dtype=np.float32)
        masks = np.empty((self.rows, self.size, self.size), dtype=bool)
        for index, number in enumerate(target):
            masks[index] = self._shape(CLASSES[number], random)
            picture = random.normal(0.3, self.noise, (self.size, self.size))
            picture[masks[index]] += random.uniform(0.35, 0.6)
            picture[self._decoy(random) & ~masks[index]] += 0.6
            pixels[index, 0] = picture.clip(0, 1)
        return Images(
            name="image",
            target=target.astype(np.int64),
            target_kind="class",
            target_name="shape",
            classes=CLASSES,
            pixels=pixels,
            top=1.0,
            masks=masks,
        )

    def _grid(self, random: np.random.Generator, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """Return a column and a row of coordinates around a random center at least `reach` pixels from the border."""
        middle = random.uniform(reach, self.size - 1 - reach, 2)
        steps = np.arange(self.size)
        return steps[:, None] - middle[0], steps[None] - middle[1]

    def _shape(self, name: str, random: np.random.Generator, least: float = 0.17, most: float = 0.26) -> np.ndarray:
        """Return the pixels (H, W) of a shape whose half side is a share of the image from `least` to `most`."""
        reach = self.size * random.uniform(least, most)
        y, x = self._grid(random, reach)
        if name == "circle":
            return np.asarray(y**2 + x**2 <= reach**2)
        if name == "square":
            return np.asarray(np.maximum(abs(y), abs(x)) <= reach * 0.85)
        if name == "triangle":
            return np.asarray((y <= reach * 0.8) & (y >= -reach) & (abs(x) <= (y + reach) * 0.55))
        return np.asarray((np.minimum(abs(y), abs(x)) <= reach * 0.3) & (np.maximum(abs(y), abs(x)) <= reach))

    def _decoy(self, random: np.random.Generator) -> np.ndarray:
        y, x = self._grid(random, 2)
        return np.asarray(y**2 + x**2 <= 2.5)


class ShapeMasks(Shapes):
    """The same images with a class for every pixel."""

    name = "shape_masks"
    example_count = 1200
    title = "Shapes with pixel labels"
    task = "segmentation"
    summary = "Drawn shapes on a noisy background, with a decoy: predict the shape of each pixel"

    def read(self) -> RawDataset:
        raw = super().read()
        if raw.masks is None:
            raise TypeError("shapes come with their masks")
        masks = np.where(raw.masks, raw.target[:, None, None] + 1, 0).astype(np.uint8)
        return replace(raw, target=masks, target_kind="mask", classes=("ground", *CLASSES), masks=None)


class ShapeBoxes(Shapes):
    """Several shapes in an image, or none, each with a box; the decoys have none."""

    name = "shape_boxes"
    example_count = 1200
    title = "Shapes with boxes"
    task = "detection"
    summary = "Up to four drawn shapes of different sizes on a noisy background: find and name each"

    size: int = Field(48, ge=32, le=128, description="Height and width in pixels")

    def read(self) -> RawDataset:
        random = np.random.default_rng(11)
        pixels = np.empty((self.rows, 1, self.size, self.size), dtype=np.float32)
        objects = []
        for index in range(self.rows):
            picture = random.normal(0.3, self.noise, (self.size, self.size))
            free = np.ones((self.size, self.size), dtype=bool)
            own = []
            for _ in range(int(random.integers(0, 5))):
                number = int(random.integers(len(CLASSES)))
                shape = self._shape(CLASSES[number], random, 0.08, 0.2)
                lines, columns = np.nonzero(shape)
                top, bottom, left, right = lines.min(), lines.max() + 1, columns.min(), columns.max() + 1
                if not free[top:bottom, left:right].all():
                    continue  # shapes do not overlap
                free[top:bottom, left:right] = False
                picture[shape] += random.uniform(0.35, 0.6)
                own.append([number, *(side / self.size for side in (left, top, right, bottom))])
            picture[self._decoy(random) & free] += 0.6
            pixels[index, 0] = picture.clip(0, 1)
            objects.append(np.array(own, dtype=np.float32).reshape(-1, 5))
        return Images(
            name="image",
            target=padded(objects),
            target_kind="boxes",
            target_name="objects",
            classes=CLASSES,
            pixels=pixels,
            top=1.0,
        )
