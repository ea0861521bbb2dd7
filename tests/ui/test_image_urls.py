"""Pictures hold what they show in their address."""

from __future__ import annotations

import io
from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netloom.ui.components.image_urls import LARGE, address, enlarged


def read(url: str, kind: str) -> Any:
    head, _, body = url.partition(",")
    assert head == f"data:image/{kind};base64"
    return np.asarray(Image.open(io.BytesIO(b64decode(body))))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (5, 9, 3)])
def test_each_pixel_is_a_square_of_its_colour(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).uniform(-0.2, 1.2, shape)
    found = read(enlarged(picture), "png")
    times = LARGE // max(shape[:2])
    assert found.shape == (shape[0] * times, shape[1] * times, *((3,) if shape[-1] == 3 else ()))
    middle = found[times // 2 :: times, times // 2 :: times].reshape(-1)
    assert np.array_equal(middle, np.clip(np.floor(picture.reshape(-1) * 255), 0, 255))


def test_a_large_picture_keeps_its_size_and_is_nearly_as_it_was() -> None:
    steps = np.linspace(0, 1, 300)
    picture = np.stack([np.tile(steps, (LARGE + 1, 1))] * 3, axis=2)
    url = enlarged(picture)
    found = read(url, "jpeg")
    assert found.shape == picture.shape
    assert abs(found / 255 - picture).max() < 0.03
    assert len(url) < len(address(np.random.default_rng(0).uniform(size=picture.shape))) / 10
