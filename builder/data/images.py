"""Zips of picture folders, opened with care: the folder that a picture lies in is its class."""

from __future__ import annotations

import io
import stat
import warnings
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from builder.data.limits import (
    MAX_MEMBER_BYTES,
    MAX_MEMBERS,
    MAX_PIXELS,
    MAX_RATIO,
    MAX_UNPACKED_BYTES,
    SMALLEST_SIDE,
)
from builder.data.schema import DataError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")


def read_zip(data: bytes, side: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Pictures (R, side, side, 3) as uint8, class numbers (R,), and the classes' names.

    Raises:
        DataError: it is no zip, it is a bomb, or it does not hold pictures of at least two classes.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise DataError("This file is no zip archive, or a damaged one.") from None
    with archive:
        members = _members(archive, len(data))
        classes = sorted({_class(member) for member in members})
        if len(classes) < 2:
            raise DataError(
                "The zip needs pictures in at least two folders, one per class, such as cats/1.png and dogs/1.png."
            )
        numbers = {name: number for number, name in enumerate(classes)}
        budget = MAX_UNPACKED_BYTES
        pictures, labels = [], []
        for member in members:
            content = _content(archive, member, budget)
            budget -= len(content)
            pictures.append(_picture(content, member.filename, side))
            labels.append(numbers[_class(member)])
    return _equal(pictures), np.array(labels), classes


def _equal(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures of the same size, that of the largest."""
    from PIL import Image

    side = max(len(picture) for picture in pictures)
    return np.stack(
        [
            picture if len(picture) == side else np.asarray(Image.fromarray(picture).resize((side, side)))
            for picture in pictures
        ]
    )


def _members(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    """The pictures in an archive of `size` bytes, after every member was looked at."""
    every = archive.infolist()
    if len(every) > MAX_MEMBERS:
        raise DataError(f"The zip has {len(every):,} members; at most {MAX_MEMBERS:,} can be read.")
    total = sum(member.file_size for member in every)
    # Members that share their bytes would make the archive seem larger than it is.
    packed = min(sum(member.compress_size for member in every), size)
    if total > MAX_UNPACKED_BYTES or total > max(packed, 1) * MAX_RATIO:
        raise DataError(
            f"The zip would unpack to {total / 2**20:,.0f} MiB, {total / max(packed, 1):,.0f} times its size; "
            f"at most {MAX_UNPACKED_BYTES / 2**20:,.0f} MiB and {MAX_RATIO} times are allowed."
        )
    pictures = []
    for member in every:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in str(path).partition("/")[0]:
            raise DataError(f"The zip has a member that points outside of it: {member.filename[:100]!r}.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(f"The zip has a link in it, which is not allowed: {member.filename[:100]!r}.")
        if member.flag_bits & 1:
            raise DataError("The zip is encrypted; pack it without a password.")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError("The zip is packed in an unusual way; pack it as a plain zip (deflate).")
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
        # In this order, as a member without any name cannot be asked whether it is a folder.
        if not hidden and path.suffix.lower() in SUFFIXES and len(path.parts) > 1 and not member.is_dir():
            pictures.append(member)
    if not pictures:
        raise DataError(
            "The zip holds no pictures (PNG, JPEG, BMP, GIF, WebP or TIFF) in folders, one folder per class."
        )
    return sorted(pictures, key=lambda member: member.filename)


def _class(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename.replace("\\", "/")).parent.name[:100]


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: int) -> bytes:
    """A member's bytes, counted while they are unpacked, as what the archive says of itself may be a lie."""
    limit = min(budget, MAX_MEMBER_BYTES)
    try:
        with archive.open(member) as file:
            content = file.read(limit + 1)
    except (
        zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError, ValueError, RuntimeError
    ) as error:  # fmt: skip
        raise DataError(f"{member.filename[:100]!r} in the zip is damaged: {str(error)[:100]}.") from None
    if len(content) > limit:
        raise DataError(f"{member.filename[:100]!r} in the zip is larger than is allowed.")
    return content


def _picture(content: bytes, filename: str, side: int) -> np.ndarray:
    """A picture as square RGB (S, S, 3), of its own size, but from `SMALLEST_SIDE` to `side`."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sizes are checked below, before a pixel is decoded
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise _too_large(filename, f"{width * height / 1e6:,.0f} megapixels")
                image.draft("RGB", (side, side))  # lets a large JPEG be decoded at a fraction of its size
                own = max(SMALLEST_SIDE, min(side, max(width, height)))
                return np.asarray(_rgb(ImageOps.exif_transpose(image)).resize((own, own)))
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(filename, "far too many pixels") from None
    except Exception as error:
        # Pillow's decoders raise many kinds of errors on damaged files; each means the same to a person.
        raise DataError(
            f"{filename[:100]!r} is no picture that can be read ({type(error).__name__}); remove it from the zip."
        ) from None


def _too_large(filename: str, size: str) -> DataError:
    return DataError(f"{filename[:100]!r} has {size}; at most {MAX_PIXELS / 1e6:.0f} megapixels are allowed.")


def _rgb(image: Image.Image) -> Image.Image:
    """Red, green and blue from 0 to 255: nothing shines through but white, and 16 bits lose their lower 8."""
    from PIL import Image

    if image.mode.startswith("I;16") or image.mode == "I":
        deep = np.asarray(image).astype(np.int64).clip(0, 65_535)
        return Image.fromarray((deep // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    return image.convert("RGB")
