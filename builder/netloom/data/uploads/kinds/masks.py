"""Images with a mask each: a class for every pixel."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DamagedFileError, DataError
from netloom.core.plain_json import JsonObject
from netloom.core.progress import ProgressCallback
from netloom.data import file_types
from netloom.data.images import GRAY_COLOR, data_uri, mask, resized_mask
from netloom.data.raw.images import Images
from netloom.data.raw_dataset import RawDataset
from netloom.data.splits.given_splits import part_in
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.file_labels.filetables import stated_parts
from netloom.data.uploads.files.members import parts_of
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_questions import (
    GRAY,
    IMAGE_SIDE,
    SIZE,
    load_arrays,
    read_pictures,
    set_given_split,
    stored_images,
    thumbnails,
)
from netloom.data.uploads.images.mask_reader import MaskReader
from netloom.data.uploads.images.void import VOID_QUESTIONS
from netloom.data.uploads.upload_kind import PREVIEWED, Answers, Question, Reader, StoredUpload, check_options
from netloom.data.uploads.upload_meta import UploadMeta, values_meta, values_of_meta

if TYPE_CHECKING:
    import pandas as pd

_FOLDER = re.compile(r"(?i:.*(mask|label(?!l?ed)|annot|seg|gt|ground.?truth|target).*)")
_ENDING = re.compile(r"(?i:[_. -]*(mask|masks|label|labels|seg|segmentation|gt|labelids|annotation)s?)$")
_IMAGE_ENDING = re.compile(r"(?i:[_. -]*(image|img|rgb|photo|leftimg8bit|sat))$")
_KIND_WORDS = re.compile(
    r"images?|imgs?|photos?|rgb|leftimg8bit|masks?|labels?(?!l?ed)|annot(ation)?s?|segmentations?|seg|gt|ground.?truth|targets?"
)
_NAMES = ("classes.txt", "labels.txt", "names.txt", "class_names.txt")


class Masks(Reader):
    """Images and masks of the same names."""

    name = "masks"
    title = "Images and masks"
    about = (
        "A zip of images and PNG masks of the same names, in folders such as images and masks, or with _mask after the "
        "name; the values of a mask are class indices, gray values or colors."
    )
    kind = "image"

    def likely(self, source: Source) -> float:
        pictures = source.members.of(file_types.PICTURE)
        pairs = paired(pictures)
        if not pairs:
            return 0.0
        masks = [name for name in pictures if _is_mask(name)]
        # Often only some images have masks, or an image has several, such as of classes and of objects
        are_masks = len(pairs) >= 0.8 * len({*map(_key, masks)}) and all(map(_is_lossless, masks))
        # Each pair is two files.
        return 0.85 if are_masks or 2 * len(pairs) >= 0.8 * len(pictures) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        return [SIZE, GRAY, *VOID_QUESTIONS]

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict the class of every pixel from {len(_pairs(source)):,} images with masks."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        pairs = _pairs(source)[:PREVIEWED]
        masks = [_shades(source, name) for _, name in pairs]
        return pd.DataFrame(
            {
                "image": thumbnails(source, [image_name for image_name, _ in pairs]),
                "mask image": masks,
                "file": [image_name for image_name, _ in pairs],
                "mask": [mask_name for _, mask_name in pairs],
            }
        )

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        pairs = _pairs(source)
        notes = _left_out(source, pairs)
        read = read_pictures(source, [picture_name for picture_name, _ in pairs], progress, notes)
        side = read.pixels.shape[1]
        masks = MaskReader(side)
        rows = masks.read_all(source, pairs := read.of(pairs), progress, notes)
        pixels, pairs = read.pixels[rows], [pairs[row] for row in rows]
        numbered, values = masks.numbered(answers, notes)
        classes = _class_names(source, [*values.classes], notes)
        arrays: dict[str, Any] = {"pixels": pixels, "masks": numbered}
        names = [picture_name for picture_name, _ in pairs]
        parts = stated_parts(source, names).of(names)
        if parts is not None:
            arrays["parts"] = parts
        np.savez(folder / "images.npz", **arrays)
        summary = f"{len(pairs):,} images with masks of {len(classes)} classes"
        return StoredUpload(
            len(pairs), summary, notes=notes, extra={"classes": classes, "side": side, **values_meta(values)}
        )

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        chosen = check_options(options, [SIZE, GRAY], "", "Images")
        arrays = load_arrays(folder)
        size = chosen.optional_whole("size") or min(IMAGE_SIDE, meta["side"])
        raw = Images(
            name="image",
            target=np.stack([resized_mask(mask_values, size) for mask_values in arrays["masks"]]),
            target_kind="mask",
            target_name="mask",
            classes=tuple(meta["classes"]),
            mask_values=values_of_meta(meta),
            **stored_images(arrays["pixels"], size, chosen.optional_switch(GRAY.name)),
        )
        set_given_split(raw, arrays.get("parts"))
        return raw


def _shades(source: Source, name: str) -> str:
    """Return a mask as a data URI, in shades of gray, as class indices such as 0 and 1 look black; "" if damaged."""
    try:
        mask_values = mask(source.members.read(name), name)
    except DamagedFileError:
        return ""
    shades = np.unique(mask_values, return_inverse=True)[1].reshape(mask_values.shape)
    return data_uri((shades * 255 // max(1, int(shades.max()))).astype(np.uint8))


def paired(names: list[str]) -> list[tuple[str, str]]:
    """Pairs of an image and its mask, by name."""
    masks = {name for name in names if _is_mask(name)}
    by_key: dict[str, list[str]] = {}
    for name in sorted(masks):
        by_key.setdefault(_key(name), []).append(name)
    pairs = ((name, _nearest(name, by_key.get(_key(name), []))) for name in names if name not in masks)
    return [(name, mask) for name, mask in pairs if mask]


def _nearest(name: str, masks: list[str]) -> str:
    """Return the mask that shares the most folders with the image, of masks of one name such as train/masks/1.png.

    Returns "" if all masks belong to other parts of the split.
    """
    folders, part = _plain_folders(name), _part(name)
    candidates = [mask for mask in masks if not part or _part(mask) in (None, part)]
    return max(candidates, key=lambda mask: len(folders & _plain_folders(mask)), default="")


def _plain_folders(name: str) -> set[str]:
    """Return the folders of a file without the words for images and masks: train of train_images and of trainannot."""
    plain = (re.sub(r"[^a-z0-9]+", " ", _KIND_WORDS.sub(" ", folder.lower())).strip() for folder in parts_of(name)[:-1])
    return {*plain} - {""}


def _part(name: str) -> set[int] | None:
    """Return the parts of the split that the folders of a file name; None if there are none."""
    parts = {part_in(folder) for folder in _plain_folders(name)} - {None}
    return {part for part in parts if part is not None} or None


def _is_lossless(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() not in (".jpg", ".jpeg")


def _is_mask(name: str) -> bool:
    *folders, file = parts_of(name)
    return any(_FOLDER.fullmatch(folder) for folder in folders[-2:]) or bool(_ENDING.search(PurePosixPath(file).stem))


def _key(name: str) -> str:
    stem = PurePosixPath(parts_of(name)[-1]).stem
    return _IMAGE_ENDING.sub("", _ENDING.sub("", stem)).lower() or stem.lower()


def _pairs(source: Source) -> list[tuple[str, str]]:
    pairs = paired(source.members.of(file_types.PICTURE))
    if not pairs:
        raise DataError(
            "No image has a mask of the same name; put them into folders named images and masks, such as images/1.png "
            "and masks/1.png."
        )
    return pairs


def _left_out(source: Source, pairs: list[tuple[str, str]]) -> list[str]:
    """Return a note on images without masks, and masks without images."""
    used = {name for pair in pairs for name in pair}
    unpaired = [name for name in source.members.of(file_types.PICTURE) if name not in used]
    if not unpaired:
        return []
    many = (
        f"{len(unpaired):,} files without an image or mask were" if len(unpaired) > 1 else "A file without a mask was"
    )
    return [
        f"{many} left out: {', '.join(repr(name[:60]) for name in unpaired[:3])}{', …' if len(unpaired) > 3 else '.'}"
    ]


def _class_names(source: Source, values: list[int], notes: list[str]) -> list[str]:
    """Return the names of the classes: from a text file with one per line, or else from the values."""
    file = next((name for name in source.names if parts_of(name)[-1].lower() in _NAMES), None)
    if file is not None:
        text, _ = decode_text(source.members.read(file), file)
        names = [line.strip()[:100] for line in text.splitlines() if line.strip()]
        # One name per possible value, else one per value that occurs.
        if len(names) > max(values):
            return [names[value] for value in values]
        if len(names) == len(values):
            return names
        notes.append(f"{file[:60]!r} has {len(names)} names for {len(values)} classes, so it was not used.")
    if values in ([0, 1], [0, 255], [0, 255 * GRAY_COLOR]):
        return ["ground", "object"]
    if max(values) > 255:
        return [f"#{value:06x}" for value in values]
    return ["ground" if value == 0 else f"class {value}" for value in values]
