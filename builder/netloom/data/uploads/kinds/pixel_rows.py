"""Images as rows of a table: a column for each pixel, as in MNIST as CSV, or a text of all pixels, as in FER-2013."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.data.raw.images import Images
from netloom.data.raw_dataset import RawDataset
from netloom.data.tables.target_guess import are_numbered, likely_targets, ranked_targets
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.tabular import TASK, Tabular, known_rows, numeric, parts_of_rows, target_of, textual
from netloom.data.uploads.upload_kind import Answers, Question
from netloom.modalities.encoding.image_field import PIXEL_NAME, square_side

if TYPE_CHECKING:
    import pandas as pd

_NO_VALUES = re.compile(r"[^\d\s]|\d{4}", re.ASCII)
_CHANNELS = (1, 3)
_FEWEST, _FEWEST_UNNAMED = 16, 196  # pixels
_MOST_OTHERS = 4  # columns beside the pixels: the target, a split, an id
_BRIGHTEST = 255
_MOST_CLASSES = 128  # a pixel of photos has more values
_SHADES = 16  # more shades than this are of 8 bits
_SAMPLE = 50


class PixelRows(Tabular):
    """Rows with the pixels of an image and its class."""

    name = "pixel_rows"
    title = "Images in a table"
    about = (
        "A table with an image in each row, as whole numbers from 0 to 255: a column for each pixel of a square, such "
        "as pixel0 to pixel783, or a column with all pixels and blanks between them."
    )
    kind = "image"
    target_question = "target"
    specific_questions = (Question("target", "Column to predict", "choice", "The target of an image"), TASK)

    def suits(self, table: pd.DataFrame) -> float:
        pixels = _pixel_columns(table)
        return 0.7 if pixels and len(pixels) < table.shape[1] else 0.0

    def can_predict(self, source: Source, column: str) -> bool:
        pixels = _pixel_columns(self._table(source, {}), column)
        return bool(pixels) and column not in pixels

    def guesses(self, table: pd.DataFrame, answers: Answers) -> JsonObject:
        return {"target": _targets(table)[0]}

    def likely_answers(self, table: pd.DataFrame) -> dict[str, tuple[str, ...]]:
        return {"target": tuple(_targets(table))}

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict {answers.get('target')!r} from an image."

    def from_table(
        self, table: pd.DataFrame, options: Chosen, title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        target = options.choice("target")
        columns = _pixel_columns(table, target)
        if target in columns:
            raise DataError(f"{target!r} holds pixels of the images; choose another column to predict.")
        if not columns:
            raise DataError(
                f"{title[:60]!r} has no columns of pixels: whole numbers from 0 to {_BRIGHTEST}, as many as a square "
                "image has, such as 784."
            )
        warnings: list[str] = []
        labeled = known_rows(table, [*columns, target], warnings)
        pixels = _pixels(labeled, columns)
        channels, side = _shape(pixels.shape[1])
        # (R, H * W * C) -> (R, C, H, W)
        images = np.ascontiguousarray(pixels.reshape(len(pixels), side, side, channels).transpose(0, 3, 1, 2))
        brightest = int(pixels.max(initial=1))
        return Images(
            name="image",
            pixels=images,
            top=float(_BRIGHTEST if brightest > _SHADES else brightest),
            warnings=warnings,
            given=parts_of_rows(parts, labeled),
            **target_of(labeled[target], options.optional_choice("task"), title),
        )


def _targets(table: pd.DataFrame) -> list[str]:
    """Return the columns beside the pixels, the likeliest target first."""
    pixels = {*_pixel_columns(table)}
    others = [name for name in table.columns if str(name) not in pixels]
    return likely_targets(table[others]) if others else [str(table.columns[0])]


def _pixel_columns(table: pd.DataFrame, target: str = "") -> list[str]:
    """Return the columns of pixels: one for each, or one of texts with all; [] if there are none.

    Args:
        target: The chosen target, which tells the class from the pixels in a table without names.
    """
    if len(text := [name for name in textual(table) if _holds_pixels(table[name])]) == 1:
        return text
    numbers = [name for name in numeric(table) if table[name].dtype.kind in "iu"]
    named = [name for name in numbers if PIXEL_NAME.fullmatch(name.strip())]
    is_numbered = are_numbered([str(name) for name in table.columns])
    if is_numbered and len(numbers) == table.shape[1] > _FEWEST_UNNAMED:
        ends = [numbers[0], numbers[-1]]
        label = target if target in ends else _class_column(table[ends])
        named = [name for name in numbers if name != label]
        if not _is_square(len(named), _FEWEST_UNNAMED) or int(table[named].to_numpy().max(initial=0)) <= _SHADES:
            return []
    if not _is_square(len(named), _FEWEST) or table.shape[1] - len(named) > _MOST_OTHERS:
        return []
    values = table[named].to_numpy()
    return named if values.min(initial=0) >= 0 and values.max(initial=0) <= _BRIGHTEST else []


def _class_column(ends: pd.DataFrame) -> str:
    """Return which of the first and the last column of a table without names has the classes, not a pixel."""
    values = {str(name): np.unique(ends[name].to_numpy()) for name in ends.columns}
    numbered = [
        name
        for name, distinct in values.items()
        if 2 <= len(distinct) <= _MOST_CLASSES and distinct[0] in (0, 1) and np.ptp(distinct) == len(distinct) - 1
    ]
    return max(numbered, key=lambda name: len(values[name])) if numbered else ranked_targets(ends)[0]


def _holds_pixels(values: pd.Series) -> bool:
    """Return whether the cells of a column are equally many whole numbers of a square image, with blanks between."""
    cells = [_values_of(str(cell)) for cell in values.dropna().head(_SAMPLE)]
    counts = {0 if cell is None else len(cell) for cell in cells}
    return len(counts) == 1 and _is_square(counts.pop(), _FEWEST)


def _values_of(cell: str) -> np.ndarray | None:
    """Return the pixels in a text; None if it has anything but whole numbers up to 255 with blanks between them."""
    if _NO_VALUES.search(cell) or not cell.strip():
        return None
    values = np.fromstring(cell, dtype=np.int64, sep=" ")
    return values.astype(np.uint8) if values.max(initial=0) <= _BRIGHTEST else None


def _is_square(count: int, fewest: int) -> bool:
    return count >= fewest and any(square_side(count, channels) for channels in _CHANNELS)


def _shape(count: int) -> tuple[int, int]:
    """Return the channels and the side of a square image with this number of values."""
    return next((channels, side) for channels in _CHANNELS if (side := square_side(count, channels)))


def _pixels(table: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """Return the pixels (R, values) as uint8.

    Raises:
        DataError: A text has another number of pixels than the first, or one that is not a whole number up to 255.
    """
    if len(columns) > 1:
        return np.asarray(table[columns].to_numpy(), dtype=np.uint8)
    rows: list[np.ndarray] = []
    for number, cell in enumerate(table[columns[0]], 1):
        values = _values_of(str(cell))
        if values is None or (rows and len(values) != len(rows[0])):
            raise DataError(
                f"The image in row {number:,} of {columns[0]!r} has {len(str(cell).split()):,} values; expected "
                f"{len(rows[0]) if rows else 0:,} whole numbers from 0 to {_BRIGHTEST}, as in the rows before."
            )
        rows.append(values)
    return np.stack(rows)
