"""Bounding boxes of objects in images, which no task predicts: data sets for object detection are refused by name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from netloom.core.errors import DataError
from netloom.data.uploads.source import Source

# Names of columns with the sides of a box, or with a box in each cell
_SIDES = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom"),
          ("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"),
          ("xcenter", "ycenter", "width", "height"), ("xcenter", "ycenter", "w", "h"),
          ("cx", "cy", "w", "h"), ("cx", "cy", "width", "height"))  # fmt: skip
_WHOLE = ("bbox", "bboxes", "boundingbox", "boundingboxes")  # not "box", which may be the number of one
# Files of boxes beside the images: JSON of COCO, XML of Pascal VOC, and lines of a class and four shares of YOLO
_BOXES = {
    ".json": re.compile(rb'"bbox"\s*:'),
    ".xml": re.compile(rb"<bndbox>"),
    ".txt": re.compile(rb"\A\s*\d+(\s+(0?\.\d+|[01](\.0*)?)){4}\s*$", re.MULTILINE),
}
_READ = 8  # files of boxes to look into
_DETECTION = (
    "Netloom predicts a class or a number for a whole image, or a class for each pixel, and does not detect objects"
)


def refuse_box_columns(table: str, columns: Sequence[str]) -> None:
    """Refuse a table with the boxes of objects in its images.

    Raises:
        DataError: Some columns are the sides of a box.
    """
    plain = {re.sub(r"[ _.-]", "", column).lower(): column for column in columns}
    sides = {name.removeprefix("bbox"): column for name, column in plain.items()}
    named = next((names for names in _SIDES if sides.keys() >= set(names)), ())
    boxes = [sides[name] for name in named] or [plain[name] for name in _WHOLE if name in plain]
    if boxes:
        listed = ", ".join(repr(column[:40]) for column in boxes)
        raise DataError(
            f"{table[:80]!r} has the boxes of objects ({listed}). {_DETECTION}; remove these columns, or name the "
            "column to predict, to classify whole images."
        )


def refuse_box_files(source: Source, names: Sequence[str]) -> None:
    """Refuse images if some of these files beside them hold boxes, in the layouts of COCO, Pascal VOC and YOLO.

    Raises:
        DataError: A file holds boxes.
    """
    for suffix, pattern in _BOXES.items():
        for name in [name for name in names if name.lower().endswith(suffix)][:_READ]:
            if pattern.search(source.members.read(name)):
                raise DataError(
                    f"{name[:80]!r} has the boxes of objects. {_DETECTION}; put the images into one folder per class, "
                    "such as cats/1.png and dogs/1.png."
                )
