"""JSON files of LabelMe, one for each image.

https://github.com/wkentaro/labelme
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netloom.core.errors import DataError
from netloom.data.uploads.boxes.box_annotations import Annotations, Sides, class_name, finite, stated_size
from netloom.data.uploads.boxes.box_format import BoxFormat
from netloom.data.uploads.boxes.box_json import entries_of, json_content, json_files, json_text
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_index import ImageIndex
from netloom.data.uploads.upload_kind import Answers

_SHAPE = re.compile(r'"points"\s*:')
_KEYS = ("shapes", "imagePath")
_INSPECTED = 50  # files in which a shape is searched
_EXPECTED = "finite numbers of pixels as x and y of each point"
_OLDEST = "polygon"  # the type of shapes from before files stated it

Points = Sequence[Sequence[float]]


def _around(points: Points) -> Sides:
    x_sides, y_sides = zip(*points, strict=True)
    return min(x_sides), min(y_sides), max(x_sides), max(y_sides)


def _of_circle(points: Points) -> Sides:
    """Return the box of a circle, whose points are the center and one of its edge."""
    (x, y), edge = points[0], points[-1]
    radius = math.dist((x, y), edge)
    return x - radius, y - radius, x + radius, y + radius


# The boxes of shapes by their type; other shapes, such as points and lines, have no area
_BOXES: Mapping[str, Callable[[Points], Sides]] = {
    "rectangle": _around,
    "polygon": _around,
    "mask": _around,
    "oriented_rectangle": _around,
    "rotation": _around,
    "circle": _of_circle,
}
_NOTED = {"polygon": "Polygons", "mask": "Masks", "oriented_rectangle": "Rotated rectangles",
          "rotation": "Rotated rectangles", "circle": "Circles"}  # fmt: skip


class LabelMe(BoxFormat):
    name = "labelme"
    title = "LabelMe (JSON)"
    order = 4
    needs_images = False

    def files(self, source: Source, images: ImageIndex) -> Sequence[str]:
        files: list[str] = source.once("labelme files", lambda: _labelme_files(source))
        return files

    def read(self, source: Source, images: ImageIndex, answers: Answers) -> Annotations:
        annotations = Annotations()
        for name in self.files(source, images):
            document = json_content(source, name)
            # Other JSON files beside them, such as settings
            if isinstance(document, Mapping) and all(key in document for key in _KEYS):
                _read(document, name, images, annotations)
        return annotations


def _labelme_files(source: Source) -> list[str]:
    candidates = json_files(source)
    sample = candidates[:: max(1, len(candidates) // _INSPECTED)][:_INSPECTED]
    return candidates if any(_has_shapes(json_text(source, name)) for name in sample) else []


def _has_shapes(text: str) -> bool:
    return all(f'"{key}"' in text for key in _KEYS) and _SHAPE.search(text) is not None


def _read(document: Mapping[str, Any], name: str, images: ImageIndex, annotations: Annotations) -> None:
    # Files are often renamed without changing the name inside of them
    stated = document["imagePath"] if isinstance(document["imagePath"], str) else ""
    file = images.beside(name) or (images.find(stated, name) if stated.strip() else None)
    if file is None:
        annotations.tally.add("Images that are missing", repr((stated.strip() or name)[-80:]))
        return
    size = stated_size(document.get("imageWidth"), document.get("imageHeight"))
    objects = annotations.start(file, name, size)
    groups: dict[tuple[str, str], list[Sides]] = {}
    for number, shape in enumerate(entries_of(document["shapes"], "shapes", name), 1):
        where, kind = f"Shape {number:,} of {name[-80:]!r}", str(shape.get("shape_type") or _OLDEST)
        if kind not in _BOXES:
            annotations.tally.add("Points, lines and other shapes without an area left out", f"in {name[-80:]!r}")
            continue
        if kind in _NOTED:
            annotations.tally.add(f"{_NOTED[kind]} read as the boxes around them", f"in {name[-80:]!r}")
        label, sides = class_name(shape.get("label"), where), _BOXES[kind](_points(shape.get("points"), where))
        group = f"shape {number}" if shape.get("group_id") is None else f"group {shape['group_id']}"
        groups.setdefault((label, group), []).append(sides)
    for (label, _), boxes in groups.items():
        if len(boxes) > 1:
            annotations.tally.add("Groups of shapes read as one object", f"in {name[-80:]!r}")
        objects.add(label, _around([corner for box in boxes for corner in (box[:2], box[2:])]))


def _points(points: object, where: str) -> list[list[float]]:
    if not isinstance(points, list) or len(points) < 2 or not all(isinstance(p, list) and len(p) == 2 for p in points):
        raise DataError(f"{where} has the points {points!s:.60}; expected at least two pairs of x and y in pixels.")
    return [finite(point, where, _EXPECTED) for point in points]
