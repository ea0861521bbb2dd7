"""Images as data URLs."""

from __future__ import annotations

import io
from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netloom.ui.components.examples.image_urls import LARGE, address, enlarged


def decode_image(url: str, kind: str) -> Any:
    head, _, body = url.partition(",")
    assert head == f"data:image/{kind};base64"
    return np.asarray(Image.open(io.BytesIO(b64decode(body))))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (5, 9, 3)])
def test_small_image_is_enlarged_into_square_pixels(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).uniform(-0.2, 1.2, shape)
    decoded = decode_image(enlarged(picture), "png")
    scale = LARGE // max(shape[:2])
    assert decoded.shape == (shape[0] * scale, shape[1] * scale, *((3,) if shape[-1] == 3 else ()))
    centers = decoded[scale // 2 :: scale, scale // 2 :: scale].reshape(-1)
    assert np.array_equal(centers, np.clip(np.floor(picture.reshape(-1) * 255), 0, 255))


def test_large_image_keeps_its_size_as_jpeg() -> None:
    gradient = np.linspace(0, 1, 300)
    picture = np.stack([np.tile(gradient, (LARGE + 1, 1))] * 3, axis=2)
    url = enlarged(picture)
    decoded = decode_image(url, "jpeg")
    assert decoded.shape == picture.shape
    assert abs(decoded / 255 - picture).max() < 0.03
    assert len(url) < len(address(np.random.default_rng(0).uniform(size=picture.shape))) / 10


def test_image_that_is_drawn_again_is_not_compressed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.random.default_rng(1).uniform(size=(7, 7))
    first = enlarged(picture)
    monkeypatch.setattr(Image.Image, "save", None)
    assert enlarged(picture.copy()) == first
    with pytest.raises(TypeError):
        enlarged(picture.T)
