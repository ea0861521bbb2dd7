"""Batched image encoding is bitwise equal to encoding one image at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netloom.data.preparation.encoded_arrays import encoded
from netloom.data.raw.images import Images
from netloom.modalities.encoding.cells import EncodeError
from netloom.modalities.encoding.field_encoder import FieldState, field_encoder
from netloom.modalities.encoding.rows import encode_rows

ROWS = 150  # more than one batch


def pictures(dtype: Any, channels: int, top: float, normalize: str) -> Images:
    pixels = (np.random.default_rng(0).random((ROWS, channels, 5, 4)) * top).astype(dtype)
    return Images("image", np.zeros(ROWS, int), "class", pixels=pixels, top=top, settings={"normalize": normalize})


def fitted_on(raw: Images, rows: int) -> list[FieldState]:
    """The state fitted on the first rows."""
    return raw.fits(np.arange(rows))


@pytest.mark.parametrize("normalize", ["dataset", "channel", "unit", "none"])
@pytest.mark.parametrize(
    ("dtype", "channels", "top"), [(np.uint8, 1, 255.0), (np.uint8, 3, 255.0), (np.float64, 3, 16.0)]
)
def test_batched_image_encoding_is_bitwise_equal(dtype: Any, channels: int, top: float, normalize: str) -> None:
    raw = pictures(dtype, channels, top, normalize)
    fitted = fitted_on(raw, 100)
    one_by_one = encode_rows({"fields": fitted}, [raw.row(index) for index in range(ROWS)])["image"]
    batched, _ = encoded(fitted, raw)
    assert batched["image"].dtype == one_by_one.dtype
    assert np.array_equal(batched["image"], one_by_one)
    assert raw.encoded([field_encoder(field) for field in fitted]).keys() == {"image"}


def test_nan_pixel_is_rejected() -> None:
    raw = pictures(np.float32, 1, 1.0, "unit")
    raw.pixels[120, 0, 1, 1] = np.nan
    with pytest.raises(EncodeError, match="finite numbers"):
        encoded(fitted_on(raw, 50), raw)


def test_image_size_mismatch_is_rejected() -> None:
    raw, other = pictures(np.uint8, 1, 255.0, "unit"), pictures(np.uint8, 1, 255.0, "unit")
    other.pixels = other.pixels[:, :, :4]
    with pytest.raises(EncodeError, match="An image must be 5×4"):
        encoded(fitted_on(raw, 50), other)
