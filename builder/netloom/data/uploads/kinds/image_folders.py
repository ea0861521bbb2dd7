"""Images in folders, whose class is the name of the folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.progress import ProgressCallback
from netloom.data import file_types
from netloom.data.raw.images import Images
from netloom.data.raw_dataset import RawDataset
from netloom.data.settings.label_merging import spelling_notes
from netloom.data.splits.given_splits import part_in, refuse_as_classes
from netloom.data.uploads.boxes.misread_boxes import refuse_box_files
from netloom.data.uploads.file_labels.filetables import refuse_other_names, stated_parts
from netloom.data.uploads.file_labels.name_parts import ends_in_date
from netloom.data.uploads.files.members import PICTURE_SUFFIXES, parts_of
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_questions import (
    GRAY,
    SIZE,
    is_unlabeled,
    load_arrays,
    read_pictures,
    set_given_split,
    spread,
    stored_images,
    thumbnails,
    unlabeled_note,
)
from netloom.data.uploads.upload_kind import PREVIEWED, Answers, Question, Reader, StoredUpload, check_options
from netloom.data.uploads.upload_meta import UploadMeta

if TYPE_CHECKING:
    import pandas as pd


_NUMBERED = re.compile(r"([^\W\d_].*?)[ _.-]*\(?\d+\)?")  # cat.0, great_pyrenees_12
_FEWEST_NAMED = 4  # images of a class, on average
_MOSTLY_NAMED = 0.95  # the share of the images in a folder


class PictureFolders(Reader):
    """One folder per class."""

    name = "picture_folders"
    title = "Images in folders"
    about = (
        "A zip of images: the folder of an image is its class, such as cats/1.png and dogs/1.png, or the beginning of "
        "its name, such as cat.1.png and dog.1.png."
    )
    kind = "image"

    def likely(self, source: Source) -> float:
        images = _pictures(source)
        if len(set(_classes_and_parts(source, images)[0])) > 1:
            return 0.65 if _classes_by_name(source) else 0.7
        return (
            0.01 if source.members.of(file_types.PICTURE) and not source.alone else 0.0
        )  # low, but chosen if nothing else fits: `keep` explains what is missing

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        return [SIZE, GRAY]

    def learned(self, source: Source, answers: Answers) -> str:
        classes = sorted(set(_classes_and_parts(source, _pictures(source))[0]))
        return f"Predict the class of an image out of {len(classes)} classes: {', '.join(classes[:6])}" + (
            ", …" if len(classes) > 6 else "."
        )

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        every = _pictures(source)
        classes = dict(zip(every, _classes_and_parts(source, every)[0], strict=True))
        names = spread(every, PREVIEWED)
        return pd.DataFrame(
            {"image": thumbnails(source, names), "class": [classes[name] for name in names], "file": names}
        )

    def noted(self, source: Source, answers: Answers) -> list[str]:
        pictures = _pictures(source)
        labeled = set(pictures)
        left_out = [name for name in _all_pictures(source) if name not in labeled]
        spelled = spelling_notes(_classes_and_parts(source, pictures)[0])
        if _classes_by_name(source):
            example = parts_of(pictures[0])[-1]
            begin = begin_of_name(example)
            named = f"The class of an image is the beginning of its name, such as {begin!r} of {example!r}."
            return [*unlabeled_note(left_out), named, *spelled]
        return [*unlabeled_note(left_out), *_gathered_note(source, pictures), *spelled]

    def used_files(self, source: Source) -> Sequence[str]:
        return _pictures(source)

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        names = _pictures(source)
        labels, parts = _classes_and_parts(source, names)
        classes = sorted(set(labels))
        if len(classes) < 2:
            refuse_box_files(source, source.names)
        if not names:
            raise DataError(
                "The zip has no images (PNG, JPEG, BMP, GIF, WebP or TIFF) in folders, one folder per class."
            )
        if len(classes) < 2:
            refuse_other_names(source, names)
        refuse_as_classes([parts_of(name)[-2] for name in names] if len(classes) < 2 else classes, "picture")
        if len(classes) < 2:
            raise DataError(
                "The zip needs images in at least two folders, one per class, such as cats/1.png and dogs/1.png, or "
                "with names that begin with the class, such as cat.1.png and dog.1.png."
            )
        notes = self.noted(source, answers)
        read = read_pictures(source, names, progress, notes)
        labels = read.of(labels)
        classes = sorted(set(labels))
        numbers = {name: number for number, name in enumerate(classes)}
        arrays: dict[str, Any] = {"pixels": read.pixels, "labels": np.array([numbers[label] for label in labels])}
        if parts is not None:
            arrays["parts"] = parts[read.rows]
        progress(0.88, "Saving them")
        np.savez(folder / "images.npz", **arrays)
        summary = f"{len(labels):,} images of {len(classes)} classes"
        side = read.pixels.shape[1]
        return StoredUpload(len(labels), summary, notes=notes, extra={"classes": classes, "side": side})

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        chosen = check_options(options, [SIZE, GRAY], "", "Images")
        arrays = load_arrays(folder)
        raw = Images(
            name="image",
            target=arrays["labels"].astype(np.int64),
            target_kind="class",
            target_name="class",
            classes=tuple(meta["classes"]),
            **stored_images(arrays["pixels"], chosen.optional_whole("size"), chosen.optional_switch(GRAY.name)),
        )
        set_given_split(raw, arrays.get("parts"))
        return raw


def _all_pictures(source: Source) -> list[str]:
    """Return all images, also files that are only named like images, so that reading reports the damage."""
    return [
        name
        for name in source.names
        if name.lower().endswith(PICTURE_SUFFIXES) or source.members.form(name) == file_types.PICTURE
    ]


def _pictures(source: Source) -> list[str]:
    """Return the images with a class: those in folders, but not in one that says that they have none; cached."""
    pictures: list[str] = source.once("labeled pictures", lambda: _labeled_pictures(source))
    return pictures


def _classes_by_name(source: Source) -> dict[str, str]:
    """Return the classes of images named after them, such as cat.1.png; {} if folders are the classes; cached."""
    classes: dict[str, str] = source.once("classes by name", lambda: _named_classes(source))
    return classes


def _named_classes(source: Source) -> dict[str, str]:
    pictures = [name for name in _all_pictures(source) if not is_unlabeled(name)]
    folders = {name: parts_of(name)[:-1] for name in pictures}
    innermost = {folder[-1] for folder in folders.values() if folder}
    if len([folder for folder in innermost if part_in(folder) is None]) > 1:
        return {}
    classes = {name: label for name in pictures if (label := begin_of_name(name))}
    # Images of a test without labels are in a folder of their own
    labeled_folders = {folders[name] for name in classes}
    in_them = [name for name in pictures if folders[name] in labeled_folders]
    count = len({*classes.values()})
    is_usual = 1 < count <= len(classes) / _FEWEST_NAMED and len(classes) >= _MOSTLY_NAMED * len(in_them)
    return classes if is_usual and not all(map(ends_in_date, {*classes.values()})) else {}


def begin_of_name(name: str) -> str:
    """Return the beginning of the name of a file, without the number at its end; "" without a number or beginning."""
    match = _NUMBERED.fullmatch(PurePosixPath(parts_of(name)[-1]).stem)
    return match[1][:100] if match else ""


def _labeled_pictures(source: Source) -> list[str]:
    if by_name := _classes_by_name(source):
        return list(by_name)
    in_folders = [name for name in _all_pictures(source) if len(parts_of(name)) > 1 and not is_unlabeled(name)]
    classes = _classes_and_parts(source, in_folders)[0]
    if len({*classes} - {""}) < 2:
        return in_folders
    # The images of a test whose folder has no folders of classes, as in many competitions, have no labels either, nor
    # have those beside the folders of all classes
    parts = stated_parts(source, in_folders)
    folders = {name: parts.remainder(name)[:-1] for name, label in zip(in_folders, classes, strict=True) if label}
    around = _around_all({*folders.values()})
    return [name for name, folder in folders.items() if folder != around]


def _around_all(folders: set[tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return the folder that contains all others, if these are at least two."""
    shortest = min(folders, key=len)
    is_around = len(folders) > 2 and all(folder[: len(shortest)] == shortest for folder in folders)
    return shortest if is_around else None


def _gathered_note(source: Source, names: Sequence[str]) -> list[str]:
    """Return a note on a class with images of several folders, as the outer folders may be the classes instead."""
    parts = stated_parts(source, names)
    folders: dict[str, set[str]] = {}
    for name in names:
        folder = parts.remainder(name)[:-1]
        folders.setdefault(folder[-1] if folder else "", set()).add("/".join(folder))
    first = next(((name, sorted(paths)) for name, paths in sorted(folders.items()) if len(paths) > 1), None)
    if first is None:
        return []
    return [
        f"The class of an image is its innermost folder: {first[0][:60]!r} has the images of {len(first[1]):,} "
        f"folders, such as {first[1][0][-60:]!r} and {first[1][1][-60:]!r}."
    ]


def _classes_and_parts(source: Source, names: Sequence[str]) -> tuple[list[str], np.ndarray | None]:
    """Return the classes of images, their innermost folders other than parts of a split, and the parts (R,), if any."""
    parts, by_name = stated_parts(source, names), _classes_by_name(source)
    if by_name:
        return [by_name.get(name, "") for name in names], parts.of(names)
    return [(parts.remainder(name)[-2:-1] or ("",))[0][:100] for name in names], parts.of(names)
