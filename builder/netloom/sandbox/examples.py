"""Decodes an image or a sound that a user uploads as an example, in a confined process.

The values return as bytes; their type and size are checked here.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.modalities.encoding.file_pixels import SMALLEST_SIDE
from netloom.sandbox.process import EndedError, Process, RefusedError


def read_picture(content: bytes, filename: str, side: int, shape: tuple[int, ...] = ()) -> np.ndarray:
    """Return an image as `netloom.data.images.picture` reads it: RGB (S, S, 3), uint8, with S at most `side`.

    With a `shape`, (C, H, W), it is returned in that shape, as the images of an upload are stored for training.

    Raises:
        DataError: the file cannot be read, or takes too much memory or time.
    """
    answer = _request({"do": "picture", "filename": filename, "side": side, "shape": shape}, content, filename)
    return decoded_picture(answer, filename, side, shape)


def decoded_picture(answer: Any, filename: str, side: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return the image of an answer, which is not trusted; see `read_picture`.

    Raises:
        DataError: it is not such an image.
    """
    pixels = from_json(answer, np.dtype(np.uint8), filename)
    own_side = len(pixels) if pixels.ndim == 3 and 1 <= len(pixels) <= max(side, SMALLEST_SIDE) else 0
    if pixels.shape != (shape or (own_side, own_side, 3)):
        raise _invalid(filename)
    return pixels


def read_sound(content: bytes, filename: str, rate: int, most: int) -> np.ndarray:
    """Return the first `most` samples of a sound, (L,), float32, as `read_sound` of
    `netloom.data.uploads.sounds.soundfiles` reads them. `rate` is in samples per second.

    Raises:
        DataError: the file cannot be read, or takes too much memory or time.
    """
    answer = _request({"do": "sound", "filename": filename, "rate": rate, "most": most}, content, filename)
    samples = from_json(answer, np.dtype(np.float32), filename)
    if samples.ndim != 1 or not 1 <= len(samples) <= most or not np.isfinite(samples).all():
        raise _invalid(filename)
    return samples


def as_json(values: np.ndarray) -> JsonObject:
    """Return an array as its type, its shape and its bytes in base64. Called in the confined process."""
    plain = np.ascontiguousarray(values)
    text = base64.b64encode(plain.tobytes()).decode()
    return {"dtype": plain.dtype.str, "shape": list(plain.shape), "bytes": text}


def from_json(answer: Any, dtype: np.dtype[Any], filename: str) -> np.ndarray:
    """Return the array from the result of `as_json`, which is not trusted: the file can control its process.

    Raises:
        DataError: it is not an array of this type.
    """
    try:
        shape = tuple(int(size) for size in answer["shape"])
        content = base64.b64decode(answer["bytes"], validate=True)
        named = answer["dtype"]
    except (KeyError, TypeError, OverflowError, ValueError) as error:
        raise _invalid(filename) from error
    # The type from the answer is only compared, never used, and the size must match exactly.
    if named != dtype.str or min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != len(content):
        raise _invalid(filename)
    return np.frombuffer(content, dtype).reshape(shape)


def _request(request: Mapping[str, Any], content: bytes, filename: str) -> Any:
    try:
        process = Process(len(content))
        try:
            return process.ask(request, (content,))
        finally:
            process.close()
    except RefusedError as error:
        raise DataError(str(error)) from None
    except EndedError as error:
        raise DataError(f"{filename[:100]!r} cannot be read: {error}; use a smaller file.") from None


def _invalid(filename: str) -> DataError:
    return DataError(f"{filename[:100]!r} cannot be read: the decoded data does not have the expected size.")
