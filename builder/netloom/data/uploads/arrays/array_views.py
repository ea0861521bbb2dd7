"""Arrays of rows as images, as series, as sounds or as the columns of a table."""

from __future__ import annotations

import numpy as np

from netloom.core.errors import DataError
from netloom.data.limits import MAX_COLUMNS
from netloom.data.raw.images import Images
from netloom.data.raw.series import Series
from netloom.data.raw.table import Table
from netloom.data.raw_dataset import RawDataset, RawTarget

VIEWS = ("picture", "series", "columns")


def guess_view(shape: tuple[int, ...], dtype: str) -> str:
    """Return what the rows of an array of this shape and dtype probably are."""
    if len(shape) == 4:
        return "picture"
    if len(shape) == 3:
        is_byte = np.dtype(dtype).kind in "iu" and np.dtype(dtype).itemsize == 1
        return "picture" if is_byte or (shape[1] == shape[2] and shape[1] >= 8) else "series"
    return "columns"


def dataset_kind(shape: tuple[int, ...], view: str, rate: int) -> str:
    """Return the kind of a dataset of arrays in the list of datasets, such as "image"."""
    kind = {"picture": "image", "series": "series"}.get(view, "table")
    return "audio" if kind == "series" and _is_sound(shape, rate) else kind


def _is_sound(shape: tuple[int, ...], rate: int) -> bool:
    """Return whether series of this shape, with all rows, are sounds."""
    return rate > 0 and shape[2:] in ((), (1,))


def dataset_of(inputs: np.ndarray, view: str, target_fields: RawTarget, rate: int = 0) -> RawDataset:
    """Arrays of rows as images, series or columns; series of one channel are sounds if they have a `rate` in Hz.

    Raises:
        DataError: The arrays have the wrong number of axes.
    """
    if view == "picture":
        pixels, top = as_images(inputs)
        return Images(name="image", pixels=pixels, top=top, **target_fields)
    if view == "series":
        if inputs.ndim not in (2, 3):
            raise DataError(f"Series need steps and channels; these rows have the shape {inputs.shape[1:]}.")
        windows = inputs if inputs.ndim == 3 else inputs[:, :, None]
        if _is_sound(windows.shape, rate):
            sounds = np.asarray(windows, dtype=np.float32)
            return Series(name="sound", windows=sounds, channels=("sound",), rate=rate, **target_fields)
        channels = tuple(f"channel {channel}" for channel in range(1, windows.shape[2] + 1))
        return Series(name="series", windows=np.asarray(windows, dtype=np.float32), channels=channels, **target_fields)
    flat = inputs.reshape(len(inputs), -1)
    if flat.shape[1] > MAX_COLUMNS:
        raise DataError(
            f"These rows have {flat.shape[1]:,} numbers, too many for columns; read them as images or series."
        )
    columns = {
        f"x{channel}": np.asarray(flat[:, channel - 1], dtype=np.float64) for channel in range(1, flat.shape[1] + 1)
    }
    return Table(name="features", numbers=columns, **target_fields)


def as_images(inputs: np.ndarray) -> tuple[np.ndarray, float]:
    """Return images (R, C, H, W), and the value of white."""
    if inputs.ndim == 2:
        side = round(inputs.shape[1] ** 0.5)
        if side * side != inputs.shape[1]:
            raise DataError(f"Rows of {inputs.shape[1]:,} numbers are not square images; read them as columns.")
        inputs = inputs.reshape(len(inputs), side, side)
    if inputs.ndim == 3:
        inputs = inputs[:, None]  # (R, H, W) -> (R, 1, H, W)
    elif inputs.ndim == 4 and inputs.shape[3] in (1, 3, 4) and inputs.shape[1] not in (1, 3):
        inputs = inputs.transpose(0, 3, 1, 2)  # (R, H, W, C) -> (R, C, H, W)
    if inputs.ndim != 4 or not inputs.size:
        raise DataError(
            f"Images need a height, a width and optionally channels; these rows have the shape {inputs.shape[1:]}."
        )
    top = float(inputs.max())
    # uint8 has the range of bytes even if no pixel is white
    if inputs.dtype == np.uint8 or 1 < top <= 255:
        return inputs, 255.0
    return inputs, 1.0 if top <= 1 else top


def displayed(picture: np.ndarray, top: float) -> np.ndarray:
    """Return an image (C, H, W) as bytes (H, W, C) or (H, W); `top` is the value of white."""
    bright = (np.clip(picture / top, 0, 1) * 255).astype(np.uint8)
    return bright[0] if len(bright) != 3 else bright.transpose(1, 2, 0)
