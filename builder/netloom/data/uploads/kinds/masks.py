"""Pictures with a mask each: a class for every pixel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.images import data_uri, mask, resized_mask
from netloom.data.raw_dataset import Images, RawDataset
from netloom.data.splits.given_splits import part_in, path_of
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.filetables import stated_parts
from netloom.data.uploads.images import (
    GREY,
    IMAGE_SIDE,
    SIZE,
    brought_to,
    load_arrays,
    read_pictures,
    set_given,
    thumbnails,
)
from netloom.data.uploads.members import parts_of
from netloom.data.uploads.source import Source
from netloom.data.uploads.upload_kind import PREVIEWED, Answers, Kept, Question, Reader, Tell, check_options

if TYPE_CHECKING:
    import pandas as pd

MAX_CLASSES = 64
_FOLDER = re.compile(r"(?i:.*(mask|label|annot|seg|gt|ground.?truth|target).*)")
_ENDING = re.compile(r"(?i:[_. -]*(mask|masks|label|labels|seg|segmentation|gt|labelids|annotation)s?)$")
_IMAGE_ENDING = re.compile(r"(?i:[_. -]*(image|img|rgb|photo|leftimg8bit|sat))$")
_NAMES = ("classes.txt", "labels.txt", "names.txt", "class_names.txt")


class Masks(Reader):
    """Pictures and masks by the same name."""

    name = "masks"
    title = "Pictures and masks"
    about = (
        "A zip of pictures and PNG masks of the same names, in folders such as images and masks, or with _mask behind "
        "the name; a mask holds class numbers, grey values or colours."
    )
    kind = "image"

    def likely(self, source: Source) -> float:
        pictures = source.members.of(file_types.PICTURE)
        pairs = paired(pictures)
        return 0.85 if pairs and 2 * len(pairs) >= 0.8 * len(pictures) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        return [SIZE, GREY]

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict the class of every pixel from {len(_pairs(source)):,} images with masks."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        pairs = _pairs(source)[:PREVIEWED]
        masks = []
        for _, name in pairs:
            found = mask(source.members.read(name), name)
            shades = np.unique(found, return_inverse=True)[1].reshape(found.shape)
            masks.append(data_uri((shades * 255 // max(1, int(shades.max()))).astype(np.uint8)))
        return pd.DataFrame(
            {
                "picture": thumbnails(source, [one for one, _ in pairs]),
                "picture of mask": masks,
                "file": [one for one, _ in pairs],
                "mask": [other for _, other in pairs],
            }
        )

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        pairs = _pairs(source)
        pixels = read_pictures(source, [one for one, _ in pairs], tell)
        side = pixels.shape[1]
        notes = _left_out(source, pairs)
        found = np.empty((len(pairs), side, side), dtype=np.int32)
        values: set[int] = set()
        for place, (one, other) in enumerate(pairs):
            if place % 64 == 0:
                tell(0.85 + 0.1 * place / len(pairs), f"Reading mask {place + 1:,} of {len(pairs):,}")
            painted = mask(source.members.read(other), other)
            values.update(np.unique(painted).tolist())
            _refuse_many(values, other)
            _refuse_shape(source, one, other, painted)
            found[place] = resized_mask(painted, side)
        order = sorted(values)
        if len(order) < 2:
            raise DataError("All masks hold the same single value, so there is nothing to tell apart.")
        classes = _class_names(source, order, notes)
        numbered = np.empty(found.shape, dtype=np.uint8)
        for place, painted in enumerate(found):
            numbered[place] = np.searchsorted(order, painted)
        arrays: dict[str, Any] = {"pixels": pixels, "masks": numbered}
        names = [one for one, _ in pairs]
        parts = stated_parts(source, names).of(names)
        if parts is not None:
            arrays["parts"] = parts
        np.savez(folder / "images.npz", **arrays)
        summary = f"{len(pairs):,} images with masks of {len(classes)} classes"
        return Kept(len(pairs), summary, notes=notes, extra={"classes": classes, "side": side})

    def raw(self, folder: Path, meta: Mapping[str, Any], options: dict[str, Any]) -> RawDataset:
        chosen = check_options(options, [SIZE, GREY], "", "Pictures")
        arrays = load_arrays(folder)
        size = chosen["size"] or min(IMAGE_SIDE, int(meta["side"]))
        raw = Images(
            name="image",
            target=np.stack([resized_mask(one, size) for one in arrays["masks"]]),
            target_kind="mask",
            target_name="mask",
            classes=tuple(meta["classes"]),
            pixels=brought_to(arrays["pixels"], size, chosen["grey"]),
        )
        set_given(raw, arrays.get("parts"))
        return raw


def paired(names: list[str]) -> list[tuple[str, str]]:
    """Pictures and their masks, by name."""
    masks = {name for name in names if _is_mask(name)}
    by_key: dict[str, list[str]] = {}
    for name in sorted(masks):
        by_key.setdefault(_key(name), []).append(name)
    found = ((name, _nearest(name, by_key.get(_key(name), []))) for name in names if name not in masks)
    return [(name, mask) for name, mask in found if mask]


def _nearest(name: str, masks: list[str]) -> str:
    """Of masks of one name, such as train/masks/1.png and test/masks/1.png, the one in the folders of the picture; none
    that belongs to another part of the split."""
    own, part = parts_of(name)[:-1], _part(name)
    able = [mask for mask in masks if not part or _part(mask) in (None, part)]
    return max(able, key=lambda mask: sum(one in own for one in parts_of(mask)[:-1]), default="")


def _part(name: str) -> set[int] | None:
    """The parts of the split that the folders of a file name."""
    found = {part_in(folder) for folder in path_of(name)[:-1]} - {None}
    return {part for part in found if part is not None} or None


def _is_mask(name: str) -> bool:
    *folders, file = parts_of(name)
    return any(_FOLDER.fullmatch(folder) for folder in folders[-2:]) or bool(_ENDING.search(PurePosixPath(file).stem))


def _key(name: str) -> str:
    stem = PurePosixPath(parts_of(name)[-1]).stem
    return _IMAGE_ENDING.sub("", _ENDING.sub("", stem)).lower() or stem.lower()


def _pairs(source: Source) -> list[tuple[str, str]]:
    found = paired(source.members.of(file_types.PICTURE))
    if not found:
        raise DataError(
            "No picture has a mask of the same name; put them into folders called images and masks, such as "
            "images/1.png and masks/1.png."
        )
    return found


def _left_out(source: Source, pairs: list[tuple[str, str]]) -> list[str]:
    """What has to be said of pictures without masks, and of masks without pictures."""
    used = {name for pair in pairs for name in pair}
    rest = [name for name in source.members.of(file_types.PICTURE) if name not in used]
    if not rest:
        return []
    many = f"{len(rest):,} files without their picture or mask were" if len(rest) > 1 else "A file without its mask was"
    return [f"{many} left out: {', '.join(repr(name[:60]) for name in rest[:3])}{', …' if len(rest) > 3 else '.'}"]


def _refuse_many(values: set[int], name: str) -> None:
    if len(values) > MAX_CLASSES:
        raise DataError(
            f"The masks hold more than {MAX_CLASSES} different values (up to {name[:80]!r}), too many for classes; a "
            "mask has one plain value or colour for each class, and no smooth edges."
        )


def _refuse_shape(source: Source, one: str, other: str, painted: np.ndarray) -> None:
    found = picture_size(source.members.read(one), one)
    height, width = painted.shape
    if found != (width, height) and found != (height, width):
        raise DataError(
            f"{one[:80]!r} is {found[0]} × {found[1]} pixels, but its mask {other[:80]!r} {width} × {height}; "
            "both have to be of the same size; save the mask again, or remove both."
        )


def picture_size(content: bytes, name: str) -> tuple[int, int]:
    """Width and height of a picture."""
    import io

    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.size
    except Exception:
        raise DataError(f"{name[:100]!r} is no picture that can be read; remove it from the zip.") from None


def _class_names(source: Source, values: list[int], notes: list[str]) -> list[str]:
    """The names of the classes: from a text file with one by line, where there is one, else from the values."""
    file = next((name for name in source.names if parts_of(name)[-1].lower() in _NAMES), None)
    if file is not None:
        text, _ = decode_text(source.members.read(file), file)
        names = [line.strip()[:100] for line in text.splitlines() if line.strip()]
        if len(names) > max(values):
            return [names[value] for value in values]
        if len(names) == len(values):
            return names
        notes.append(f"{file[:60]!r} has {len(names)} names for {len(values)} classes, so it was not used.")
    if values == [0, 255] or values == [0, 1]:
        return ["ground", "object"]
    if max(values) > 255:
        return [f"#{value:06x}" for value in values]
    return ["ground" if value == 0 else f"class {value}" for value in values]
