"""Objects in images: a class and a box each, and their geometry.

The objects of an image are an array (M, 5) of floats: class index, x_min, y_min, x_max, y_max. The sides are shares of
the width and the height of the image, so they hold for any size of it. Unused rows have the class `NO_OBJECT`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

NO_OBJECT = -1
MAX_OBJECTS = 200  # of one image
MAX_CLASSES = 200


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
