"""The data.yaml of Ultralytics beside the text files of YOLO: the names of the classes, and the split.

https://docs.ultralytics.com/datasets/detect/#ultralytics-yolo-format
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.splits.given_splits import TRAIN, is_split, part_of, path_of
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.boxes.box_annotations import Annotations, class_name
from netloom.data.uploads.files.members import composed
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_index import ImageIndex

MAX_NAMES_BYTES = 2**18
_EMPTY = ("", "~", "null", "Null", "NULL")  # the ways of YAML to write no value
Path = tuple[str, ...]


@dataclass(frozen=True)
class DataYaml:
    """A file and its content, in which all cells are texts."""

    name: str
    content: Mapping[str, Any]

    @property
    def has_keypoints(self) -> bool:
        """Whether lines have keypoints after the box."""
        return "kpt_shape" in self.content

    def class_names(self) -> dict[int, str]:
        """Return the names of the classes by their index; the file has a list of names, or names by their index.

        Raises:
            DataError: They are something else.
        """
        names = self.content.get("names") or {}
        numbered = dict(enumerate(names)) if isinstance(names, list) else names
        if (
            not isinstance(numbered, dict)
            or not all(re.fullmatch(r"\d{1,9}", str(index)) for index in numbered)
            # Lists in lists can grow without end when they are written as texts
            or not all(isinstance(value, str) for value in numbered.values())
        ):
            raise DataError(f"'names' in {self.name[-80:]!r} has to be a list of names, or names by their index.")
        return {
            int(index): class_name(value, f"Class {index} in {self.name[-80:]!r}") for index, value in numbered.items()
        }

    def parts(self, source: Source, images: ImageIndex, annotations: Annotations) -> dict[str, int]:
        """Return the part of the split of each image in the folders and lists of the file; {} if it states no split.

        Raises:
            DataError: A part has no folder or list, an image is in two parts, or the name of a folder or list is
                ambiguous.
        """
        finder, part_of_image = _Finder(self, source, images, annotations), dict[str, int]()
        stated, missing = dict[str, set[str]](), list[str]()
        # Training comes first, so that parts with its images are left out, and not training itself
        for key in sorted(filter(_is_part, self.content), key=lambda key: part_of(key) or TRAIN):
            images_by_entry = {entry: finder.images_of(entry) for entry in self._entries(key)}
            missing += [f"{key!r} names {entry[-80:]!r}" for entry, files in images_by_entry.items() if not files]
            files = set[str]().union(*images_by_entry.values())
            equal = next((earlier for earlier, others in stated.items() if files and files == others), None)
            if equal is not None:
                annotations.notes.append(
                    f"{key!r} and {equal!r} in {self.name[-80:]!r} name the same images; {key!r} was left out."
                )
                continue
            stated[key] = files
            for file in sorted(files):
                if file in part_of_image:
                    raise DataError(
                        f"{self.name[-80:]!r} puts {file[-80:]!r} into two parts of the split, as {key!r} has images "
                        "of another one; name other folders, or lists of the images of each part."
                    )
                part_of_image[file] = int(part_of(key) or TRAIN)
        has_split = is_split(part_of_image.values())
        if missing:
            instead = "" if has_split else "; only folders and lists named train, valid and test can state the split"
            annotations.notes.append(f"{missing[0]} in {self.name[-80:]!r}, where no image was found{instead}.")
        return part_of_image if has_split else {}

    def _entries(self, key: str) -> list[str]:
        """Return the folders and lists of a part.

        Raises:
            DataError: The part has something else.
        """
        entries = self.content[key] if isinstance(self.content[key], list) else [self.content[key]]
        # Lists in lists can grow without end when they are written as texts
        if not all(isinstance(entry, str) for entry in entries):
            raise DataError(
                f"{key!r} in {self.name[-80:]!r} has to be a folder or a list of images, or several of them."
            )
        return [entry for entry in entries if entry.strip() not in _EMPTY]


class _Finder:
    """Finds the images of folders and lists, whose paths are relative to the file or to its `path`, or are those of
    another computer."""

    def __init__(self, described: DataYaml, source: Source, images: ImageIndex, annotations: Annotations) -> None:
        self._name, self._source, self._images, self._annotations = described.name, source, images, annotations
        self._root = _normalized(path_of(described.name)[:-1])
        base = described.content.get("path")
        self._base = _normalized(path_of(base)) if isinstance(base, str) and base.strip() else ()
        self._folders: dict[Path, list[str]] = {}
        for file in images.files:
            path = _normalized(path_of(file))
            for end in range(len(path)):
                self._folders.setdefault(path[:end], []).append(file)
        self._lists = {_normalized(path_of(name)): name for name in source.members.of(file_types.TEXT)}

    def images_of(self, entry: str) -> set[str]:
        """Return the images of a folder or a list; none if it is missing.

        Raises:
            DataError: Several folders or lists have this name.
        """
        path = _normalized(path_of(entry.strip()))
        if not path or not path[-1].endswith(".txt"):
            folder = self._match(entry, path, self._folders)
            return set() if folder is None else {*self._folders[folder]}
        listed = self._match(entry, path, self._lists)
        return set() if listed is None else self._of_list(self._lists[listed])

    def _match(self, entry: str, path: Path, candidates: Mapping[Path, object]) -> Path | None:
        for start in (self._base, ()):
            exact = _resolved((*self._root, *start, *path))
            if exact in candidates:
                return exact
        # A path of another computer or above the upload ends like one of the upload; a relative path is matched whole
        is_elsewhere = PurePosixPath(entry.replace("\\", "/")).is_absolute() or re.match(r"[A-Za-z]:", entry)
        parts = _without_parents((*self._base, *path))
        for length in range(len(parts), 0 if is_elsewhere else len(_without_parents(path)) - 1, -1):
            ends = [item for item in candidates if length and item[-length:] == parts[-length:]]
            if len(ends) > 1:
                raise DataError(
                    f"{self._name[-80:]!r} names {entry[-80:]!r}, but there are {'/'.join(ends[0])[-80:]!r} and "
                    f"{'/'.join(ends[1])[-80:]!r}; write more of its path."
                )
            if ends:
                return ends[0]
        return None

    def _of_list(self, name: str) -> set[str]:
        text, _ = decode_text(self._source.members.read(name), name)
        files = set[str]()
        for line in filter(None, map(str.strip, text.splitlines())):
            file = self._images.find(line, name)
            if file is None:
                self._annotations.tally.add("Images that are missing", repr(line[-80:]))
            else:
                files.add(file)
        return files


def data_yaml(source: Source) -> DataYaml | None:
    """Return the first file with names of classes, or else with the parts of a split, or None; cached.

    Raises:
        DataError: A YAML file is invalid.
    """
    described: DataYaml | None = source.once("data.yaml", lambda: _data_yaml(source))
    return described


def _data_yaml(source: Source) -> DataYaml | None:
    files = [name for name in source.names if name.lower().endswith((".yaml", ".yml"))]
    contents = [DataYaml(name, _content(source, name)) for name in files]
    with_names = (item for item in contents if item.content.get("names"))
    return next(with_names, next((item for item in contents if any(map(_is_part, item.content))), None))


def _content(source: Source, name: str) -> dict[str, Any]:
    text, _ = decode_text(source.members.read(name, MAX_NAMES_BYTES), name)
    try:
        content = yaml.load(text, Loader=yaml.BaseLoader)  # reads all cells as texts: "no" may be a class
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())[:120]
        raise DataError(f"{name[-80:]!r} is not valid YAML: {problem}; correct it, or remove it.") from None
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}


def _is_part(key: str) -> bool:
    return part_of(key) is not None


def _normalized(path: Sequence[str]) -> Path:
    return tuple(composed(part).casefold() for part in path if part not in ("/", "."))


def _without_parents(path: Sequence[str]) -> Path:
    return tuple(part for part in path if part != "..")


def _resolved(path: Sequence[str]) -> Path:
    """Resolve ".." in a path, which cannot lead out of the upload."""
    steps: list[str] = []
    for part in path:
        steps = steps[:-1] if part == ".." else [*steps, part]
    return tuple(steps)
