"""Pictures from their bytes, opened with care."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.data.limits import MAX_PIXELS, SMALLEST_SIDE

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")


def picture(content: bytes, filename: str, side: int) -> np.ndarray:
    """A picture as square RGB (S, S, 3), of its own size, but from `SMALLEST_SIDE` to `side`.

    Raises:
        DataError: it cannot be read, or is too large.
    """
    from PIL import ImageOps

    def read(image: Image.Image) -> np.ndarray:
        image.draft("RGB", (side, side))  # lets a large JPEG be decoded at a fraction of its size
        own_side = max(SMALLEST_SIDE, min(side, max(image.size)))
        return np.asarray(_rgb(ImageOps.exif_transpose(image)).resize((own_side, own_side)))

    return _opened(content, filename, read)


def mask(content: bytes, filename: str) -> np.ndarray:
    """A mask as it was painted: class numbers or grey values (H, W), or colours (H, W) as 0xRRGGBB.

    Raises:
        DataError: it cannot be read, or is too large.
    """

    def read(image: Image.Image) -> np.ndarray:
        if image.format == "JPEG":
            raise DataError(
                f"{filename[:100]!r} is a JPEG, which blurs the borders between classes; save masks as PNG."
            )
        if image.mode in ("P", "L", "1", "I", "I;16", "I;16B"):
            return np.asarray(image).astype(np.int64)
        colours = np.asarray(image.convert("RGB")).astype(np.int64)
        return np.asarray(colours @ np.array([65_536, 256, 1]))

    return _opened(content, filename, read)


def _opened(content: bytes, filename: str, read: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
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
        # Pillow's decoders raise many kinds of errors on damaged files; each means the same to a person.
        raise DataError(
            f"{filename[:100]!r} is no picture that can be read: it is damaged, cut short or of another form; remove "
            "it, or save it again as PNG."
        ) from None


def equal(pictures: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Square pictures (R, S, S, 3), each in a corner of a larger one and of a side of its own, in the same size, that
    of the largest; they are changed in place."""
    side = int(sides.max())
    found = pictures if side == pictures.shape[1] else np.empty((len(pictures), side, side, 3), dtype=np.uint8)
    for place, own in enumerate(sides.tolist()):
        one = pictures[place, :own, :own]
        if own != side:
            found[place] = resized(np.ascontiguousarray(one), side)
        elif found is not pictures:
            found[place] = one
    return found


def resized(pixels: np.ndarray, side: int, mode: str | None = None) -> np.ndarray:
    """A picture (H, W, 3) as one (side, side, 3), or (side, side) in the mode L."""
    from PIL import Image

    image = Image.fromarray(pixels)
    return np.asarray((image.convert(mode) if mode else image).resize((side, side)))


def resized_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """A mask (H, W) as one (side, side) whose every pixel is one of those that were there."""
    rows = ((np.arange(side) + 0.5) * mask.shape[0] / side).astype(np.int64)
    columns = ((np.arange(side) + 0.5) * mask.shape[1] / side).astype(np.int64)
    resized_pixels: np.ndarray = mask[rows][:, columns]
    return resized_pixels


def data_uri(pixels: np.ndarray) -> str:
    """A picture (H, W) or (H, W, 3) of bytes, as a page can show it."""
    from PIL import Image

    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    image.resize((max(64, image.width), round(image.height * max(64, image.width) / image.width)), 0).save(
        stream, "PNG"
    )
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _too_large(filename: str, size: str) -> DataError:
    return DataError(
        f"{filename[:100]!r} has {size}; at most {MAX_PIXELS / 1e6:.0f} megapixels are allowed; make it smaller, or "
        "remove it."
    )


def _rgb(image: Image.Image) -> Image.Image:
    """Red, green and blue from 0 to 255: nothing shines through but white, and 16 bits lose their lower 8."""
    from PIL import Image

    if image.mode.startswith("I;16") or image.mode == "I":
        deep = np.asarray(image).astype(np.int64).clip(0, 65_535)
        return Image.fromarray((deep // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    return image.convert("RGB")
