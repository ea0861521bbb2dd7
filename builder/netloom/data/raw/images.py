"""Raw images, all of the same size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.boxes import present
from netloom.data.images import channels_last
from netloom.data.limits import MAX_CELLS
from netloom.data.raw_dataset import Allocate, RawDataset, in_memory, in_parts
from netloom.data.schema import Example
from netloom.document import ImageNormalization, Preparation
from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.image_field import ImageState, image_encoder, sized
from netloom.modalities.fields.image import ImageModality, TrainingImages
from netloom.modalities.fields.modality import Modality

_PICTURES_AT_ONCE = 64


@dataclass
class Images(RawDataset):
    """Images (R, C, H, W).

    Attributes:
        top: The largest pixel value; the smallest is 0.
        resized: Whether images of any size are resized to this one, also in prediction.
        file_side: The side of the squares to which image files were decoded; 0 if there were none.
        file_shape: The shape (C, H, W) to which these squares were brought.
    """

    pixels: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 1, 1)))
    top: float = 255.0
    resized: bool = False
    file_side: int = 0
    file_shape: tuple[int, ...] = ()

    def row(self, index: int) -> RawRow:
        return {self.name: self.pixels[index]}

    @property
    def modality(self) -> Modality[Any]:
        return ImageModality()

    @property
    def accepted_settings(self) -> frozenset[str]:
        return frozenset(ImageModality.settings.model_fields)

    def with_settings(self, settings: Mapping[str, Any]) -> RawDataset:
        images = super().with_settings(settings)
        channels, height, width = self.pixels.shape[1:]
        side, gray = settings.get("size"), settings.get("grayscale")
        shape = (1 if gray else channels, side or height, side or width)
        if gray is None and side is None:
            return images
        if self.masks is not None or self.target_type.is_per_pixel:
            raise DataError(
                f"The masks of {self.name[:80]!r} belong to its images as they are; keep their size and colors."
            )
        if len(self) * math.prod(shape) > MAX_CELLS:
            raise DataError(
                f"{len(self):,} images of {shape[1]} × {shape[2]} pixels are too many; choose a smaller size."
            )
        pixels = np.stack([sized(np.asarray(image, dtype=np.float32), *shape) for image in self.pixels])
        return replace(self, pixels=pixels, resized=True, settings=images.settings)

    def with_preparation(self, prepare: Preparation | ImageNormalization) -> RawDataset:
        defaults = ImageModality().default_settings(self.name, prepare, self.pixels.shape[1:])
        return replace(self, settings={**defaults, **self.settings})

    def with_any_size(self) -> RawDataset:
        # A target per pixel belongs to the original size
        return self if self.target_type.is_per_pixel else replace(self, resized=True)

    def stacked(self, images: RawDataset, rows: np.ndarray) -> RawDataset | None:
        if not isinstance(images, Images):
            return None
        return replace(self, pixels=np.concatenate([self.pixels[rows], images.pixels[rows]]))

    def fit(self, rows: np.ndarray) -> ImageState:
        images = TrainingImages(self.pixels, rows, self.top, self.resized, self.file_side, self.file_shape)
        return ImageModality().fit(self.name, images, self.settings)

    def encoded(self, fitted: Sequence[FieldEncoder[Any]], allocate: Allocate = in_memory) -> dict[str, np.ndarray]:
        encoder = fitted[0]
        if not self.modality.describes(encoder) or encoder.shape != self.pixels.shape[1:]:
            return {}
        array = allocate(self.name, self.pixels.shape, np.float32)
        image = image_encoder(encoder)
        # In place and in the order of `ImageEncoder.encode`, whose bits the result must equal
        scale, mean, std = (np.float32(number) for number in (image.scale, image.mean, image.std))
        for start in range(0, len(self), _PICTURES_AT_ONCE):  # few enough to stay in the CPU cache
            part = array[start : start + _PICTURES_AT_ONCE]
            np.copyto(part, self.pixels[start : start + _PICTURES_AT_ONCE], casting="unsafe")
            if self.pixels.dtype.kind == "f" and not np.isfinite(part).all():
                return {}  # encoding row by row then names the row
            part *= scale
            part -= mean
            part /= std
        return {self.name: array}

    def example(self, index: int, target: str) -> Example:
        picture = self.pixels[index].astype(np.float64) / self.top
        image = channels_last(picture)
        mask = self.target[index] if self.target_type.is_per_pixel else None
        if self.target_type.is_boxes:
            boxes = present(self.target[index])
            return Example(index, target, image=image, boxes=boxes, classes=self.classes)
        return Example(index, target, image=image, mask=mask)

    def content(self) -> Iterable[bytes]:
        return in_parts(self.pixels)
