"""The values of arrays: which inputs are usable, and which targets an array contains."""

from __future__ import annotations

import numpy as np

from netloom.core.errors import DataError
from netloom.data.raw_dataset import RawTarget
from netloom.data.tables.targets import CLASS, requested_target
from netloom.data.uploads.tabular import target_of

MAX_MASK_CLASSES = 64


def check_inputs(array: np.ndarray, name: str) -> None:
    """Check that an array of inputs consists of finite numbers.

    Raises:
        DataError: It does not.
    """
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name[:60]!r} has the dtype {array.dtype}; an input array needs numbers.")
    _refuse_missing(array, name)


def array_target(
    array: np.ndarray, task: str | None, name: str, title: str, inputs: np.ndarray, class_names: tuple[str, ...] = ()
) -> RawTarget:
    """Return the target of a dataset from an array (R,), numbers or one-hot classes (R, k), or masks (R, H, W).

    `class_names` are the names of the values 0, 1, … of masks.

    Raises:
        DataError: The array is none of these.
    """
    target_type = requested_target({"task": task})
    predicts_numbers = target_type is not None and target_type.is_number
    target = np.asarray(array)
    # (R, 1, …) -> (R,)
    if target.ndim > 1 and target.shape[1:] == (1,) * (target.ndim - 1):
        target = target.reshape(len(target))
    if target.ndim == 1:
        return _column_target(target, task, name, title)
    if target.dtype.kind not in "biuf":
        raise DataError(f"{name[:60]!r} has several texts per row; a class is one text per row.")
    if target.ndim == 2 and not predicts_numbers and _one_hot(target):
        import pandas as pd

        return target_of(pd.Series(target.argmax(1), name=name), CLASS, title)
    if target.ndim == 3 and target.dtype.kind in "biu" and set(target.shape[1:]) <= set(inputs.shape[1:]):
        return _mask_target(target, name, class_names)
    if target.ndim != 2:
        raise DataError(f"{name[:60]!r} has rows of shape {target.shape[1:]}; a target is a class, numbers or a mask.")
    numbers = target.astype(np.float64)
    _refuse_missing(numbers, name)
    return {"target": numbers, "target_kind": "number", "target_name": name, "classes": ()}


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


def _mask_target(target: np.ndarray, name: str, class_names: tuple[str, ...]) -> RawTarget:
    """Return the target from masks (R, H, W) of class numbers."""
    class_numbers = np.unique(target)
    if class_names and class_numbers[0] >= 0 and class_numbers[-1] < len(class_names):
        masks = target.astype(np.uint8)
        return {"target": masks, "target_kind": "mask", "target_name": name, "classes": class_names}
    if len(class_numbers) > MAX_MASK_CLASSES:
        raise DataError(
            f"{name[:60]!r} holds masks of {len(class_numbers):,} classes; at most {MAX_MASK_CLASSES} are supported."
        )
    classes = tuple(f"class {value}" for value in class_numbers)
    masks = np.searchsorted(class_numbers, target).astype(np.uint8)
    return {"target": masks, "target_kind": "mask", "target_name": name, "classes": classes}


def _one_hot(array: np.ndarray) -> bool:
    return array.shape[1] > 1 and bool(np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all())


def _refuse_missing(array: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity. In parts, as an array of inputs can be as large as memory."""
    if array.dtype.kind == "f" and not all(np.isfinite(part).all() for part in np.array_split(array, 64)):
        raise DataError(f"{name[:60]!r} holds numbers that are missing or infinite; replace them and save it again.")
