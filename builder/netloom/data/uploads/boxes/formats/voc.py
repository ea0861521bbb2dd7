"""XML files of Pascal VOC, one for each image.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from xml.etree import ElementTree
from xml.parsers import expat

from netloom.core.errors import DataError
from netloom.data.splits.given_splits import path_of
from netloom.data.uploads.boxes.box_annotations import Annotations, class_name, finite, stated_size
from netloom.data.uploads.boxes.box_format import BoxFormat
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_index import ImageIndex
from netloom.data.uploads.upload_kind import Answers

_BOX = re.compile(rb"<bndbox\b")
_ROOT = "annotation"
_INSPECTED = 50  # files in which a box is searched
_MAX_BYTES = 2**22
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_EXPECTED = "finite numbers of pixels as xmin, ymin, xmax and ymax"


class PascalVoc(BoxFormat):
    name = "voc"
    title = "Pascal VOC (XML)"
    order = 2
    needs_images = False

    def files(self, source: Source, images: ImageIndex) -> Sequence[str]:
        candidates = [name for name in source.names if name.lower().endswith(".xml")]
        sample = candidates[:: max(1, len(candidates) // _INSPECTED)][:_INSPECTED]
        has_boxes = any(_BOX.search(source.members.read(name, _MAX_BYTES)) for name in sample)
        return candidates if has_boxes else []

    def read(self, source: Source, images: ImageIndex, answers: Answers) -> Annotations:
        annotations = Annotations()
        for name in self.files(source, images):
            root = _tree(source.members.read(name, _MAX_BYTES), name)
            if root.tag == _ROOT:
                _read(root, name, images, annotations)
        _count_from_zero(annotations)
        return annotations


def _tree(content: bytes, name: str) -> ElementTree.Element:
    """Return the root of an XML file. Declarations of entities, which can expand without end, are refused.

    Raises:
        DataError: The XML is invalid.
    """
    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise DataError(f"{name[-80:]!r} declares a document type, which is not read; remove the line <!DOCTYPE …>.")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{name[-80:]!r} is not valid XML: {str(error)[:80]}; save it again as UTF-8, or remove it."
        ) from None
    return builder.close()


def _read(root: ElementTree.Element, name: str, images: ImageIndex, annotations: Annotations) -> None:
    # Files are often renamed without changing the name inside of them
    stated = root.findtext("filename") or ""
    file = images.beside(name) or (images.find(stated, name) if stated.strip() else None)
    if file is None:
        missing = stated.strip() or PurePosixPath(path_of(name)[-1]).stem
        annotations.tally.add("Images that are missing", repr(missing[-80:]))
        return
    size = root.find("size")
    stated_sides = None if size is None else stated_size(size.findtext("width"), size.findtext("height"))
    objects = annotations.start(file, name, stated_sides)
    for entry in root.findall("object"):
        box = entry.find("bndbox")
        if box is None:
            annotations.tally.add("Objects without a box left out", f"in {name[-80:]!r}")
        elif (entry.findtext("difficult") or "").strip() == "1":
            annotations.tally.add("Difficult objects left out", f"in {name[-80:]!r}")
        else:
            where = f"An object of {name[-80:]!r}"
            x_min, y_min, x_max, y_max = finite((box.findtext(corner) for corner in _CORNERS), where, _EXPECTED)
            objects.add(class_name(entry.findtext("name"), where), (x_min, y_min, x_max, y_max))


def _count_from_zero(annotations: Annotations) -> None:
    """Bring corners to the edges of pixels. VOC counts pixels from 1 and includes the last: the edges of 1 to 4 are 0
    and 4. A coordinate below 1 shows that the program that wrote the files counts from 0."""
    lowest = [(min(sides), image) for image, objects in annotations.images.items() for sides in objects.sides]
    if lowest and min(lowest)[0] < 1:
        annotations.notes.append(
            f"The corners of boxes are counted from 0, not from 1 as in Pascal VOC: {min(lowest)[1][-80:]!r} has "
            f"{min(lowest)[0]:g}."
        )
        return
    for objects in annotations.images.values():
        objects.sides = [(x_min - 1, y_min - 1, x_max, y_max) for x_min, y_min, x_max, y_max in objects.sides]
