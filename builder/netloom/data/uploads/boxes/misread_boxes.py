"""Refuses the boxes of objects in images where they would be read as something else."""

from __future__ import annotations

import re
from collections.abc import Sequence

from netloom.core.errors import DataError
from netloom.data.uploads.boxes.box_columns import box_columns
from netloom.data.uploads.files.source import Source

# Files of boxes beside the images: JSON of COCO, LabelMe and Create ML, XML of Pascal VOC, and lines of a class and
# four shares of YOLO
_BOXES = {
    ".json": re.compile(rb'"bbox"\s*:|"points"\s*:|"coordinates"\s*:\s*\{'),
    ".xml": re.compile(rb"<bndbox>"),
    ".txt": re.compile(rb"\A\s*\d+(\s+(0?\.\d+|[01](\.0*)?)){4}\s*$", re.MULTILINE),
}
_READ = 8  # files of boxes to look into
_DETECTION = "Read the files as images with objects (objects), to find them"


def refuse_box_columns(table: str, columns: Sequence[str]) -> None:
    """Refuse a table with the boxes of objects in its images.

    Raises:
        DataError: Some columns are the sides of a box.
    """
    boxes = box_columns(columns)
    if boxes is not None:
        listed = ", ".join(repr(column[:40]) for column in boxes.sides)
        raise DataError(
            f"{table[:80]!r} has the boxes of objects ({listed}). {_DETECTION}; or remove these columns, or name the "
            "column to predict, to classify whole images."
        )


def refuse_box_files(source: Source, names: Sequence[str]) -> None:
    """Refuse images if some of these files beside them hold boxes, in the layouts of box formats.

    Raises:
        DataError: A file holds boxes.
    """
    for suffix, pattern in _BOXES.items():
        for name in [name for name in names if name.lower().endswith(suffix)][:_READ]:
            if pattern.search(source.members.read(name)):
                raise DataError(
                    f"{name[:80]!r} has the boxes of objects. {_DETECTION}; or put the images into one folder per "
                    "class, such as cats/1.png and dogs/1.png."
                )
