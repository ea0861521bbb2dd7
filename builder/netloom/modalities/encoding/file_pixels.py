"""Brings pixels of any size to those of an image file that was stored for training, bit for bit.

A copy of this file is part of each exported network, which has no Pillow. It resizes as `Image.resize` of Pillow does,
by cubic convolution with fixed-point weights, and so does the web page.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

SMALLEST_SIDE = 8  # of a decoded image file
_ONE = 1 << 22  # the fixed-point weight 1
_GRAY = np.array([19_595, 38_470, 7_471])  # of 65,536: ITU-R BT.601


def stored_pixels(pixels: np.ndarray, side: int, shape: Sequence[int]) -> np.ndarray:
    """Return an image (C, H, W) of bytes, where C is 1 or 3, as an image file of these pixels is stored: resized to a
    square of at most `side` pixels, then to that size, and then to `shape`, (C, H, W), uint8."""
    channels, height, width = shape
    image = np.ascontiguousarray(np.broadcast_to(pixels, (3, *pixels.shape[1:])).transpose(1, 2, 0), dtype=np.uint8)
    own_side = max(SMALLEST_SIDE, min(side, max(image.shape[:2])))
    image = resampled(resampled(image, own_side, own_side), side, side)
    if channels == 1:
        image = ((image.astype(np.int64) @ _GRAY + 0x8000) >> 16).astype(np.uint8)[..., None]
    return resampled(image, height, width).transpose(2, 0, 1)


def resampled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return an image (H, W, C) of bytes in another size."""
    for axis, size in ((1, width), (0, height)):
        if image.shape[axis] != size:
            lines = np.moveaxis(image, axis, 0)
            resized = np.empty((size, *lines.shape[1:]), dtype=np.uint8)
            for position, (first, weights) in enumerate(_windows(len(lines), size)):
                # In float64, which is exact for sums of such integers and much faster than int64
                total = np.tensordot(weights, lines[first : first + len(weights)].astype(np.float64), 1)
                resized[position] = np.clip(np.floor((total + _ONE // 2) / _ONE), 0, 255)
            image = np.moveaxis(resized, 0, axis)
    return image


def _windows(old: int, new: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield for each new pixel of a line the first old pixel that counts, and the fixed-point weights from there."""
    scale = old / new
    wide = max(scale, 1.0)
    for position in range(new):
        middle = (position + 0.5) * scale
        first = max(0, int(middle - 2 * wide + 0.5))
        last = min(old, int(middle + 2 * wide + 0.5))
        shares = [_cubic((pixel - middle + 0.5) * (1.0 / wide)) for pixel in range(first, last)]
        total = 0.0
        for share in shares:  # in this order, as `sum` is compensated since Python 3.12
            total += share
        weights = [share / total * _ONE for share in shares]
        yield first, np.array([math.trunc(weight + math.copysign(0.5, weight)) for weight in weights], dtype=np.float64)


def _cubic(far: float) -> float:
    """Return the kernel of Keys with a = -1/2, https://doi.org/10.1109/TASSP.1981.1163711."""
    far = abs(far)
    if far < 1:
        return (1.5 * far - 2.5) * far * far + 1
    return (((far - 5) * far + 8) * far - 4) * -0.5 if far < 2 else 0.0
