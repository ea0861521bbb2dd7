"""The objects in images as annotation files state them, before they are brought to shares of the image."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from netloom.core.errors import DataError
from netloom.data.splits.given_splits import is_split, part_in, path_of

Sides = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max


class Tally:
    """Counts what was left out or corrected, and remembers the first place of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add(self, what: str, where: str, count: int = 1) -> None:
        """Count something, such as "Boxes of crowds left out", somewhere, such as "in 'a.json'"."""
        self._counts[what] = self._counts.get(what, 0) + count
        self._first.setdefault(what, where)

    def notes(self) -> list[str]:
        """Return a sentence for each."""
        return [
            f"{what}: {count:,}, {'such as ' * (count > 1)}{self._first[what]}." for what, count in self._counts.items()
        ]


@dataclass
class ImageObjects:
    """The classes and the sides of the objects in one image.

    Attributes:
        origin: The file that states them.
        size: The width and the height to which sides in pixels refer; None for those of the image file.
    """

    origin: str
    size: tuple[float, float] | None = None
    classes: list[str] = field(default_factory=list)
    sides: list[Sides] = field(default_factory=list)

    def add(self, label: str, sides: Sides) -> None:
        self.classes.append(label)
        self.sides.append(sides)


@dataclass
class Annotations:
    """The objects in the images of an upload.

    Attributes:
        images: By image file. Those without objects have an entry, too; images without an entry are unlabeled.
        in_shares: Whether sides are shares of the width and the height, and not pixels.
        parts: The part of the split of each image, if the annotation files state it.
    """

    images: dict[str, ImageObjects] = field(default_factory=dict)
    in_shares: bool = False
    parts: dict[str, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    notes: list[str] = field(default_factory=list)

    def classes(self) -> set[str]:
        return {label for objects in self.images.values() for label in objects.classes}

    def split_by_origin(self) -> None:
        """Split the images by the files that annotate them, if these are named after the parts of a split."""
        parts = {objects.origin: _part_of_file(objects.origin) for objects in self.images.values()}
        if is_split(parts.values()):
            # `is_split` has ruled out None; the default only satisfies the type checker
            self.parts = {image: parts[objects.origin] or 0 for image, objects in self.images.items()}

    def start(self, image: str, origin: str, size: tuple[float, float] | None = None) -> ImageObjects:
        """Return the objects of an image that one file annotates.

        Raises:
            DataError: Another file does so, too.
        """
        if image in self.images:
            if self.images[image].origin == origin:
                raise DataError(f"{origin[-80:]!r} lists the image {image[-80:]!r} twice; join its entries.")
            raise DataError(
                f"{self.images[image].origin[-80:]!r} and {origin[-80:]!r} both have the objects of {image[-80:]!r}; "
                "remove or rename one of them."
            )
        self.images[image] = ImageObjects(origin, size)
        return self.images[image]


def _part_of_file(name: str) -> int | None:
    """Return the part that a file or its folder names, such as instances_val2017.json or train/boxes.json."""
    *folders, file = path_of(name)
    part = part_in(PurePosixPath(file).stem)
    return part_in(folders[-1]) if part is None and folders else part


def class_name(value: object, where: str) -> str:
    """Return the name of a class in one line.

    Raises:
        DataError: It is empty.
    """
    name = " ".join(str(value).split())[:100] if value is not None else ""
    if not name:
        raise DataError(f"{where} has no name of a class; add it, or remove the entry.")
    return name


def finite(values: Iterable[object], where: str, expected: str) -> list[float]:
    """Return numbers, which may be written as texts.

    Raises:
        DataError: A value is not a finite number.
    """
    numbers = []
    for value in values:
        try:
            number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            received = "an empty number" if value is None else repr(str(value)[:40])
            raise DataError(f"{where} has {received} in its box; expected {expected}.")
        numbers.append(number)
    return numbers


def stated_size(width: object, height: object) -> tuple[float, float] | None:
    """Return the size of an image as its annotations state it; None if they do not, or state 0 as some programs do."""
    try:
        size = float(width), float(height)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return size if all(math.isfinite(side) and side > 0 for side in size) else None
