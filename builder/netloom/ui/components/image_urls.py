"""Pictures of data as addresses that hold them. A file that the server keeps for a page is gone when the page moves on
before the browser has asked for it, and each is a request of its own."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# As wide or high as small ones are shown, in pixels.
LARGE = 240


def enlarged(picture: ArrayLike) -> str:
    """A picture of shape (H, W), (H, W, 1) or (H, W, 3), its pixels made large enough to be seen, not blurred."""
    pixels = np.asarray(picture)
    times = max(1, LARGE // max(pixels.shape[:2]))
    return address(pixels.repeat(times, 0).repeat(times, 1), exact=times > 1)


def address(picture: ArrayLike, *, exact: bool = True) -> str:
    """A picture of such a shape as `data:` URL, https://www.rfc-editor.org/rfc/rfc2397. Values are from 0 to 1, and
    what lies beyond is cut off. One that need not be exact takes a tenth of the bytes."""
    from PIL import Image

    pixels = (np.clip(np.asarray(picture), 0, 1) * 255).astype(np.uint8)
    kind, file = "PNG" if exact else "JPEG", io.BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
    image.save(file, kind, **({} if exact else {"quality": 90}))
    return f"data:image/{kind.lower()};base64,{b64encode(file.getvalue()).decode()}"
