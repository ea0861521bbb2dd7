"""Reads the masks of images: one after the other, then their values as class indices."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from netloom.core.errors import DamagedFileError, DataError
from netloom.core.progress import ProgressCallback
from netloom.data.images import MaskPixels, colored, mask_pixels, resized_mask
from netloom.data.mask_values import MAX_CLASSES, VOID, MaskValues, has_void, void_note
from netloom.data.uploads.files.damaged import DamagedFiles
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.void import chosen_void
from netloom.data.uploads.upload_kind import Answers

_VOC_VOID = 0xE0E0C0  # the color of void pixels in Pascal VOC
_ORIENTATION = 0x0112  # the tag of EXIF
_Turn = Callable[[np.ndarray], np.ndarray]
_QUARTER_TURNS: Mapping[int, _Turn] = {
    5: lambda mask: mask.T,
    6: lambda mask: np.rot90(mask, -1),
    7: lambda mask: np.rot90(mask, 2).T,
    8: np.rot90,
}


class MaskReader:
    """Collects masks, resized to a square of `side` pixels.

    The numbers in files with palettes are class indices if all palettes agree, as in Pascal VOC. Programs that choose a
    palette per file number its colors in any order; masks are then read by color.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._masks: list[np.ndarray] = []  # int32, as colors have 24 bits
        self._colors: list[dict[int, int] | None] = []
        self._values: list[list[int]] = []
        self._distinct: set[int] = set()
        self._shades = [0, 0]  # masks with gray values of 0 and 1, and of 0 and 255

    def read_all(
        self, source: Source, pairs: Sequence[tuple[str, str]], progress: ProgressCallback, notes: list[str]
    ) -> list[int]:
        """Read the masks of pairs of an image and a mask; return the indices of the pairs whose mask is not damaged.

        Raises:
            DataError: A mask has another size than its image, there are too many classes, or too many damaged masks.
        """
        rows, damaged = list[int](), DamagedFiles(source, len(pairs), "mask")
        for index, (image_name, mask_name) in enumerate(pairs):
            if index % 64 == 0:
                progress(0.85 + 0.1 * index / len(pairs), f"Reading mask {index + 1:,} of {len(pairs):,}")
            try:
                self.read(source, image_name, mask_name)
                rows.append(index)
            except DamagedFileError as error:
                damaged.add(mask_name, error)
        notes += damaged.notes()
        return rows

    def read(self, source: Source, image_name: str, mask_name: str) -> None:
        """Read the mask of an image.

        Raises:
            DataError: It is unreadable, has another size than its image, or there are too many classes.
        """
        pixels = mask_pixels(source.members.read(mask_name), mask_name)
        values = np.unique(pixels.values).tolist()
        self._distinct.update(values)
        if len(self._distinct) > MAX_CLASSES:
            raise DataError(
                f"The masks have more than {MAX_CLASSES} different values (up to {mask_name[:80]!r}), too many for "
                "classes; a mask needs one value or color per class, without antialiasing."
            )
        turned = _turned(pixels, source.members.read(image_name), image_name, mask_name)
        self._masks.append(resized_mask(turned, self._side).astype(np.int32))
        self._values.append(values)
        self._colors.append(None if pixels.colors is None else dict(pixels.colors))
        if not pixels.are_colors and 1 in values and max(values) == 1:
            self._shades[0] += 1
        if not pixels.are_colors and 255 in values and {*values} <= {0, 255}:
            self._shades[1] += 1

    def numbered(self, answers: Answers, notes: list[str]) -> tuple[np.ndarray, MaskValues]:
        """Return the class indices (R, side, side), and the values of the classes; adds notes on odd values.

        `answers` are those to `VOID_QUESTIONS`.

        Raises:
            DataError: All masks have the same value, or none has the void value.
        """
        void = chosen_void(answers, None)
        are_colors = self._are_colors()
        if are_colors:
            self._masks = list(map(colored, self._masks, self._colors))
            values = map(colored, map(np.array, self._values), self._colors)
            self._distinct = {value for colors in values for value in colors.tolist()}
            if any(self._colors):
                notes.append("The masks number their colors differently, so that they were read by color.")
            if _VOC_VOID in self._distinct and void is None:
                notes.append(
                    f"The color #{_VOC_VOID:06x}, which marks void pixels in Pascal VOC, is a class here. If it is "
                    f"void, add the data again with the option void_value={_VOC_VOID}."
                )
        elif has_void(self._distinct) and any(map(has_void, self._values)):
            void = chosen_void(answers, VOID)
        elif all(self._shades) and {1, 255} <= self._distinct:
            notes.append(
                f"In {self._shades[0]:,} masks the largest value is 1, in {self._shades[1]:,} others it is 255, which "
                "are two classes; if they are one, save all masks with the same values."
            )
        mask_values = MaskValues.of(self._distinct, void, are_colors)
        # Only now, because the values of all masks are known
        numbered = np.stack(list(map(mask_values.indices, self._masks)))
        if mask_values.void is not None:
            notes.append(void_note(mask_values.void, float((numbered < 0).mean())))
        return numbered, mask_values

    def _are_colors(self) -> bool:
        """Return whether the masks are compared by color: some files have no indices, or palettes disagree."""
        if any(colors is not None and not colors for colors in self._colors):
            return True
        color_of: dict[int, int] = {}
        value_of: dict[int, int] = {}
        for colors in self._colors:
            # Without different colors for its values, a palette says nothing
            if colors and len({*colors.values()}) == len(colors):
                for value, color in colors.items():
                    if color_of.setdefault(value, color) != color or value_of.setdefault(color, value) != value:
                        return True
        return False


def _turned(pixels: MaskPixels, image: bytes, image_name: str, mask_name: str) -> np.ndarray:
    """Return a mask in the orientation in which its image is read and displayed, which can be noted in the image only.

    Raises:
        DataError: The mask has another size than its image.
    """
    width, height, orientation = _size(image, image_name)
    shown = (width, height) if orientation in _QUARTER_TURNS else (height, width)
    if pixels.values.shape == shown:
        return pixels.values
    if pixels.values.shape == (height, width):
        return np.asarray(_QUARTER_TURNS[orientation](pixels.values))
    mask_height, mask_width = pixels.values.shape
    raise DataError(
        f"{image_name[:80]!r} has {shown[1]} × {shown[0]} pixels, but its mask {mask_name[:80]!r} has "
        f"{mask_width} × {mask_height}; both need the same size; save the mask again, or remove both."
    )


def _size(content: bytes, name: str) -> tuple[int, int, int]:
    """Return the stored width and height of an image, and the orientation in which it is displayed, from 1 to 8."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            return (*image.size, int(image.getexif().get(_ORIENTATION, 1)))
    except Exception:
        raise DataError(f"{name[:100]!r} is not a readable image; remove it from the zip.") from None
