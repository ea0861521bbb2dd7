"""JSON files of Create ML, one for all images or one for each part of the split.

https://developer.apple.com/documentation/createml/building-an-object-detector-data-source
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from netloom.core.errors import DataError
from netloom.data.uploads.boxes.box_annotations import Annotations, Sides, class_name, finite
from netloom.data.uploads.boxes.box_format import BoxFormat
from netloom.data.uploads.boxes.box_json import entries_of, json_content, json_files, json_text
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_index import ImageIndex
from netloom.data.uploads.upload_kind import Answers

_BOX = re.compile(r'"coordinates"\s*:\s*\{')
_NO_OBJECT = re.compile(r'"annotations?"\s*:\s*\[\s*\]')  # as in a part of the split whose images have no object
_FILES = ("image", "imagefilename", "filename")  # older versions of Create ML use the others
_OBJECTS = ("annotations", "annotation")
_SIDES = ("x", "y", "width", "height")
_EXPECTED = "4 finite numbers: x and y of the center, width and height in pixels"


class CreateMl(BoxFormat):
    name = "createml"
    title = "Create ML (JSON)"
    order = 5
    needs_images = False

    def files(self, source: Source, images: ImageIndex) -> Sequence[str]:
        files: list[str] = source.once("createml files", lambda: _createml_files(source))
        return files

    def read(self, source: Source, images: ImageIndex, answers: Answers) -> Annotations:
        annotations = Annotations()
        for name in self.files(source, images):
            for number, entry in enumerate(entries_of(json_content(source, name), "", name), 1):
                _read(entry, f"Image {number:,} of {name[-80:]!r}", name, images, annotations)
        annotations.split_by_origin()
        return annotations


def _createml_files(source: Source) -> list[str]:
    """Return the files with boxes, and beside them those that list images without objects."""
    texts = {name: text for name in json_files(source) if (text := json_text(source, name)).lstrip().startswith("[")}
    with_boxes = any(_BOX.search(text) for text in texts.values())
    return [name for name, text in texts.items() if with_boxes and (_BOX.search(text) or _NO_OBJECT.search(text))]


def _read(entry: Mapping[str, Any], where: str, name: str, images: ImageIndex, annotations: Annotations) -> None:
    stated = next((entry[key] for key in _FILES if isinstance(entry.get(key), str) and entry[key].strip()), None)
    if stated is None:
        raise DataError(f"{where} has no file name in 'image'; add it.")
    file = images.find(stated, name)
    if file is None:
        annotations.tally.add("Images that are missing", repr(stated[-80:]))
        return
    objects = annotations.start(file, name)
    listed: object = next((entry[key] for key in _OBJECTS if entry.get(key) is not None), [])
    for number, item in enumerate(entries_of(listed, "annotations", name), 1):
        place = f"Annotation {number:,} of {where[0].lower()}{where[1:]}"
        objects.add(class_name(item.get("label"), place), _sides(item.get("coordinates"), place))


def _sides(coordinates: object, where: str) -> Sides:
    if not isinstance(coordinates, Mapping):
        raise DataError(f"{where} has the coordinates {coordinates!s:.60}; expected {_EXPECTED}.")
    x, y, width, height = finite((coordinates.get(key) for key in _SIDES), where, _EXPECTED)
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
