"""Text files of YOLO, one for each image: a line for each object with its class index and four shares of the image.

The shares are the center, the width and the height. https://docs.ultralytics.com/datasets/detect/
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.splits.given_splits import file_parts, path_of
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.boxes.box_annotations import Annotations, ImageObjects, class_name, finite
from netloom.data.uploads.boxes.box_format import BoxFormat
from netloom.data.uploads.boxes.data_yaml import MAX_NAMES_BYTES, data_yaml
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_index import ImageIndex, place_of
from netloom.data.uploads.upload_kind import Answers

_LINE = re.compile(r"\s*\d+(\s+[-+.\deE]+){4,}\s*")
_INSPECTED = 50  # files in which a box is searched
_MAX_BYTES = 2**22
_NAME_FILES = ("classes.txt", "labels.txt", "names.txt", "class_names.txt", "predefined_classes.txt", "obj.names",
               "_darknet.labels")  # fmt: skip
_EXPECTED = "shares of the width and the height, from 0 to 1"
_SLACK = 0.5  # beyond the image; larger values are pixels


class Yolo(BoxFormat):
    name = "yolo"
    title = "YOLO (text)"
    order = 3

    def files(self, source: Source, images: ImageIndex) -> Sequence[str]:
        files: list[str] = source.once("yolo files", lambda: _label_files(source, images))
        return files

    def read(self, source: Source, images: ImageIndex, answers: Answers) -> Annotations:
        annotations = Annotations(in_shares=True)
        names, has_keypoints = _class_names(source)
        files = self.files(source, images)
        used = set[int]()
        for name in files:
            if source.members.form(name) == file_types.EMPTY:
                source.members.set_form(name, file_types.TEXT)  # which says that the image has no objects
            file = images.beside(name)
            if file is not None:
                reader = _LabelReader(name, names, has_keypoints, annotations, annotations.start(file, name))
                used |= reader.read(source)
            else:
                annotations.tally.add("Files of boxes without an image", repr(name[-80:]))
        positions = {place_of(name) for name in files}
        for file in images.files:
            if file not in annotations.images and place_of(file) in positions:
                annotations.start(file, "")  # without objects, as some programs then write no file
        for index in names.keys() - used:
            annotations.tally.add("Classes without objects left out", repr(names[index]))
        described = data_yaml(source)
        if described is not None:
            annotations.parts = _with_other_parts(described.parts(source, images, annotations), annotations)
        return annotations


def _with_other_parts(stated: Mapping[str, int], annotations: Annotations) -> dict[str, int]:
    """Return the parts with those of folders, such as test, that the stated ones do not have."""
    if not stated:
        return {}
    try:
        by_folder = file_parts([*annotations.images]).parts
    except DataError:
        by_folder = {}
    return {file: part for file, part in by_folder.items() if part not in stated.values()} | {**stated}


def _label_files(source: Source, images: ImageIndex) -> list[str]:
    """Return the text files that may belong to an image; none if none of them holds a box."""
    stems = {PurePosixPath(path_of(file)[-1]).stem.casefold() for file in images.files}
    texts = [
        name
        for name in source.names
        if name.lower().endswith(".txt")
        and PurePosixPath(path_of(name)[-1]).stem.casefold() in stems
        and source.members.form(name) in (file_types.TEXT, file_types.EMPTY)
    ]
    filled = [name for name in texts if source.members.form(name) == file_types.TEXT]
    sample = filled[:: max(1, len(filled) // _INSPECTED)][:_INSPECTED]
    if not any(_has_box(source, name) for name in sample):
        return []
    beside, positions = {*texts}, {place_of(name) for name in texts}
    # Files of boxes without an image are counted, in folders with other such files
    return [
        name
        for name in source.names
        if name in beside or (place_of(name) in positions and name.lower().endswith(".txt") and _has_box(source, name))
    ]


def _has_box(source: Source, name: str) -> bool:
    head = source.members.head(name).decode("ascii", errors="replace")
    lines = [line for line in head.splitlines()[: None if len(head) < file_types.HEAD_BYTES else -1] if line.strip()]
    return bool(lines) and all(map(_LINE.fullmatch, lines))


class _LabelReader:
    """Reads the objects of one image."""

    def __init__(
        self, name: str, names: dict[int, str], has_keypoints: bool, annotations: Annotations, objects: ImageObjects
    ) -> None:
        self._name, self._names, self._has_keypoints = name, names, has_keypoints
        self._annotations, self._objects = annotations, objects

    def read(self, source: Source) -> set[int]:
        """Add the objects, and return the class indices.

        Raises:
            DataError: A line is not an object.
        """
        text, _ = decode_text(source.members.read(self._name, _MAX_BYTES), self._name)
        indices = set[int]()
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                indices.add(self._line(line.split(), f"Line {number:,} of {self._name[-80:]!r}"))
        return indices

    def _line(self, cells: list[str], where: str) -> int:
        if not re.fullmatch(r"\d{1,9}(\.0*)?", cells[0]):
            raise DataError(
                f"{where} begins with {cells[0][:40]!r}; expected the index of a class, a whole number from 0."
            )
        index = int(float(cells[0]))
        if self._names and index not in self._names:
            raise DataError(
                f"{where} has the class {index:,}, but the file of names has {len(self._names):,}, from "
                f"{min(self._names)} to {max(self._names)}; correct the line, or add the name."
            )
        shares = finite(cells[1:], where, _EXPECTED)
        is_box = len(shares) == 4 or (self._has_keypoints and len(shares) > 4)
        if not is_box and (len(shares) < 6 or len(shares) % 2):
            raise DataError(
                f"{where} has {len(cells)} numbers; expected 5, a class index and the center, width and height of a "
                "box, or a class index and the corners of a polygon."
            )
        if len(shares) and max(map(abs, shares[:4] if is_box else shares)) > 1 + _SLACK:
            raise DataError(
                f"{where} has {max(shares, key=abs):g}; expected {_EXPECTED}. Divide pixels by the width and the "
                "height of the image."
            )
        label = self._names.get(index, f"class {index}")
        if is_box:
            x, y, width, height = shares[:4]
            self._objects.add(label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        else:
            x_sides, y_sides = shares[::2], shares[1::2]
            self._annotations.tally.add("Polygons read as the boxes around them", f"in {self._name[-80:]!r}")
            self._objects.add(label, (min(x_sides), min(y_sides), max(x_sides), max(y_sides)))
        return index


def _class_names(source: Source) -> tuple[dict[int, str], bool]:
    """Return the names of the classes, {} if no file has them, and whether lines have keypoints after the box.

    Raises:
        DataError: A file of names is invalid.
    """
    described = data_yaml(source)
    if described is not None and (names := described.class_names()):
        return names, described.has_keypoints
    for name in source.names:
        if path_of(name)[-1].lower() in _NAME_FILES or name.lower().endswith(".names"):
            text, _ = decode_text(source.members.read(name, MAX_NAMES_BYTES), name)
            lines = text.rstrip().splitlines()
            return {
                index: class_name(line, f"Line {index + 1:,} of {name[-80:]!r}") for index, line in enumerate(lines)
            }, False
    return {}, False
