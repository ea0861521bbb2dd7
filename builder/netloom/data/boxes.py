"""Objects in images: a class and a box each, and their geometry.

The objects of an image are an array (M, 5) of floats: class index, x_min, y_min, x_max, y_max. The sides are shares of
the width and the height of the image, so they hold for any size of it. Unused rows have the class `NO_OBJECT`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SIDES = ("left", "upper", "right", "lower")
NO_OBJECT = -1
MAX_OBJECTS = 200  # of one image
MAX_CLASSES = 200


@dataclass(frozen=True)
class ImageObject:
    """An object in an image: the number and the name of its class, and its box as x_min, y_min, x_max, y_max in shares
    of the width and the height. Predicted objects have a `score`."""

    number: int
    name: str
    box: tuple[float, float, float, float]
    score: float | None = None

    @property
    def title(self) -> str:
        """The name with the score, such as "car 93%"."""
        return self.name if self.score is None else f"{self.name} {self.score:.0%}"


def overlap(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the intersection over union (IoU) of two boxes."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    both = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return both / (areas - both) if areas > both else 0.0


def padded(objects: Sequence[np.ndarray]) -> np.ndarray:
    """Return the objects (objects, 5) of each of R images as one array (R, M, 5) of float32, where M is at least 1."""
    count = max([1, *map(len, objects)])
    target = np.zeros((len(objects), count, 5), dtype=np.float32)
    target[:, :, 0] = NO_OBJECT
    for row, own in zip(target, objects, strict=True):
        row[: len(own)] = own
    return target


def present(objects: np.ndarray) -> np.ndarray:
    """Return the objects (objects, 5) of an array (M, 5) without its unused rows."""
    return objects[objects[:, 0] >= 0]


def objects_text(names: Iterable[str]) -> str:
    """Return the classes of objects with their numbers, such as "2 × car, person"."""
    counts = sorted(Counter(names).items())
    return ", ".join(name if count == 1 else f"{count} × {name}" for name, count in counts) or "no object"


def image_objects(
    objects: Iterable[Sequence[float]], classes: Sequence[str], scores: Sequence[float] | None = None
) -> tuple[ImageObject, ...]:
    """Return objects (objects, 5) with the names of their classes, and with their scores if they are predicted."""
    rows = [tuple(map(float, row)) for row in objects]
    known: Sequence[float | None] = [None] * len(rows) if scores is None else scores
    return tuple(
        ImageObject(int(number), classes[int(number)], (x_min, y_min, x_max, y_max), score)
        for (number, x_min, y_min, x_max, y_max), score in zip(rows, known, strict=True)
    )


def predicted_objects(prediction: Iterable[Mapping[str, Any]], classes: Sequence[str]) -> tuple[ImageObject, ...]:
    """Return the objects of a prediction or a label in plain JSON: a class and a box each, and a score if predicted."""
    return tuple(
        ImageObject(classes.index(item["class"]), item["class"], tuple(item["box"]), item.get("score"))
        for item in prediction
    )
