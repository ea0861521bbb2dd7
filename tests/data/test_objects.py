"""Images with boxes: the same objects in all formats, and what is left out, corrected or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netloom.data.boxes import padded
from netloom.data.raw.images import Images
from netloom.data.uploads import add_file, read_upload
from netloom.document import DataChoice
from tests.data.box_files import HEIGHT, LAYOUTS, ROWS, WIDTH, objects, part
from tests.data.crafted import make_zip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_objects_are_read_from_every_format(layout: str, home: Path) -> None:
    rows = objects()
    info = add_file(make_zip(LAYOUTS[layout](rows)), "photos.zip", home)
    assert info.task == "detection"
    assert info.rows == ROWS
    raw = read_upload(DataChoice(dataset=info.name), home)
    assert isinstance(raw, Images)
    assert raw.classes == ("cat", "dog", "zebra")
    scale = np.array([1, WIDTH, HEIGHT, WIDTH, HEIGHT])
    expected = padded(
        [np.array([(raw.classes.index(name), *box) for name, *box in own]).reshape(-1, 5) / scale for own in rows]
    )
    assert raw.given is not None
    pixels = raw.pixels[:, 0, 0, 0] // 10  # the number of each image
    assert sorted(pixels.tolist()) == [*range(ROWS)]
    np.testing.assert_allclose(raw.target, expected[pixels], atol=1e-6)
    parts = [("train", "valid", "test").index(part(row)) for row in pixels.tolist()]
    assert raw.given.tolist() == parts
