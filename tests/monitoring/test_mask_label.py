"""True labels of segmentation: masks from people, from predictions and from image files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netloom.core.errors import DataError
from netloom.tasks.true_labels import MaskLabel

LABEL = MaskLabel(("ground", "circle", "square"), (2, 3))


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ([[0, 1, 2]], r"2 rows of 3 class numbers, received the shape \(1, 3\)"),
        ([[0, 1, 3], [0, 0, 0]], "3 is not a class of the model; it has the classes 0 to 2"),
        ([[0, 1, -1], [0, 0, 0]], "-1 is not a class"),
        ([[0, 1, 0.5], [0, 0, 0]], "of float64"),
        ([[0, 1], [0]], "received other values"),
        ("ground", "received other values"),
        (None, "received other values"),
        ([[True, False, True]] * 2, "received other values"),
    ],
)
def test_other_masks_are_refused_in_words(label: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        LABEL.check(label)


def test_the_error_is_the_share_of_wrong_pixels() -> None:
    label = LABEL.check([[0, 1, 2], [0, 0, 0]])
    assert LABEL.error(label, label) == 0
    assert LABEL.error([[0, 1, 1], [0, 0, 2]], label) == pytest.approx(1 / 3)
    assert LABEL.error("ground", label) == LABEL.error([[0]], label) == 1
    assert LABEL.text(label) == "ground 67%, circle 17%, square 17%"
    assert LABEL.text("ground") == LABEL.text([[9]]) == "a mask"
    assert LABEL.is_comparable(MaskLabel(LABEL.names, LABEL.shape))
    assert not LABEL.is_comparable(MaskLabel(LABEL.names, (3, 3)))


def png(values: Any, mode: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.array(values, np.uint8), mode).save(file, "PNG")
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
def test_masks_are_read_from_images_of_numbers_gray_values_and_colors() -> None:
    numbers = [[0, 1, 2], [2, 2, 0]]
    assert LABEL.read_image(png(numbers, "L"), "a.png") == numbers
    assert LABEL.read_image(png(np.array([0, 128, 255])[numbers], "L"), "a.png") == numbers
    colors = np.array([[0, 0, 0], [0, 200, 0], [255, 0, 0]])
    assert LABEL.read_image(png(colors[numbers], "RGB"), "a.png") == numbers
    assert LABEL.read_image(png(np.repeat(np.repeat(numbers, 4, 0), 4, 1), "L"), "a.png") == numbers  # scaled
    with pytest.raises(DataError, match=r"'a.png' has 2 different values, such as 255, but the model has 3 classes"):
        LABEL.read_image(png([[0, 255, 0]] * 2, "L"), "a.png")
    with pytest.raises(DataError):
        LABEL.read_image(Path(__file__).read_bytes(), "a.png")
