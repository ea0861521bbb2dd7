"""Resizing and color conversion of images with NumPy alone, compared with Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netloom.data import DataError, prepare
from netloom.document import DataChoice
from netloom.modalities.encoding.image_field import sized
from tests.data.samples import class_images, import_and_prepare, make_deflated_zip

RANDOM = np.random.default_rng(6)
PICTURE = np.asarray(Image.fromarray(RANDOM.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize((53, 41)))


@pytest.mark.parametrize(("height", "width"), [(41, 53), (16, 16), (80, 64), (5, 100), (41, 20)])
def test_resizing_matches_pillow_up_to_rounding(height: int, width: int) -> None:
    reference = np.asarray(Image.fromarray(PICTURE).resize((width, height), Image.Resampling.BICUBIC)).transpose(
        2, 0, 1
    )
    for pixels in (PICTURE.astype(np.float32), PICTURE.astype(np.float32).transpose(2, 0, 1)):
        resized = sized(pixels, 3, height, width)
        assert resized.shape == reference.shape
        # Pillow rounds to integer levels after each axis and lets edges overshoot.
        inside = reference[(reference > PICTURE.min()) & (reference < PICTURE.max())]
        assert len(inside) > 0.9 * reference.size
        assert np.quantile(abs(resized - reference), 0.99) <= 1.01


def test_grayscale_conversion_matches_pillow() -> None:
    reference = np.asarray(Image.fromarray(PICTURE).convert("L"))
    assert abs(sized(PICTURE.astype(np.float32), 1, 41, 53)[0] - reference).max() <= 1
    grey = sized(PICTURE[:, :, :1].astype(np.float32), 3, 41, 53)
    assert np.array_equal(grey[0], grey[2])


def test_prediction_accepts_images_of_any_size(home: Path) -> None:
    data = import_and_prepare(make_deflated_zip(class_images()), home, "pictures.zip", size=9)
    image = np.asarray(Image.new("RGB", (30, 20), (40, 40, 215)))
    encoded = data.encode({"image": image.tolist()})["image"]
    assert encoded.shape == (1, 3, 9, 9)
    assert encoded[0, 0, 0, 0] == pytest.approx(data.encode({"image": image[:9, :9].tolist()})["image"][0, 0, 0, 0])
    for wrong in (np.zeros((4, 5, 2)), np.zeros((2, 3, 4, 5)), np.zeros((0, 3, 3)), 5):
        with pytest.raises(DataError, match="image"):
            data.encode({"image": np.asarray(wrong).tolist()})


def test_document_can_set_the_image_size() -> None:
    default = prepare(DataChoice(dataset="digits"))
    options: dict[str, Any] = {"fields": {"image": {"size": 12, "normalize": "unit"}}}
    data = prepare(DataChoice(dataset="digits", options=options))
    assert data.schema.inputs[0].shape == (1, 12, 12)
    assert data.example(3).image.shape == (12, 12)
    for row in range(20):  # the original image is encoded as in training
        encoded = data.encode({"image": default.row(row)["image"]})["image"]
        assert np.array_equal(encoded[0].numpy(), data.inputs["image"][row].numpy())
    with pytest.raises(DataError, match="masks"):
        prepare(DataChoice(dataset="shapes", options=options))
