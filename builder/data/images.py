"""Zips of picture folders, opened with care: the folder that a picture lies in is its class."""

from __future__ import annotations

import io
import stat
import warnings
import zipfile
from pathlib import PurePosixPath

import numpy as np

from builder.data.limits import MAX_MEMBER_BYTES, MAX_MEMBERS, MAX_PIXELS, MAX_RATIO, MAX_UNPACKED_BYTES
from builder.data.schema import DataError

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
        members = _members(archive)
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
    return np.stack(pictures), np.array(labels), classes


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The pictures in the archive, after every member was looked at."""
    every = archive.infolist()
    if len(every) > MAX_MEMBERS:
        raise DataError(f"The zip has {len(every):,} members; at most {MAX_MEMBERS:,} can be read.")
    total = sum(member.file_size for member in every)
    packed = sum(member.compress_size for member in every)
    if total > MAX_UNPACKED_BYTES or total > max(packed, 1) * MAX_RATIO:
        raise DataError(
            f"The zip would unpack to {total / 2**20:,.0f} MiB, {total / max(packed, 1):,.0f} times its size; "
            f"at most {MAX_UNPACKED_BYTES / 2**20:,.0f} MiB and {MAX_RATIO} times are allowed."
        )
    pictures = []
    for member in every:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise DataError(f"The zip has a member that points outside of it: {member.filename[:100]!r}.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(f"The zip has a link in it, which is not allowed: {member.filename[:100]!r}.")
        if member.flag_bits & 1:
            raise DataError("The zip is encrypted; pack it without a password.")
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
        if not member.is_dir() and not hidden and path.suffix.lower() in SUFFIXES and len(path.parts) > 1:
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
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, ValueError, RuntimeError) as error:
        raise DataError(f"{member.filename[:100]!r} in the zip is damaged: {str(error)[:100]}.") from None
    if len(content) > limit:
        raise DataError(f"{member.filename[:100]!r} in the zip is larger than is allowed.")
    return content


def _picture(content: bytes, filename: str, side: int) -> np.ndarray:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sizes are checked below, before a pixel is decoded
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise DataError(
                        f"{filename[:100]!r} has {width * height / 1e6:,.0f} megapixels; "
                        f"at most {MAX_PIXELS / 1e6:.0f} are allowed."
                    )
                return np.asarray(image.convert("RGB").resize((side, side)))
    except DataError:
        raise
    except Exception as error:
        # Pillow's decoders raise many kinds of errors on damaged files; each means the same to a person.
        raise DataError(f"{filename[:100]!r} is no picture that can be read ({type(error).__name__}).") from None
