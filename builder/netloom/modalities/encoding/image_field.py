"""Encodes images: resized if the data asks for it, then scaled."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netloom.modalities.encoding.cells import LARGEST_ENCODED, EncodeError, RawRow, array_of
from netloom.modalities.encoding.column_encoder import CellReader
from netloom.modalities.encoding.field_encoder import (
    FieldEncoder,
    FieldState,
    ListReader,
    RowDisplay,
    Scaled,
    ScaledEncoder,
    Scaling,
)
from netloom.modalities.encoding.file_pixels import stored_pixels

_FILE_SIDE = 256  # of a decoded image file, at least, if the data did not come from image files
MAX_SIDE = 8_192  # of an image that is resized; the weights of the pixels of a longer one would not fit into memory


# The columns of pixels in a table of images, such as pixel0 and 1x1
PIXEL_NAME = re.compile(r"(?i)(pixels?|px|pix)[ _.-]?\d+([ _x-]\d+)?|\d+x\d+")


@dataclass(frozen=True, kw_only=True)
class ImageState(FieldState):
    """Pixels (C, H, W) are multiplied by `scale` before they are standardized; if `resized`, images are resized to
    `shape`.

    `top` is the largest pixel value of the data, if it is not 1 / `scale`. Image files of the training data were
    decoded to squares of `file_side` pixels, and then brought to `file_shape`; 0 and () for other data.
    """

    shape: Sequence[int]
    scale: float
    mean: Scaling
    std: Scaling
    resized: bool = False
    top: float = 0.0
    file_side: int = 0
    file_shape: Sequence[int] = ()


class ImageEncoder(ScaledEncoder[ImageState]):
    """Encodes images (H, W), (H, W, C) or (C, H, W) as pixels (N, C, H, W)."""

    encoding = "image"
    state_type = ImageState

    @property
    def scaled(self) -> Scaled:
        return self.state

    @property
    def scale(self) -> float:
        """The factor of the pixels of the data before the mean is subtracted."""
        return self.state.scale

    @property
    def unit_scale(self) -> float:
        """The factor from the pixels of the data to the range from 0 to 1."""
        return 1 / self.state.top if self.state.top else self.state.scale

    @property
    def file_side(self) -> int:
        """The height and width to which an image file is decoded."""
        return self.state.file_side or max(*self.shape, _FILE_SIDE)

    @property
    def file_shape(self) -> tuple[int, ...]:
        """The shape (C, H, W) of a decoded image file as it was stored for training; () if files were not stored."""
        return tuple(self.state.file_shape)

    @property
    def is_resized(self) -> bool:
        """Whether images of any size are resized to that of training."""
        return self.state.resized

    def restore(self, values: np.ndarray) -> list[Any]:
        rows: list[Any] = (self.unscaled(values) / self.scale).tolist()
        return rows

    @property
    def cell_reader(self) -> CellReader:
        return ListReader()

    def joined_cells(self, names: Sequence[str], lines: Sequence[Sequence[str]]) -> tuple[list[str], list[str]]:
        columns = [name for name in names if PIXEL_NAME.fullmatch(name.strip())]
        if not columns and lines:  # all pixels in one cell
            first = dict(zip(names, lines[0], strict=False))
            columns = [name for name in names if square_side(len(first.get(name, "").split()), self.shape[0]) > 1][:1]
        places = [names.index(name) for name in columns]
        cells = []
        for line in lines:
            values = [value for place in places if place < len(line) for value in line[place].split()]
            channels = self.shape[0]
            side = square_side(len(values), channels)
            if side < 2 or not all(value.strip().isdecimal() for value in values):
                return [], []
            pixels = np.array(values, dtype=np.int64).reshape((side, side, channels))
            cells.append(json.dumps((pixels[:, :, 0] if channels == 1 else pixels).tolist()))
        return columns, cells

    def shown(self, row: RawRow) -> RowDisplay:
        image = np.asarray(self.raw_value(row), dtype=np.float64) * self.unit_scale
        if self.is_resized:
            image = sized(image if image.ndim == 3 else image[None], *self.shape)
        if image.ndim == 3 and image.shape == self.shape:
            image = image.transpose(1, 2, 0)
        return {"image": image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image}

    def encode(self, rows: list[RawRow]) -> np.ndarray:
        state = self.state
        channels, height, width = state.shape
        images = []
        for row in rows:
            pixels = array_of(row, self.name, np.float32)
            if pixels.ndim == 2:
                pixels = pixels[None]
            # An image that fits as it is stays, as 3 × H × 3 could be either layout
            elif pixels.ndim == 3 and pixels.shape != (channels, height, width) and pixels.shape[2] == channels:
                pixels = pixels.transpose(2, 0, 1)
            if self.is_resized:
                if max(pixels.shape, default=0) > MAX_SIDE:
                    raise EncodeError(f"An image has at most {MAX_SIDE:,} pixels per side, received {pixels.shape}.")
                pixels = sized(self._as_file(pixels), channels, height, width)
            if pixels.shape != (channels, height, width):
                expected = f"{height}×{width} with {channels} channel{'s' * (channels != 1)}"
                raise EncodeError(f"An image must be {expected}, received values of shape {pixels.shape}.")
            images.append(pixels)
        # `stack` alone keeps the order of strided images, with which convolutions round differently
        stacked = np.stack(images, out=np.empty((len(images), channels, height, width), np.float32))
        with np.errstate(over="ignore"):  # the clip below makes infinite results finite
            scaled = (stacked * np.float32(state.scale) - np.asarray(state.mean, np.float32)) / np.asarray(
                state.std, np.float32
            )
        np.clip(scaled, -LARGEST_ENCODED, LARGEST_ENCODED, out=scaled)
        return scaled

    def _as_file(self, pixels: np.ndarray) -> np.ndarray:
        """Return bytes of another size than those of training as an image file of these pixels would be read."""
        state = self.state
        planes = _planes(pixels)
        are_bytes = abs(255 * self.unit_scale - 1) < 1e-6 and is_bytes(planes)
        if not state.file_side or not are_bytes or pixels.shape in (self.shape, self.file_shape):
            return pixels
        return stored_pixels(planes, state.file_side, state.file_shape).astype(np.float32)


def square_side(count: int, channels: int) -> int:
    """Return the side of a square image with this number of values; 0 if it is not a square."""
    side = math.isqrt(count // channels)
    return side if side * side * channels == count else 0


def image_encoder(encoder: FieldEncoder[Any]) -> ImageEncoder:
    """Return the encoder as that of a field of images.

    Raises:
        TypeError: the field does not hold images.
    """
    if not isinstance(encoder, ImageEncoder):
        raise TypeError(f"The field {encoder.name!r} does not hold images.")
    return encoder


def sized(pixels: np.ndarray, channels: int, height: int, width: int) -> np.ndarray:
    """Return an image (C, H, W) or (H, W, C), where C is 1 or 3, with another size and number of channels.

    Resizing uses cubic convolution, antialiased when it shrinks the image; gray is weighted as in ITU-R BT.601. An
    array of another shape is returned unchanged.

    Keys, https://doi.org/10.1109/TASSP.1981.1163711, with a = -1/2.
    """
    pixels = _planes(pixels)
    if not _are_planes(pixels):
        return pixels
    if pixels.shape[0] != channels:
        weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
        pixels = np.tensordot(weights, pixels, 1)[None] if channels == 1 else pixels.repeat(channels, axis=0)
    low, high = pixels.min(), pixels.max()
    for axis, size in ((2, width), (1, height)):
        if pixels.shape[axis] != size:
            # The kernel has negative lobes, so it can overshoot at edges
            shares = _pixel_shares(pixels.shape[axis], size).astype(np.float32)
            pixels = np.moveaxis(np.tensordot(shares, pixels, (1, axis)), 0, axis).clip(low, high)
    return pixels


def is_bytes(pixels: np.ndarray) -> bool:
    """Return whether an image (C, H, W) with one or three channels has whole numbers from 0 to 255 as pixels."""
    return _are_planes(pixels) and bool(((pixels >= 0) & (pixels <= 255) & (pixels == np.floor(pixels))).all())


def _are_planes(pixels: np.ndarray) -> bool:
    return pixels.ndim == 3 and pixels.shape[0] in (1, 3) and 0 not in pixels.shape


def _planes(pixels: np.ndarray) -> np.ndarray:
    """Return an image (H, W, C) with one or three channels as (C, H, W), and another array unchanged."""
    is_last = pixels.ndim == 3 and pixels.shape[0] not in (1, 3) and pixels.shape[2] in (1, 3)
    return pixels.transpose(2, 0, 1) if is_last else pixels


def _pixel_shares(old: int, new: int) -> np.ndarray:
    """Return the weight of each old pixel of a line in each new one, float64 (new, old)."""
    scale = old / new
    middles = (np.arange(new) + 0.5) * scale
    # Distances of pixel centers in pixels of the coarser grid, which widens the kernel when the image shrinks
    far = abs(np.arange(old) + 0.5 - middles[:, None]) / max(scale, 1.0)
    near, wide = (1.5 * far - 2.5) * far**2 + 1, ((-0.5 * far + 2.5) * far - 4) * far + 2
    shares = np.where(far < 1, near, np.where(far < 2, wide, 0.0))
    # The sum is above 1 where the kernel is widened, and below 1 at the borders
    normalized: np.ndarray = shares / shares.sum(1, keepdims=True)
    return normalized
