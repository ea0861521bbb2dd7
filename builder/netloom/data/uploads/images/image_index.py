"""The images that annotation files name, by whole paths, by their ends, or by the place of a file beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from netloom.core.errors import DataError
from netloom.data.splits.given_splits import part_in, path_of
from netloom.data.uploads.files.members import composed

# Words for the kind of the files in a folder: train_images and train_labels are both the place "train"
_KIND_WORDS = re.compile(
    r"(jpeg)?images?|imgs?|photos?|pictures?|labels?(?!l?ed)|annot(ation)?s?|xmls?|txts?|b?box(es)?|yolo|voc|coco"
)
_DEPTH = 8  # folders by which a file is found; more would take long for names of thousands of folders
_MAX_CANDIDATES = 500  # files of one name among which the nearest is searched
_STATING = 2  # the innermost folders, which can name the part of a split


def place_of(name: str) -> tuple[str, ...]:
    """Return the folders of a file without words for its kind, such as ("train",) for train/labels/1.txt."""
    folders = path_of(composed(name).casefold())[-1 - _DEPTH : -1]
    plain = (" ".join(re.findall(r"[^\W_]+", _KIND_WORDS.sub(" ", folder))) for folder in folders)
    return tuple(folder for folder in plain if folder)


class ImageIndex:
    """The image files of an upload."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = files
        self._by_path: dict[str, list[str]] = {}
        self._by_end: dict[str, list[str]] = {}
        self._by_place: dict[tuple[str, ...], list[str]] = {}
        self._found: dict[tuple[str, str], str | None] = {}
        for file in files:
            path = path_of(composed(file).casefold())
            stem = PurePosixPath(path[-1]).stem
            self._by_path.setdefault("/".join(path), []).append(file)
            for start in range(max(0, len(path) - _DEPTH), len(path)):
                for last in {path[-1], stem}:
                    self._by_end.setdefault("/".join((*path[start:-1], last)), []).append(file)
            self._by_place.setdefault((*place_of(file), stem), []).append(file)

    def find(self, name: str, origin: str) -> str | None:
        """Return the image that a file `origin` names, with or without folders and suffix; None if there is none.

        Images in the folder of the file come first, then those with most of its folders.

        Raises:
            DataError: It may be several images.
        """
        key = name, origin
        if key not in self._found:
            self._found[key] = self._find(composed(name.strip()), origin)
        return self._found[key]

    def beside(self, origin: str) -> str | None:
        """Return the image to which a file of the same name belongs, such as images/1.png to labels/1.txt, or None.

        Raises:
            DataError: It may be several images.
        """
        stem = PurePosixPath(path_of(composed(origin))[-1]).stem
        placed = self._by_place.get((*place_of(origin), stem.casefold()), [])
        return placed[0] if len(placed) == 1 else self.find(stem, origin)

    def _find(self, name: str, origin: str) -> str | None:
        path = [part for part in path_of(name.casefold()) if part not in ("/", ".", "..")][-_DEPTH:]
        inside = self._by_path.get("/".join((*path_of(composed(origin).casefold())[:-1], *path)), [])
        if len(inside) == 1:
            return inside[0]
        for start in range(len(path)):
            candidates = self._by_end.get("/".join(path[start:]), [])
            nearest = self._nearest(candidates, name, path[:-1], origin) if candidates else None
            if nearest is not None:
                return nearest
        return None

    def _nearest(self, candidates: list[str], name: str, folders: Sequence[str], origin: str) -> str | None:
        """Return the candidate in the same part of the split and with the most folders in common; None if all are in
        other parts."""
        if len(candidates) > _MAX_CANDIDATES:
            raise _ambiguous(name, origin, candidates)
        around = path_of(composed(origin).casefold())
        part = _part(folders) or _part((*around[:-1], PurePosixPath(around[-1]).stem))
        in_part = [file for file in candidates if not part or _part(path_of(file.casefold())[:-1]) in (None, part)]
        ranked: dict[tuple[bool, int], list[str]] = {}
        for file in in_part:
            shared = len({*path_of(composed(file).casefold())[:-1]} & {*folders, *around[:-1]})
            ranked.setdefault((composed(file).endswith(name), shared), []).append(file)
        best = ranked[max(ranked)] if ranked else []
        if len(best) > 1:
            raise _ambiguous(name, origin, best)
        return best[0] if best else None


def _part(folders: Sequence[str]) -> set[int] | None:
    """Return the parts of the split that the innermost folders name; None if they name none."""
    parts = {part for folder in folders[-_STATING:] if (part := part_in(folder)) is not None}
    return parts or None


def _ambiguous(name: str, origin: str, files: Sequence[str]) -> DataError:
    return DataError(
        f"{origin[-80:]!r} names the image {name[-80:]!r}, but there are {files[0][-80:]!r} and {files[1][-80:]!r}; "
        "add the folder to the name, or rename one of them."
    )
