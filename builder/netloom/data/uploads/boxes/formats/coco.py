"""JSON files of COCO, one for all images or one for each part of the split.

https://cocodataset.org/#format-data
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from netloom.core.errors import DataError
from netloom.data.splits.given_splits import part_in, path_of
from netloom.data.uploads.boxes.box_annotations import Annotations, ImageObjects, class_name, finite, stated_size
from netloom.data.uploads.boxes.box_format import BoxFormat
from netloom.data.uploads.boxes.box_json import entries_of, json_content, json_files, json_text
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_index import ImageIndex
from netloom.data.uploads.upload_kind import Answers

_BOX = re.compile(r'"bbox"\s*:')
_NO_OBJECT = re.compile(r'"annotations"\s*:\s*\[\s*\]')  # as in a part of the split whose images have no object
_EXPECTED = "4 finite numbers: x, y, width and height in pixels"
_LISTS = ("images", "annotations")


class Coco(BoxFormat):
    name = "coco"
    title = "COCO (JSON)"
    order = 1
    needs_images = False

    def files(self, source: Source, images: ImageIndex) -> Sequence[str]:
        files: list[str] = source.once("coco files", lambda: _coco_files(source))
        return files

    def read(self, source: Source, images: ImageIndex, answers: Answers) -> Annotations:
        annotations, listed = Annotations(), dict[str, None]()
        for name in _without_other_sets(source, self.files(source, images), annotations.notes):
            listed |= dict.fromkeys(_read(_document(source, name), name, images, annotations))
        for label in listed.keys() - annotations.classes():
            annotations.tally.add("Classes without objects left out", repr(label))
        annotations.split_by_origin()
        return annotations


def _coco_files(source: Source) -> list[str]:
    """Return the files with boxes, and beside them those that list images without objects."""
    names = json_files(source)
    with_boxes = {name for name in names if _is_coco(source, name, _BOX)}
    return [name for name in names if name in with_boxes or (with_boxes and _is_coco(source, name, _NO_OBJECT))]


def _is_coco(source: Source, name: str, pattern: re.Pattern[str]) -> bool:
    text = json_text(source, name)
    return pattern.search(text) is not None and any(f'"{key}"' in text for key in _LISTS)


def _without_other_sets(source: Source, files: Sequence[str], notes: list[str]) -> list[str]:
    """Return the files without further annotations of the same images, such as person_keypoints_val2017.json."""
    sets: dict[str, list[str]] = {}
    for name in files:
        words = re.findall(r"[a-z]+", PurePosixPath(path_of(name)[-1]).stem.lower())
        sets.setdefault("_".join(word for word in words if part_in(word) is None), []).append(name)
    if len(sets) < 2:
        return list(files)
    named = {key: [_names(source, name) for name in names] for key, names in sets.items()}
    counts = {key: (max(len(item[1]) for item in items), len(items), key) for key, items in named.items()}
    chosen: list[str] = []
    taken: set[str] = set()
    for key in sorted(sets, key=lambda key: counts[key], reverse=True):
        own = {image for item in named[key] for image in item[0]}
        if own & taken:
            notes.append(
                f"{sets[key][0][-80:]!r} was left out, as {chosen[0][-80:]!r} has the objects of the same images."
            )
        else:
            chosen += sets[key]
            taken |= own
    return [name for name in files if name in chosen]


def _names(source: Source, name: str) -> tuple[set[str], set[str]]:
    """Return the names of the images and of the classes in a file."""
    document = _document(source, name)
    categories = document.get("categories")
    return (
        {str(entry.get("file_name")) for entry in document["images"] if isinstance(entry, Mapping)},
        {str(entry.get("name")) for entry in entries_of(categories or [], "categories", name)},
    )


def _document(source: Source, name: str) -> Mapping[str, Any]:
    """Return the content of a file; cached.

    Raises:
        DataError: It is not valid JSON, or has not the lists of COCO.
    """
    document: Mapping[str, Any] = source.once(("coco", name), lambda: _parsed(source, name))
    return document


def _parsed(source: Source, name: str) -> Mapping[str, Any]:
    document = json_content(source, name)
    if not isinstance(document, dict) or not all(isinstance(document.get(key), list) for key in _LISTS):
        raise DataError(
            f"{name[-80:]!r} has boxes, but not in the layout of COCO: an object with the lists 'images', "
            "'annotations' and 'categories'."
        )
    return document


def _read(document: Mapping[str, Any], name: str, images: ImageIndex, annotations: Annotations) -> Collection[str]:
    """Read the objects of a file. Returns the names of its classes, which may have none."""
    categories = _categories(document, name)
    by_id = _images(document, name, images, annotations)
    for number, entry in enumerate(entries_of(document["annotations"], "annotations", name), 1):
        where = f"Annotation {number:,} of {name[-80:]!r}"
        identifier = str(entry.get("image_id"))
        if identifier not in by_id:
            annotations.tally.add("Boxes of images that are not listed left out", f"in {name[-80:]!r}")
        elif entry.get("iscrowd") in (1, True, "1"):
            annotations.tally.add("Boxes of crowds (iscrowd) left out", f"in {name[-80:]!r}")
        elif entry.get("bbox") in (None, []):
            annotations.tally.add("Annotations without a box left out", f"in {name[-80:]!r}")
        else:
            box, category = entry["bbox"], str(entry.get("category_id"))
            if not isinstance(box, list) or len(box) != 4:
                raise DataError(f"{where} has the bbox {box!r:.60}; expected {_EXPECTED}.")
            x, y, width, height = finite(box, where, _EXPECTED)
            if categories and category not in categories:
                raise DataError(
                    f"{where} has the category {category[:40]!r}, but 'categories' has the ids "
                    f"{', '.join([*categories][:8])}; correct it, or add the category."
                )
            objects = by_id[identifier]
            if objects is not None:
                objects.add(categories.get(category, f"class {category}"), (x, y, x + width, y + height))
    return categories.values()


def _categories(document: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return the names of the classes by their ids as texts, as some programs write ids as texts."""
    entries = entries_of(document.get("categories") or [], "categories", name)
    return {
        str(entry.get("id")): class_name(entry.get("name"), f"Category {number:,} of {name[-80:]!r}")
        for number, entry in enumerate(entries, 1)
    }


def _images(
    document: Mapping[str, Any], name: str, images: ImageIndex, annotations: Annotations
) -> dict[str, ImageObjects | None]:
    """Return the objects of each image by its id, to be filled; None for missing files."""
    by_id: dict[str, ImageObjects | None] = {}
    for number, entry in enumerate(entries_of(document["images"], "images", name), 1):
        file_name, identifier = entry.get("file_name"), str(entry.get("id"))
        if not isinstance(file_name, str) or not file_name.strip() or entry.get("id") is None:
            raise DataError(f"Image {number:,} of {name[-80:]!r} has no 'file_name' or no 'id'; add both.")
        if identifier in by_id:
            raise DataError(f"{name[-80:]!r} has two images with the id {identifier[:40]!r}; number them differently.")
        file = images.find(file_name, name)
        if file is None:
            annotations.tally.add("Images that are missing", repr(file_name[-80:]))
            by_id[identifier] = None
        else:
            by_id[identifier] = annotations.start(file, name, stated_size(entry.get("width"), entry.get("height")))
    return by_id
