"""What all kinds of data with pictures have in common."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.images import data_uri, equal, picture, resized
from netloom.data.limits import MAX_STORED_BYTES, SMALLEST_SIDE, STORED_SIDE
from netloom.data.uploads.source import Source
from netloom.data.uploads.upload_kind import Question, Tell

IMAGE_SIDE = 32
_MAPPED_BYTES = 64 * 2**20  # an array of more stays in its file
SIZE = Question("size", "Size", "whole", "Height and width that pictures are brought to", low=SMALLEST_SIDE,
                high=STORED_SIDE, optional=True, empty=f"their own, at most {IMAGE_SIDE}")  # fmt: skip
GREY = Question("grey", "Grey", "switch", "Without colours", optional=True, empty="as they are")


def read_pictures(source: Source, names: Sequence[str], tell: Tell) -> np.ndarray:
    """Pictures (R, S, S, 3) as uint8, S at most `STORED_SIDE`.

    Raises:
        DataError: one cannot be read.
    """
    side = min(STORED_SIDE, int((MAX_STORED_BYTES / (3 * max(1, len(names)))) ** 0.5))
    found = np.empty((len(names), side, side, 3), dtype=np.uint8)  # of which what is not filled takes no memory
    sides = np.zeros(len(names), dtype=np.int64)
    for place, name in enumerate(names):
        if place % 64 == 0:
            tell(0.05 + 0.8 * place / len(names), f"Reading picture {place + 1:,} of {len(names):,}")
        one = picture(source.members.read(name), name, side)
        sides[place] = len(one)
        found[place, : len(one), : len(one)] = one
    return equal(found, sides)


def brought_to(pixels: np.ndarray, size: int | None, grey: bool | None) -> np.ndarray:
    """Kept pictures (R, S, S, 3) as the network sees them, (R, C, size, size); grey ones have one channel."""
    size = size or min(IMAGE_SIDE, pixels.shape[1])
    if grey is None:
        grey = is_grey(pixels)
    if pixels.shape[1] == size and grey and is_grey(pixels):
        return np.ascontiguousarray(pixels[..., 0])[:, None]
    if pixels.shape[1] == size and not grey:
        return pixels.transpose(0, 3, 1, 2)
    found = np.empty((len(pixels), size, size) if grey else (len(pixels), size, size, 3), dtype=np.uint8)
    for place, one in enumerate(pixels):
        found[place] = resized(one, size, "L" if grey else "RGB")
    return found[:, None] if grey else found.transpose(0, 3, 1, 2)


def is_grey(pixels: np.ndarray) -> bool:
    """Whether pictures (R, S, S, 3) have no colours."""
    return all(bool((part == part[..., :1]).all()) for part in np.array_split(pixels, max(1, len(pixels) // 1_000)))


def thumbnails(source: Source, names: Sequence[str], side: int = 64) -> list[str]:
    """Some pictures, as a page can show them; what cannot be read shows nothing."""
    found = []
    for name in names:
        try:
            found.append(data_uri(picture(source.members.read(name), name, side)))
        except DataError:
            found.append("")
    return found


def load_arrays(folder: Path, file: str = "images.npz") -> dict[str, Any]:
    """The arrays in a file of an upload; large ones stay in it, and are read as they are looked at."""
    with (folder / file).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        large = {info.filename.removesuffix(".npy"): info for info in arrays.zip.infolist() if _mapped(info)}
        return {
            name: _in_file(folder / file, stream, large[name]) if name in large else arrays[name]
            for name in arrays.files
        }


def _mapped(info: zipfile.ZipInfo) -> bool:
    return info.compress_type == zipfile.ZIP_STORED and info.file_size > _MAPPED_BYTES


def _in_file(path: Path, stream: IO[bytes], info: zipfile.ZipInfo) -> np.ndarray:
    """An array that lies in an NPZ file as it is.

    Raises:
        ValueError: the file is damaged.
    """
    stream.seek(info.header_offset)
    head = stream.read(30)
    if head[:4] != b"PK\3\4":
        raise ValueError(f"{path} is damaged")
    name, extra = struct.unpack_from("<HH", head, 26)
    stream.seek(info.header_offset + 30 + name + extra)
    version = np.lib.format.read_magic(stream)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if version != (1, 0) or fortran or dtype.hasobject:
        raise ValueError(f"{path} is damaged")
    return np.memmap(path, dtype, "r", offset=stream.tell(), shape=shape).view(np.ndarray)


def set_given(raw: Any, parts: Any) -> None:
    """Let data say how it is split, where it does."""
    if parts is not None:
        raw.given = np.asarray(parts)


def refuse_unknown_names(missing: list[str], column: str) -> None:
    """Raises:
    DataError: a table names files that are not there.
    """
    if missing:
        raise DataError(
            f"The column {column!r} names {len(missing):,} files that are not there, such as {missing[0][:80]!r}."
        )
