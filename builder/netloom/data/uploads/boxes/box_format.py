"""The declaration of a format of files with the boxes of objects in images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import ClassVar

from netloom.core.registry import discover
from netloom.data import file_types
from netloom.data.uploads.boxes.box_annotations import Annotations
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_index import ImageIndex
from netloom.data.uploads.upload_kind import Answers, Question


class BoxFormat(ABC):
    """A format of annotation files.

    Attributes:
        title: The name that others use.
        needs_images: Whether files without images beside them are of another kind, such as a plain table.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs_images: ClassVar[bool] = True
    order: ClassVar[int]

    @abstractmethod
    def files(self, source: Source, images: ImageIndex) -> Sequence[str]:
        """Return files of this format, not necessarily all of them; none if the upload has another format."""

    @abstractmethod
    def read(self, source: Source, images: ImageIndex, answers: Answers) -> Annotations:
        """Return the objects of all images.

        Raises:
            DataError: A file is invalid.
        """

    def questions(self, source: Source, images: ImageIndex) -> list[Question]:
        """Return questions about the files of this format."""
        return []


@cache
def box_formats() -> dict[str, BoxFormat]:
    """All formats by name."""
    formats = discover(BoxFormat, "netloom.data.uploads.boxes.formats", order=lambda item: item.order)
    return {name: item() for name, item in formats.items()}


def image_index(source: Source) -> ImageIndex:
    """Return the images of an upload; cached."""
    index: ImageIndex = source.once("image index", lambda: ImageIndex(source.members.of(file_types.PICTURE)))
    return index


def formats_of(source: Source) -> list[BoxFormat]:
    """Return the formats of the boxes in an upload, the most likely first; cached.

    Raises:
        DataError: A file cannot be read.
    """
    formats: list[BoxFormat] = source.once("box formats", lambda: _formats_of(source))
    return formats


def _formats_of(source: Source) -> list[BoxFormat]:
    images = image_index(source)
    return [
        item
        for item in box_formats().values()
        if (images.files or not item.needs_images) and item.files(source, images)
    ]
