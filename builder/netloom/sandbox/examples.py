"""One picture or one sound that a person brings as an example, decoded in a confined process. The samples come back as
bytes whose type and size are checked here."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.limits import SMALLEST_SIDE
from netloom.sandbox.process import EndedError, Process, RefusedError


def read_picture(content: bytes, filename: str, side: int) -> np.ndarray:
    """A picture as `netloom.data.images.picture` reads it: square RGB (S, S, 3) of bytes, S at most `side`.

    Raises:
        DataError: it cannot be read, or takes too much memory or time.
    """
    answer = _request({"do": "picture", "filename": filename, "side": side}, content, filename)
    pixels = from_json(answer, np.dtype(np.uint8), filename)
    largest = max(side, SMALLEST_SIDE)
    if pixels.ndim != 3 or pixels.shape != (len(pixels), len(pixels), 3) or not 1 <= len(pixels) <= largest:
        raise _invalid(filename)
    return pixels


def read_sound(content: bytes, filename: str, rate: int, most: int) -> np.ndarray:
    """A sound (L,) as `netloom.data.uploads.soundfiles.read_sound` reads it, of which the first `most` samples.

    Raises:
        DataError: it cannot be read, or takes too much memory or time.
    """
    answer = _request({"do": "sound", "filename": filename, "rate": rate, "most": most}, content, filename)
    samples = from_json(answer, np.dtype(np.float32), filename)
    if samples.ndim != 1 or not 1 <= len(samples) <= most or not np.isfinite(samples).all():
        raise _invalid(filename)
    return samples


def as_json(values: np.ndarray) -> dict[str, Any]:
    """In the confined process: an array as its type, its shape and its bytes."""
    plain = np.ascontiguousarray(values)
    text = base64.b64encode(plain.tobytes()).decode()
    return {"dtype": plain.dtype.str, "shape": list(plain.shape), "bytes": text}


def from_json(answer: Any, dtype: np.dtype[Any], filename: str) -> np.ndarray:
    """The array of a JSON, which may say anything, as a file may have taken over the process that wrote it.

    Raises:
        DataError: it is not an array of this type.
    """
    try:
        shape = tuple(int(size) for size in answer["shape"])
        content = base64.b64decode(answer["bytes"], validate=True)
        named = answer["dtype"]
    except (KeyError, TypeError, OverflowError, ValueError) as error:
        raise _invalid(filename) from error
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
