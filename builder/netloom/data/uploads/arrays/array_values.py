"""The values of arrays: which inputs are usable, and which targets an array contains."""

from __future__ import annotations

import numpy as np

from netloom.core.errors import DataError
from netloom.data.boxes import MAX_CLASSES as MAX_BOX_CLASSES
from netloom.data.boxes import MAX_OBJECTS, NO_OBJECT
from netloom.data.mask_values import MAX_CLASSES, VOID, MaskValues, has_void
from netloom.data.raw_dataset import RawTarget
from netloom.data.tables.targets import CLASS, requested_target
from netloom.data.uploads.tabular import target_of
from netloom.modalities.encoding.tags import IGNORE

_VOIDS = (VOID, IGNORE)  # the usual values of pixels without a class


def check_inputs(array: np.ndarray, name: str) -> None:
    """Check that an array of inputs consists of finite numbers.

    Raises:
        DataError: It does not.
    """
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name[:60]!r} has the dtype {array.dtype}; an input array needs numbers.")
    _refuse_missing(array, name)


def array_target(
    array: np.ndarray,
    task: str | None,
    name: str,
    title: str,
    inputs: np.ndarray,
    class_names: tuple[str, ...] = (),
    void: int | None = None,
) -> RawTarget:
    """Return the target of a dataset from an array (R,), numbers or one-hot classes (R, k), masks (R, H, W), or the
    objects in images (R, M, 5), as in `netloom.data.boxes`.

    `class_names` are the names of the values 0, 1, … of masks and of the classes of objects, and `void` is the value of
    void pixels in masks, if any.

    Raises:
        DataError: The array is none of these.
    """
    target_type = requested_target({"task": task})
    predicts_numbers = target_type is not None and target_type.is_number
    target = _flat(array)
    if target.ndim == 1:
        return _column_target(target, task, name, title)
    if target.dtype.kind not in "biuf":
        raise DataError(f"{name[:60]!r} has several texts per row; a class is one text per row.")
    if target.ndim == 2 and not predicts_numbers and _one_hot(target):
        import pandas as pd

        return target_of(pd.Series(target.argmax(1), name=name), CLASS, title)
    if are_masks(target, inputs):
        return _mask_target(target, name, class_names, void)
    if target.ndim == 3 and target.shape[2] == 5:
        return _box_target(target, name, class_names)
    if target.ndim != 2:
        raise DataError(
            f"{name[:60]!r} has rows of shape {target.shape[1:]}; a target is a class, numbers, a mask, or objects "
            "with five numbers each: the class, x_min, y_min, x_max and y_max."
        )
    numbers = target.astype(np.float64)
    _refuse_missing(numbers, name)
    return {"target": numbers, "target_kind": "number", "target_name": name, "classes": ()}


def _flat(target: np.ndarray) -> np.ndarray:
    """Return targets of one value per row as (R,)."""
    array = np.asarray(target)
    # (R, 1, …) -> (R,)
    return array.reshape(len(array)) if array.ndim > 1 and array.shape[1:] == (1,) * (array.ndim - 1) else array


def are_masks(target: np.ndarray, inputs: np.ndarray) -> bool:
    """Return whether an array of targets holds masks (R, H, W) of images."""
    array = _flat(target)
    return array.ndim == 3 and array.dtype.kind in "biu" and set(array.shape[1:]) <= set(inputs.shape[1:])


def inferred_void(masks: np.ndarray) -> int | None:
    """Return the value of void pixels that masks (R, H, W) seem to have; None if every value is a class."""
    distinct = np.unique(masks).tolist()
    return next((void for void in _VOIDS if has_void(distinct, void)), None)


def _column_target(target: np.ndarray, task: str | None, name: str, title: str) -> RawTarget:
    """Return the target from one value per row (R,)."""
    import pandas as pd

    if target.dtype.kind == "S":
        target = np.char.decode(target, "utf-8", "replace")
    _refuse_missing(target, name)
    if target.dtype.kind == "U":
        return target_of(pd.Series([str(item) for item in target], name=name, dtype="string"), task, title)
    # Integers with five rows or more per value, on average, are class indices.
    if task is None and target.dtype.kind in "iu" and len(np.unique(target)) <= len(target) // 5:
        task = CLASS
    return target_of(pd.Series(target, name=name), task, title)


def _mask_target(target: np.ndarray, name: str, class_names: tuple[str, ...], void: int | None) -> RawTarget:
    """Return the target from masks (R, H, W) of class numbers."""
    distinct = set(np.unique(target).tolist())
    numbers = distinct - {void}
    if class_names and min(numbers, default=0) >= 0 and max(numbers, default=0) < len(class_names):
        classes, values = class_names, MaskValues(tuple(range(len(class_names))), void)
    else:
        if len(numbers) > MAX_CLASSES:
            raise DataError(
                f"{name[:60]!r} holds masks of {len(numbers):,} classes; at most {MAX_CLASSES} are supported."
            )
        values = MaskValues.of(distinct, void)
        classes = tuple(f"class {value}" for value in values.classes)
    masks = values.indices(target)
    return {"target": masks, "target_kind": "mask", "target_name": name, "classes": classes, "mask_values": values}


def _box_target(target: np.ndarray, name: str, class_names: tuple[str, ...]) -> RawTarget:
    """Return the target from the objects in images (R, M, 5): class index, x_min, y_min, x_max and y_max, with sides as
    shares of the width and the height; the class of unused rows is below 0."""
    objects = target.astype(np.float32)
    _refuse_missing(objects, name)
    if objects.shape[1] > MAX_OBJECTS:
        raise DataError(
            f"{name[:60]!r} has up to {objects.shape[1]:,} objects per image; at most {MAX_OBJECTS} are read."
        )
    numbers, low, high = objects[..., 0], objects[..., 1:3], objects[..., 3:]
    is_object = numbers >= 0
    is_valid = (numbers == numbers.round()) & ((low >= 0) & (low < high) & (high <= 1)).all(2)
    if not is_valid[is_object].all():
        image, place = np.argwhere(is_object & ~is_valid)[0].tolist()
        raise DataError(
            f"{name[:60]!r} has the object {objects[image, place].tolist()} in row {image + 1:,}; an object has the "
            "number of its class, x_min, y_min, x_max and y_max, from 0 to 1 as shares of the width and the height of "
            "the image, with x_min below x_max and y_min below y_max."
        )
    if not is_object.any():
        raise DataError(f"{name[:60]!r} has no object; the class of an object is 0 or above.")
    count = max(int(numbers.max()) + 1, len(class_names))
    if count > MAX_BOX_CLASSES:
        raise DataError(f"{name[:60]!r} has objects of {count:,} classes; at most {MAX_BOX_CLASSES} are supported.")
    classes = (*class_names, *(f"class {number}" for number in range(len(class_names), count)))
    objects[~is_object] = 0
    objects[~is_object, 0] = NO_OBJECT
    return {"target": objects, "target_kind": "boxes", "target_name": name, "classes": classes}


def _one_hot(array: np.ndarray) -> bool:
    return array.shape[1] > 1 and bool(np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all())


def _refuse_missing(array: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity. In parts, as an array of inputs can be as large as memory."""
    if array.dtype.kind == "f" and not all(np.isfinite(part).all() for part in np.array_split(array, 64)):
        raise DataError(f"{name[:60]!r} holds numbers that are missing or infinite; replace them and save it again.")
