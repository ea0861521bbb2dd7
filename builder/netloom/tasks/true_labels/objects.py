"""True objects of images, with which predictions are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.data.boxes import ImageObject, image_objects, overlap, predicted_objects, present
from netloom.tasks.true_labels.true_label import TrueLabel

if TYPE_CHECKING:
    from netloom.data import Prepared

_IOU = 0.5  # from which a predicted object is a true one


@dataclass(frozen=True)
class ObjectsLabel(TrueLabel):
    """The objects in an image. The error is 1 − F1 of the predicted objects of the image, at an IoU of 0.5.

    Attributes:
        names: the names of the classes.
    """

    names: tuple[str, ...]
    title: ClassVar[str] = "Agreement with the true objects"
    is_share: ClassVar[bool] = True

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "array", "items": {"type": "object"}}

    def check(self, label: Any) -> Any:
        raise DataError("The objects of an image cannot be entered as its label.")

    def error(self, prediction: Any, label: Sequence[ImageObject]) -> float:
        objects, free, hits = predicted_objects(prediction, self.names), list(label), 0
        for item in objects:  # the highest score first
            candidates = [true for true in free if true.name == item.name]
            best = max(candidates, key=lambda true: overlap(item.box, true.box), default=None)
            if best is not None and overlap(item.box, best.box) >= _IOU:
                free.remove(best)
                hits += 1
        count = len(objects) + len(label)
        return 1 - 2 * hits / count if count else 0.0

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[Any]:
        targets = np.asarray(data.target[rows])
        return [image_objects(present(objects), data.schema.target.classes) for objects in targets]

    def is_comparable(self, label: TrueLabel) -> bool:
        return isinstance(label, ObjectsLabel) and {*self.names} == {*label.names}
