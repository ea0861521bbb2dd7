"""Images as data URLs.

A media file on the server would be deleted when the page reruns before the browser has requested it, and each file
would be a separate request.
"""

from __future__ import annotations

import io
from base64 import b64encode
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# The larger side of enlarged images, in pixels.
LARGE = 240
# Pages draw the same rows at each rerun. A cached image has less than 43 kB, and its URL about 10 kB.
MAX_URLS = 256


def enlarged(picture: ArrayLike) -> str:
    """Return an image (H, W), (H, W, 1) or (H, W, 3) as a URL, enlarged to visible pixels without blurring."""
    pixels = _bytes(picture)
    times = LARGE // max(pixels.shape[:2])
    return _enlarged_url(pixels.tobytes(), pixels.shape, times) if times > 1 else _url(pixels, exact=False)


def address(picture: ArrayLike, *, exact: bool = True) -> str:
    """Return an image (H, W), (H, W, 1) or (H, W, 3) as a `data:` URL, https://www.rfc-editor.org/rfc/rfc2397.

    Values are clipped to 0 to 1. With `exact=False`, the image is a JPEG of a tenth of the size.
    """
    return _url(_bytes(picture), exact=exact)


def _bytes(picture: ArrayLike) -> NDArray[np.uint8]:
    """Return an image with values from 0 to 1 as bytes."""
    pixels: NDArray[np.uint8] = (np.clip(np.asarray(picture), 0, 1) * 255).astype(np.uint8)
    return pixels


@lru_cache(MAX_URLS)
def _enlarged_url(pixels: bytes, shape: tuple[int, ...], times: int) -> str:
    image = np.frombuffer(pixels, dtype=np.uint8).reshape(shape)
    return _url(image.repeat(times, 0).repeat(times, 1), exact=True)


def _url(pixels: NDArray[np.uint8], *, exact: bool) -> str:
    from PIL import Image

    kind, file = "PNG" if exact else "JPEG", io.BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
    # The lowest level takes a third of the time of the default, and repeated pixels compress as well with it.
    image.save(file, kind, **({"compress_level": 1} if exact else {"quality": 90}))
    return f"data:image/{kind.lower()};base64,{b64encode(file.getvalue()).decode()}"
