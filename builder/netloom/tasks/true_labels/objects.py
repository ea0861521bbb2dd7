"""True objects of images: a class and a box each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.data.boxes import MAX_OBJECTS, SIDES, image_objects, objects_text, overlap, present
from netloom.tasks.true_labels.messages import listed, shown
from netloom.tasks.true_labels.true_label import BoxedLabel, TrueLabel

if TYPE_CHECKING:
    from netloom.data import Prepared

_IOU = 0.5  # from which a predicted object is a true one
_DECIMALS = 5  # of a side as text: a twenty-fifth of a pixel in an image of 4,000
_NONE = objects_text(())  # how a person types that an image has no object


@dataclass(frozen=True)
class ObjectsLabel(BoxedLabel):
    """The objects in an image: `[{"class": NAME, "box": [x_min, y_min, x_max, y_max]}, …]`, with the sides as shares of
    the width and the height of the image.

    The error is 1 − F1 of the predicted objects of the image, at an IoU of 0.5: the share of the predicted and the true
    objects without a match.

    Attributes:
        names: the names of the classes.
    """

    names: tuple[str, ...]
    title: ClassVar[str] = "Share of unmatched objects"
    is_share: ClassVar[bool] = False
    is_fraction: ClassVar[bool] = True
    hint: ClassVar[str] = (
        "A line for each object: its class, and the left, upper, right and lower side of its box, from 0 to 1, such as "
        f"car 0.1 0.25 0.4 0.8. For an image without objects, write: {_NONE}"
    )

    @property
    def schema(self) -> Mapping[str, Any]:
        side = {"type": "number", "minimum": 0, "maximum": 1}
        box = {
            "type": "array",
            "items": side,
            "minItems": len(SIDES),
            "maxItems": len(SIDES),
            "description": "x_min, y_min, x_max, y_max as shares of the width and the height of the image",
        }
        properties = {"class": {"type": "string", "enum": list(self.names)}, "box": box}
        item = {"type": "object", "properties": properties, "required": ["class", "box"]}
        return {"type": "array", "items": item, "maxItems": MAX_OBJECTS}

    def check(self, label: Any) -> list[dict[str, Any]]:
        if not isinstance(label, (list, tuple)):
            raise DataError(f"The label is a list of objects with the keys class and box, received {shown(label)}.")
        if len(label) > MAX_OBJECTS:
            raise DataError(f"An image has at most {MAX_OBJECTS} objects; the label has {len(label):,}.")
        return [self._checked(item) for item in label]

    def _checked(self, item: Any) -> dict[str, Any]:
        # A prediction also has scores, which a label does not need
        if not isinstance(item, Mapping) or not {"class", "box"} <= set(item) <= {"class", "box", "score"}:
            raise DataError(f"An object has the keys class and box, received {shown(item)}.")
        if item["class"] not in self.names:
            raise DataError(f"{shown(item['class'])} is not a class; the classes are {listed(self.names)}.")
        box = item["box"]
        if (
            not isinstance(box, (list, tuple))
            or len(box) != len(SIDES)
            or not all(isinstance(side, (int, float)) and math.isfinite(side) for side in box)
        ):
            raise DataError(f"A box has four numbers: x_min, y_min, x_max and y_max; received {shown(box)}.")
        x_min, y_min, x_max, y_max = map(float, box)
        if not (0 <= x_min < x_max <= 1 and 0 <= y_min < y_max <= 1):
            raise DataError(
                f"A box has sides from 0 to 1, with x_min below x_max and y_min below y_max; received {shown(box)}."
            )
        return {"class": item["class"], "box": [x_min, y_min, x_max, y_max]}

    def error(self, prediction: Any, label: Sequence[Mapping[str, Any]]) -> float:
        free, hits = list(label), 0
        for item in prediction:  # the highest score first
            candidates = [true for true in free if true["class"] == item["class"]]
            best = max(candidates, key=lambda true: overlap(item["box"], true["box"]), default=None)
            if best is not None and overlap(item["box"], best["box"]) >= _IOU:
                free.remove(best)
                hits += 1
        count = len(prediction) + len(label)
        return 1 - 2 * hits / count if count else 0.0

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[list[dict[str, Any]]]:
        names = data.schema.target.classes
        return [
            [{"class": item.name, "box": [*item.box]} for item in image_objects(present(objects), names)]
            for objects in np.asarray(data.target[rows])
        ]

    def proposed(self, data: Prepared, row: Mapping[str, Any], prediction: Any = None) -> Any:
        return self.as_label(prediction or [])

    def as_label(self, prediction: Any) -> Any:
        """Return the predicted objects without scores, and their boxes cut at the borders of the image and rounded as
        in `text`."""
        labels = []
        for item in prediction:
            x_min, y_min, x_max, y_max = (round(min(max(float(side), 0.0), 1.0), _DECIMALS) for side in item["box"])
            if x_min < x_max and y_min < y_max:
                labels.append({"class": item["class"], "box": [x_min, y_min, x_max, y_max]})
        return labels

    def text(self, label: Any) -> str:
        lines = [f"{item['class']} {' '.join(map(_written, item['box']))}" for item in label]
        return "\n".join(lines) or _NONE

    def in_short(self, label: Any) -> str:
        return objects_text(item["class"] for item in label)

    def parse(self, text: str) -> list[dict[str, Any]]:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines == [_NONE]:
            return []
        return self.check([_parsed(line) for line in lines])

    def is_comparable(self, label: TrueLabel) -> bool:
        return isinstance(label, ObjectsLabel) and {*self.names} == {*label.names}


def _written(side: float) -> str:
    return f"{side:.{_DECIMALS}f}".rstrip("0").rstrip(".")


def _parsed(line: str) -> dict[str, Any]:
    name, *sides = line.rsplit(maxsplit=len(SIDES))
    try:
        return {"class": name, "box": [float(side) for side in sides]}
    except ValueError:
        raise DataError(
            f"{line[:60]!r} is not a class and four numbers; write for example: car 0.1 0.25 0.4 0.8"
        ) from None
