"""Images with the boxes of the objects in them, in one of the formats of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.progress import ProgressCallback, ignore_progress
from netloom.core.text import natural
from netloom.data.boxes import objects_text, present
from netloom.data.images import data_uri, picture
from netloom.data.raw.images import Images
from netloom.data.raw_dataset import RawDataset
from netloom.data.settings.label_merging import spelling_notes
from netloom.data.splits.given_splits import FileParts, file_parts, path_of
from netloom.data.uploads.boxes.box_annotations import Annotations, Tally
from netloom.data.uploads.boxes.box_format import BoxFormat, formats_of, image_index
from netloom.data.uploads.boxes.box_placement import placed_objects, refuse_many_classes, target_of
from netloom.data.uploads.chosen import text
from netloom.data.uploads.file_labels.part_lists import lists_of_parts, parts_of_lists
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_questions import (
    GRAY,
    SIZE,
    load_arrays,
    read_pictures,
    set_given_split,
    spread,
    stored_images,
    unlabeled_note,
)
from netloom.data.uploads.upload_kind import (
    PREVIEWED,
    Answers,
    Question,
    Reader,
    StoredUpload,
    check_options,
    with_default,
)
from netloom.data.uploads.upload_meta import UploadMeta

if TYPE_CHECKING:
    import pandas as pd

# Larger than for classes of whole images, as small objects would vanish
OBJECTS_SIDE = 64
SMALLEST_SIDE = 2  # pixels of an object that a network can still see
_PREVIEW_SIDE = 128
_MAIN = "main"  # the folder with the lists of Pascal VOC for object detection, beside those for other tasks
_SIZE = replace(SIZE, empty=f"their own, at most {OBJECTS_SIDE}")
FORMAT = Question("format", "Format of the boxes", "choice", "The upload has boxes in several formats",
                  when_added=True)  # fmt: skip


class PicturesWithObjects(Reader):
    """Images and files of boxes."""

    name = "objects"
    title = "Images with objects"
    about = (
        "A zip of images and the boxes of the objects in them: COCO, LabelMe or Create ML (JSON), Pascal VOC (XML), "
        "YOLO (text), or a table with the file, the sides of the box and the class of each object."
    )
    kind = "image"

    def likely(self, source: Source) -> float:
        if not formats_of(source):
            return 0.0
        # Boxes without images are refused with a sentence, unless they can be read as something else
        return 0.84 if image_index(source).files else 0.1

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        formats = [item.name for item in formats_of(source)]
        choice = [with_default(FORMAT, formats[0], formats)] if len(formats) > 1 else []
        chosen = _format(source, answers)
        return [*choice, *(chosen.questions(source, image_index(source)) if chosen else []), _SIZE, GRAY]

    def learned(self, source: Source, answers: Answers) -> str:
        annotations = _annotations(source, answers)
        classes, count = sorted(annotations.classes(), key=natural), len(annotations.images)
        named = f"the class {classes[0]!r}" if len(classes) == 1 else f"{len(classes):,} classes"
        return f"Find objects of {named} in {count:,} images."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        annotations = _annotations(source, answers)
        filled = sorted(name for name, objects in annotations.images.items() if objects.sides)
        names = spread(filled, PREVIEWED)
        classes = sorted(annotations.classes(), key=natural)
        objects = placed_objects(source, annotations, names, classes, Tally(), ignore_progress)
        return pd.DataFrame(
            {
                "image": [
                    _outlined(source, name, boxes, len(classes)) for name, boxes in zip(names, objects, strict=True)
                ],
                "objects": [objects_text(classes[int(index)] for index in boxes[:, 0]) for boxes in objects],
                "file": names,
            }
        )

    def noted(self, source: Source, answers: Answers) -> list[str]:
        annotations = _annotations(source, answers)
        unlabeled = [name for name in image_index(source).files if name not in annotations.images]
        without = sum(not objects.sides for objects in annotations.images.values())
        verb = "has" if without == 1 else "have"
        empty = [f"{without:,} of {len(annotations.images):,} images {verb} no object."] * bool(without)
        return [
            *annotations.notes,
            *annotations.tally.notes(),
            *unlabeled_note(unlabeled),
            *empty,
            *spelling_notes(annotations.classes()),
        ]

    def used_files(self, source: Source) -> Sequence[str]:
        return [*_annotations(source, self.answered(source, {})).images]

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        annotations, tally = _annotations(source, answers), Tally()
        names = sorted(annotations.images)
        notes = self.noted(source, answers)
        candidates = sorted(annotations.classes(), key=natural)
        refuse_many_classes(candidates)
        read = read_pictures(source, names, progress, notes)
        names = read.of(names)
        objects = placed_objects(source, annotations, names, candidates, tally, progress)
        target, classes = target_of(objects, candidates)
        notes += tally.notes()
        arrays: dict[str, Any] = {"pixels": read.pixels, "objects": target}
        parts = _parts(source, annotations, names)
        if parts is not None:
            arrays["parts"] = parts
        progress(0.92, "Saving them")
        np.savez(folder / "images.npz", **arrays)
        count = sum(map(len, objects))
        noun = "class" if len(classes) == 1 else "classes"
        summary = f"{len(names):,} images with {count:,} objects of {len(classes):,} {noun}"
        return StoredUpload(len(names), summary, notes=notes, extra={"classes": classes, "side": read.pixels.shape[1]})

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        chosen = check_options(options, [_SIZE, GRAY], "", "Images")
        arrays = load_arrays(folder)
        size = chosen.optional_whole("size") or min(OBJECTS_SIDE, meta["side"])
        raw = Images(
            name="image",
            target=arrays["objects"],
            target_kind="boxes",
            target_name="objects",
            classes=tuple(meta["classes"]),
            warnings=_tiny_note(arrays["objects"], size, meta["side"]),
            **stored_images(arrays["pixels"], size, chosen.optional_switch(GRAY.name)),
        )
        set_given_split(raw, arrays.get("parts"))
        return raw


def _format(source: Source, answers: Answers) -> BoxFormat | None:
    """Return the chosen format, by default the most likely one; None if there are no boxes."""
    formats = formats_of(source)
    return next((item for item in formats if item.name == text(answers, FORMAT.name)), next(iter(formats), None))


def _annotations(source: Source, answers: Answers) -> Annotations:
    """Return the objects in all images that have annotations; cached.

    Raises:
        DataError: There are none, or a file is invalid.
    """
    images, chosen = image_index(source), _format(source, answers)
    if chosen is None:
        raise DataError(
            "The upload has no boxes of objects; add JSON files of COCO, LabelMe or Create ML, XML files of Pascal "
            "VOC, text files of YOLO, or a table with columns such as file, xmin, ymin, xmax, ymax and class."
        )
    first = chosen.files(source, images)[0]
    if not images.files:
        raise DataError(f"{first[-80:]!r} has the boxes of objects, but their images are missing; add them to the zip.")
    key = tuple(
        sorted((question.name, str(answers.get(question.name))) for question in chosen.questions(source, images))
    )
    annotations: Annotations = source.once(
        ("annotations", chosen.name, key), lambda: chosen.read(source, images, answers)
    )
    if not annotations.images:
        raise DataError(
            f"{first[-80:]!r} belongs to none of the images, which have names such as {images.files[0][-80:]!r}; give "
            "both the same names." + "".join(f" {note}" for note in annotations.tally.notes())
        )
    return annotations


def _parts(source: Source, annotations: Annotations, names: Sequence[str]) -> np.ndarray | None:
    """Return the part of the split of each image (R,): from the files of boxes, or from lists, or from folders.

    Raises:
        DataError: Some files are in a part, and others are not.
    """
    lists = lists_of_parts(source)
    main = {name: part for name, part in lists.items() if _MAIN in path_of(name.casefold())}
    parts = annotations.parts or parts_of_lists(source, main or lists, image_index(source).find)
    return FileParts(parts).of(names) if parts else file_parts(names).of(names)


def _tiny_note(objects: np.ndarray, size: int, side: int) -> list[str]:
    """Return a note on objects that are too small to be seen at this size of the images."""
    boxes = present(objects.reshape(-1, 5))
    shortest = (boxes[:, 3:] - boxes[:, 1:3]).min(axis=1)
    tiny = int((shortest * size < SMALLEST_SIDE).sum())
    if not tiny:
        return []
    larger = f"a larger size (up to {SIZE.high:.0f})" if size < SIZE.high else "tiles of the images"
    return [
        f"{tiny:,} of {len(boxes):,} objects {'is' if tiny == 1 else 'are'} smaller than {SMALLEST_SIDE} pixels in "
        f"images of {size} × {size} and can hardly be found; choose {larger}."
    ]


def _outlined(source: Source, name: str, objects: np.ndarray, classes: int) -> str:
    """Return an image with its boxes as a data URI; "" if it cannot be read. Each class has a color."""
    from PIL import Image, ImageColor, ImageDraw

    try:
        pixels = picture(source.members.read(name), name, _PREVIEW_SIDE)
    except DataError:
        return ""
    image = Image.fromarray(pixels).resize((_PREVIEW_SIDE, _PREVIEW_SIDE))
    draw = ImageDraw.Draw(image)
    for index, *sides in objects.tolist():
        color = ImageColor.getrgb(f"hsl({360 * index / max(1, classes):.0f}, 100%, 50%)")
        draw.rectangle([round(side * (_PREVIEW_SIDE - 1)) for side in sides], outline=color, width=2)
    return data_uri(np.asarray(image))
