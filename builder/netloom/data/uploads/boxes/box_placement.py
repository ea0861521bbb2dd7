"""Brings the boxes of annotation files to shares of the images as they are shown, and corrects them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netloom.core.errors import DataError
from netloom.core.progress import ProgressCallback
from netloom.data.boxes import MAX_CLASSES, MAX_OBJECTS, padded
from netloom.data.images import FileSize, file_size
from netloom.data.uploads.boxes.box_annotations import Annotations, ImageObjects, Tally
from netloom.data.uploads.files.source import Source

_ROUNDING = 1e-4  # of a share: how far boxes with few digits may leave the image
_SAME_SHAPE = 0.02  # relative difference of the ratio of width and height


def placed_objects(
    source: Source, annotations: Annotations, names: Sequence[str], classes: Sequence[str], tally: Tally,
    progress: ProgressCallback,
) -> list[np.ndarray]:  # fmt: skip
    """Return the objects (objects, 5) of these images in the format of `netloom.data.boxes`.

    Raises:
        DataError: An image cannot be read, or has too many objects.
    """
    indices = {label: index for index, label in enumerate(classes)}
    objects = []
    for number, name in enumerate(names):
        if number % 256 == 0:
            progress(
                0.85 + 0.05 * number / len(names), f"Placing the objects of image {number + 1:,} of {len(names):,}"
            )
        own = annotations.images[name]
        boxes = _shares(source, own, name, annotations.in_shares, tally)
        rows = np.column_stack([[indices[label] for label in own.classes], boxes]) if len(boxes) else np.empty((0, 5))
        objects.append(_corrected(rows, name, tally))
        if len(objects[-1]) > MAX_OBJECTS:
            raise DataError(
                f"{name[-80:]!r} has {len(objects[-1]):,} objects; at most {MAX_OBJECTS} can be read per image. Cut "
                "the image into tiles, or leave out the smallest objects."
            )
    return objects


def refuse_many_classes(classes: Sequence[str]) -> None:
    """Refuse more classes than a detector may have.

    Raises:
        DataError: There are too many.
    """
    if len(classes) > MAX_CLASSES:
        raise DataError(
            f"The objects have {len(classes):,} classes, such as {classes[0]!r} and {classes[1]!r}; at most "
            f"{MAX_CLASSES} can be read. Join rare classes, or choose another column with the class."
        )


def target_of(objects: Sequence[np.ndarray], classes: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Return the objects as one array (R, M, 5), and the classes that occur, which it numbers.

    Raises:
        DataError: There is no object at all.
    """
    used = sorted({int(index) for rows in objects for index in rows[:, 0]})
    if not used:
        raise DataError("No image has an object with a box inside of it; check the files of boxes.")
    numbers = np.zeros(max(used) + 1)
    numbers[used] = np.arange(len(used))
    numbered = [np.column_stack([numbers[rows[:, 0].astype(int)], rows[:, 1:]]) for rows in objects]
    return padded(numbered), [classes[index] for index in used]


def _shares(source: Source, own: ImageObjects, name: str, in_shares: bool, tally: Tally) -> np.ndarray:
    """Return the boxes (objects, 4) as shares of the image as it is shown."""
    boxes = np.array(own.sides, dtype=np.float64).reshape(-1, 4)
    if in_shares or not len(boxes):
        return boxes
    file = file_size(source.members.read(name), name)
    if own.size is None or own.size == file.shown:
        return np.asarray(boxes / np.array(file.shown * 2))
    if own.size == file.stored:
        return _turned(boxes / np.array(file.stored * 2), file)
    if abs(own.size[0] / own.size[1] / (file.shown[0] / file.shown[1]) - 1) > _SAME_SHAPE:
        tally.add(
            "Images with another shape than their annotations state, whose boxes may be misplaced", repr(name[-80:])
        )
    return np.asarray(boxes / np.array(own.size * 2))


def _turned(boxes: np.ndarray, file: FileSize) -> np.ndarray:
    """Return boxes of an image as stored as those of the image as its EXIF orientation shows it."""
    points = boxes.reshape(-1, 2, 2)[..., ::-1]  # the values 5 to 8 exchange width and height
    mirrored = np.stack([file.mirrors_width, file.mirrors_height])
    turned = np.where(mirrored, 1 - points, points)
    return np.hstack([turned.min(1), turned.max(1)])


def _corrected(rows: np.ndarray, name: str, tally: Tally) -> np.ndarray:
    """Return objects (objects, 5) with ordered corners, inside of the image, with an area and without duplicates."""
    where = f"in {name[-80:]!r}"
    low, high = np.minimum(rows[:, 1:3], rows[:, 3:]), np.maximum(rows[:, 1:3], rows[:, 3:])
    if swapped := int((rows[:, 1:3] > rows[:, 3:]).any(1).sum()):
        tally.add("Boxes whose corners were in another order", where, swapped)
    if outside := int(((low < -_ROUNDING) | (high > 1 + _ROUNDING)).any(1).sum()):
        tally.add("Boxes clipped to the image", where, outside)
    sides = np.hstack([low.clip(0, 1), high.clip(0, 1)])
    has_area = (sides[:, 2:] - sides[:, :2] > 1e-6).all(1)
    if empty := int((~has_area).sum()):
        tally.add("Boxes without an area inside of the image left out", where, empty)
    objects = np.hstack([rows[:, :1], sides])[has_area]
    _, first = np.unique(objects.round(6), axis=0, return_index=True)
    if repeated := len(objects) - len(first):
        tally.add("Repetitions of the same object left out", where, repeated)
    return np.asarray(objects[np.sort(first)])
