"""Decodes images from bytes, with limits on their size."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from netloom.core.errors import DamagedFileError, DataError
from netloom.data.limits import MAX_PIXELS
from netloom.modalities.encoding.file_pixels import SMALLEST_SIDE

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
GRAY_COLOR = 0x01_01_01  # times a gray value from 0 to 255
_ORIENTATION = 0x0112  # the EXIF tag
T = TypeVar("T")


def picture(content: bytes, filename: str, side: int) -> np.ndarray:
    """Return an image as square RGB (S, S, 3); S is its own size, from `SMALLEST_SIDE` to `side`.

    Raises:
        DataError: it is unreadable or too large.
    """
    from PIL import ImageOps

    def read(image: Image.Image) -> np.ndarray:
        if image.mode in ("I", "F"):
            raise DataError(
                f"{filename[:100]!r} has 32-bit pixels, and the file does not say which value is white; save it with 8 "
                "or 16 bits per pixel, or put all images into one array (NPZ)."
            )
        image.draft("RGB", (side, side))  # decodes a large JPEG at a fraction of its size
        native_side = max(SMALLEST_SIDE, min(side, max(image.size)))
        return np.asarray(_squared(_rgb(ImageOps.exif_transpose(image)), native_side))

    return _opened(content, filename, read)


def sixteen_bit_peak(content: bytes, filename: str) -> int:
    """Return the largest value of an image with 16 bits per pixel, which `picture` scales to 8; 0 for other images.

    Raises:
        DataError: it is unreadable or too large.
    """
    return _opened(
        content, filename, lambda image: int(np.asarray(image).max()) if image.mode.startswith("I;16") else 0
    )


@dataclass(frozen=True)
class FileSize:
    """The width and height of an image file as its pixels are stored, and its EXIF orientation, from 1 to 8.

    https://exiftool.org/TagNames/EXIF.html (0x0112)
    """

    stored: tuple[int, int]
    orientation: int

    @property
    def shown(self) -> tuple[int, int]:
        """The width and height of the image as `picture` returns it."""
        width, height = self.stored
        return (height, width) if self.orientation in (5, 6, 7, 8) else (width, height)

    @property
    def mirrors_width(self) -> bool:
        """Whether the image is mirrored from left to right when it is shown, after width and height are exchanged."""
        return self.orientation in (2, 3, 6, 7)

    @property
    def mirrors_height(self) -> bool:
        """Whether it is mirrored from top to bottom."""
        return self.orientation in (3, 4, 7, 8)


def file_size(content: bytes, filename: str) -> FileSize:
    """Return the size of an image without decoding it.

    Raises:
        DataError: it is unreadable or too large.
    """
    return _opened(content, filename, lambda image: FileSize(image.size, image.getexif().get(_ORIENTATION, 1)))


def mask(content: bytes, filename: str) -> np.ndarray:
    """Return a mask without scaling: class numbers or gray values (H, W), or colors (H, W) as 0xRRGGBB.

    Raises:
        DataError: it is unreadable or too large.
    """
    return mask_pixels(content, filename).values


@dataclass(frozen=True)
class MaskPixels:
    """The pixels of a mask.

    Attributes:
        values: Class numbers, gray values or colors as 0xRRGGBB, (H, W).
        colors: The color of each value of a palette or of black and white, None for other gray values, and {} if the
            values are colors.
    """

    values: np.ndarray
    colors: Mapping[int, int] | None

    @property
    def are_colors(self) -> bool:
        return self.colors is not None and not self.colors

    @property
    def in_colors(self) -> np.ndarray:
        """The values as colors 0xRRGGBB (H, W)."""
        return colored(self.values, self.colors)


def colored(values: np.ndarray, colors: Mapping[int, int] | None) -> np.ndarray:
    """Return values of a mask as colors 0xRRGGBB, see `MaskPixels.colors`; that of a gray value has equal parts."""
    if colors is None:
        return values * GRAY_COLOR
    if not colors:
        return values
    numbers = sorted(colors)
    return np.array([colors[number] for number in numbers], dtype=np.int32)[np.searchsorted(numbers, values)]


def mask_pixels(content: bytes, filename: str) -> MaskPixels:
    """Return a mask without scaling.

    Raises:
        DataError: it is unreadable or too large.
    """

    def read(image: Image.Image) -> MaskPixels:
        if image.format == "JPEG":
            raise DataError(
                f"{filename[:100]!r} is a JPEG, which blurs the borders between classes; save masks as PNG."
            )
        if image.mode in ("P", "L", "1", "I", "I;16", "I;16B", "F"):
            pixels = np.asarray(image)
            values = pixels.astype(np.int64)
            if (values != pixels).any():
                raise DataError(
                    f"{filename[:100]!r} has fractions such as {float(pixels[values != pixels][0]):.4g}, which are not "
                    "classes; save masks as PNG with one whole number per class."
                )
            return MaskPixels(values, _colors_of(image, np.unique(values).tolist()))
        colors = np.asarray(image.convert("RGB")).astype(np.int64)
        # (H, W, 3) -> (H, W)
        return MaskPixels(np.asarray(colors @ np.array([65_536, 256, 1])), {})

    return _opened(content, filename, read)


def _colors_of(image: Image.Image, values: list[int]) -> dict[int, int] | None:
    """Return the color of each value in an image with a palette, or in one that is black and white."""
    if image.mode == "P":
        palette = np.zeros(768, dtype=np.int64)
        entries = image.getpalette("RGB") or []
        palette[: len(entries)] = entries
        colors = palette.reshape(-1, 3) @ np.array([65_536, 256, 1])
        return {value: int(colors[value]) for value in values}
    white = 1 if image.mode == "1" else 255
    return {value: GRAY_COLOR * 255 * (value > 0) for value in values} if {*values} <= {0, white} else None


def _opened(content: bytes, filename: str, read: Callable[[Image.Image], T]) -> T:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sizes are checked below, before a pixel is decoded
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise _too_large(filename, f"{width:,} × {height:,} pixels")
                return read(image)
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(filename, "far too many pixels") from None
    except Exception:
        # Pillow's decoders raise many types of errors on damaged files, with the same meaning for users.
        raise DamagedFileError(
            f"{filename[:100]!r} is not a readable image: it is damaged, incomplete or of another format; remove it, "
            "or save it again as PNG."
        ) from None


def equal(pictures: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Scale square images, each of its own size in a corner of (R, S, S, 3), to the size of the largest, in place."""
    side = int(sides.max())
    # (R, S, S, 3) -> (R, side, side, 3), without a copy if the sizes are equal
    resized_pictures = (
        pictures if side == pictures.shape[1] else np.empty((len(pictures), side, side, 3), dtype=np.uint8)
    )
    for index, size in enumerate(sides.tolist()):
        picture = pictures[index, :size, :size]
        if size != side:
            resized_pictures[index] = resized(np.ascontiguousarray(picture), side)
        elif resized_pictures is not pictures:
            resized_pictures[index] = picture
    return resized_pictures


def resized(pixels: np.ndarray, side: int, mode: str | None = None) -> np.ndarray:
    """Return an image (H, W, 3) as (side, side, 3), or as (side, side) in mode L."""
    from PIL import Image

    image = Image.fromarray(pixels)
    return np.asarray(_squared(image.convert(mode) if mode else image, side))


def _squared(image: Image.Image, side: int) -> Image.Image:
    """Return an image as a square, bit for bit as `netloom.modalities.encoding.file_pixels` does without Pillow."""
    # One axis at a time, as Pillow 13 starts with either axis, and earlier versions with the horizontal one
    return image.resize((side, image.height)).resize((side, side))


def resized_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """Return a mask (H, W) as (side, side) by nearest neighbor, so that no new classes appear."""
    return nearest(mask, (side, side))


def channels_last(image: np.ndarray) -> np.ndarray:
    """Return an image (C, H, W) as (H, W, C), or as (H, W) if it has one channel."""
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def nearest(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return values (H, W) in another shape by nearest neighbor."""
    rows, columns = (
        ((np.arange(size) + 0.5) * before / size).astype(np.int64)
        for size, before in zip(shape, values.shape, strict=True)
    )
    resized_pixels: np.ndarray = values[rows][:, columns]
    return resized_pixels


def data_uri(pixels: np.ndarray) -> str:
    """Return an image (H, W) or (H, W, 3) of bytes as a data URI."""
    from PIL import Image

    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    image.resize((max(64, image.width), round(image.height * max(64, image.width) / image.width)), 0).save(
        stream, "PNG"
    )
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def save_png(image: np.ndarray, path: Path) -> None:
    """Write an image (C, H, W) with values from 0 to 1 and one or three channels as a PNG file."""
    from PIL import Image

    pixels = (image.transpose(1, 2, 0).clip(0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path, "PNG")


def _too_large(filename: str, size: str) -> DataError:
    return DataError(
        f"{filename[:100]!r} has {size}; at most {MAX_PIXELS / 1e6:.0f} megapixels are allowed; make it smaller, or "
        "remove it."
    )


def _rgb(image: Image.Image) -> Image.Image:
    """Return red, green and blue from 0 to 255; transparency becomes white, and 16 bits are scaled to 8."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.int64)
        # 65,535 = 255 × 257, so white stays white.
        return Image.fromarray((deep // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    return image.convert("RGB")
