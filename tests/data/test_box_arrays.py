"""Arrays of images with arrays of their objects, as NumPy saves them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netloom.data import DataError, add_file, prepare
from netloom.document import DataChoice

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 3, 16, 24), dtype=np.uint8)


def objects() -> np.ndarray:
    """One or two objects in each image."""
    boxes = np.zeros((30, 2, 5))
    boxes[:, 0] = [0, 0.1, 0.2, 0.5, 0.75]
    boxes[:, 1] = [-1, 7, 7, 7, 7]
    boxes[::3, 1] = [2, 0, 0, 1, 1]
    return boxes


def npz(boxes: np.ndarray, **more: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x_train=IMAGES[:20], y_train=boxes[:20], x_test=IMAGES[20:], y_test=boxes[20:], **more)
    return stream.getvalue()


def test_boxes_are_read_with_their_split_and_names(home: Path) -> None:
    info = add_file(npz(objects(), class_names=np.array(["car", "person"])), "boxes.npz", home)
    data = prepare(DataChoice(dataset=info.name), home)
    target = data.schema.target
    assert (target.kind, target.classes, target.shape) == ("boxes", ("car", "person", "class 2"), (2, 5))
    assert sorted(data.split["test"].tolist()) == list(range(20, 30))
    np.testing.assert_allclose(data.target[0].numpy(), np.array([[0, 0.1, 0.2, 0.5, 0.75], [2, 0, 0, 1, 1]]), rtol=1e-6)
    assert data.target[1].numpy()[1].tolist() == [-1, 0, 0, 0, 0], "an unused row"
    assert data.target_text(0) == "car, class 2"


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ((4, 0), [0, 0.5, 0.2, 0.5, 0.75], r"the object \[0.0, 0.5, 0.2\d*, 0.5, 0.75\] in row 5; .* x_min below"),
        ((4, 0), [0, 10, 20, 50, 75], "from 0 to 1 as shares of the width"),
        ((4, 0), [0.5, 0.1, 0.2, 0.5, 0.75], "number of its class"),
        ((4, 0), [np.nan, 0.1, 0.2, 0.5, 0.75], "missing or infinite"),
        ((4, 0), [200, 0.1, 0.2, 0.5, 0.75], "201 classes; at most 200"),
        ((..., 0), -1, "has no object"),
    ],
)
def test_other_arrays_are_refused_in_words(place: Any, value: Any, words: str, home: Path) -> None:
    boxes = objects()
    boxes[place] = value
    with pytest.raises(DataError, match=words):
        add_file(npz(boxes), "boxes.npz", home)


def test_boxes_belong_to_images(home: Path) -> None:
    with pytest.raises(DataError, match="boxes, which are those of images; choose view=picture"):
        add_file(npz(objects()), "boxes.npz", home, options={"view": "columns"})
