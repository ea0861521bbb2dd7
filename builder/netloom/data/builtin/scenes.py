"""Images with several targets: several shapes, or a shape and its size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import Field

from netloom.data.builtin.shapes import CLASSES, Shapes
from netloom.data.builtin_registry import Rows
from netloom.data.raw.images import Images
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetSpec


class Scenes(Shapes):
    """Zero to three different shapes per image, each of which is a label. They can touch."""

    name = "scenes"
    example_count = 2400
    title = "Scenes of several shapes"
    task = "multi_label"
    summary = "Drawn images with none, one or several shapes: predict which shapes they contain"

    rows: Rows = Field(2400, description="Number of images")
    size: int = Field(20, ge=16, le=96, description="Height and width in pixels")
    noise: float = Field(0.05, ge=0, le=1, description="Standard deviation of the background noise")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        labels = np.zeros((self.rows, len(CLASSES)), dtype=np.uint8)
        pixels = np.empty((self.rows, 1, self.size, self.size), dtype=np.float32)
        for row in range(self.rows):
            picture = random.normal(0.3, self.noise, (self.size, self.size))
            present = random.permutation(len(CLASSES))[: random.choice(4, p=[0.1, 0.3, 0.35, 0.25])]
            for number in present:
                picture[self._shape(CLASSES[number], random)] += random.uniform(0.35, 0.6)
            labels[row, present] = 1
            pixels[row, 0] = picture.clip(0, 1)
        return Images(
            name="image",
            target=labels,
            target_kind="labels",
            target_name="shapes",
            classes=CLASSES,
            pixels=pixels,
            top=1.0,
        )


class ShapeFacts(Shapes):
    """Images of one shape with two targets: the shape, and its share of the image."""

    name = "shape_facts"
    example_count = 2000
    title = "Shapes with their size"
    task = "several_outputs"
    summary = "Drawn shapes on a noisy background: predict the shape, and the percentage of the image that it covers"

    rows: Rows = Field(2000, description="Number of images")

    def read(self) -> RawDataset:
        raw = super().read()
        if raw.masks is None:
            raise TypeError("shapes come with their masks")
        covered = 100 * raw.masks.mean((1, 2))
        parts = (TargetSpec("class", "shape", CLASSES), TargetSpec("number", "area"))
        return replace(
            raw,
            target=np.stack([raw.target.astype(np.float64), covered], axis=1),
            target_kind="several",
            target_name="shape, area",
            classes=(),
            target_parts=parts,
            masks=None,
        )
