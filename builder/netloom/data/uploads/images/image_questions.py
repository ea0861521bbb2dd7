"""Questions and functions shared by all kinds of uploads with images."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar

import numpy as np

from netloom.core.errors import DamagedFileError, DataError
from netloom.core.progress import ProgressCallback
from netloom.core.text import counted
from netloom.data.images import data_uri, equal, picture, resized, sixteen_bit_peak
from netloom.data.limits import MAX_STORED_BYTES, STORED_SIDE
from netloom.data.uploads.files.damaged import DamagedFiles
from netloom.data.uploads.files.members import parts_of
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.upload_kind import Question
from netloom.modalities.columns.column_kind import free_name
from netloom.modalities.encoding.file_pixels import SMALLEST_SIDE

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
IMAGE_SIDE = 32
_DARK = 2**14  # 12 bits, as of many cameras, stored in 16
_UNLABELED = re.compile(
    r"(?i)un[-_ ]?(label(l?ed)?|sup(ervised)?|annotated|tagged|classified)([-_ ]?(images?|data|set))?"
    r"|([a-z]+[-_ ])?(pred|predict|predictions?)"
)
MAPPED_BYTES = 64 * 2**20  # larger arrays are memory-mapped
SIZE = Question("size", "Size", "whole", "Images are resized to this height and width", low=SMALLEST_SIDE,
                high=STORED_SIDE, optional=True, empty=f"original size, at most {IMAGE_SIDE}")  # fmt: skip
GRAY = Question("grayscale", "Grayscale", "switch", "Convert images to gray", optional=True, empty="as stored")


class ReadPictures(NamedTuple):
    """The images of an upload.

    Attributes:
        pixels: The images (R, S, S, 3) as uint8, with S at most `STORED_SIDE`.
        rows: The indices (R,) of their names, without those of damaged files.
    """

    pixels: np.ndarray
    rows: np.ndarray

    def of(self, items: Sequence[T]) -> list[T]:
        """Return the items of these images, from one for each name."""
        return [items[row] for row in self.rows.tolist()]


def read_pictures(source: Source, names: Sequence[str], progress: ProgressCallback, notes: list[str]) -> ReadPictures:
    """Read images; adds notes on dark images with 16 bits, and on a few damaged ones, which are left out.

    Raises:
        DataError: An image is too large, or more than a few are damaged.
    """
    # As large as fits into `MAX_STORED_BYTES` with 3 bytes per pixel
    side = min(STORED_SIDE, int((MAX_STORED_BYTES / (3 * max(1, len(names)))) ** 0.5))
    pixels = np.empty((len(names), side, side, 3), dtype=np.uint8)  # unwritten pages take no memory
    sides = np.zeros(len(names), dtype=np.int64)
    peak, rows = 0, list[int]()
    damaged = DamagedFiles(source, len(names), "image")
    for index, name in enumerate(names):
        if index % 64 == 0:
            progress(0.05 + 0.8 * index / len(names), f"Reading image {index + 1:,} of {len(names):,}")
        try:
            content = source.members.read(name)
            peak = max(peak, sixteen_bit_peak(content, name))
            image = picture(content, name, side)
        except DamagedFileError as error:
            damaged.add(name, error)
            continue
        sides[len(rows)] = len(image)
        pixels[len(rows), : len(image), : len(image)] = image
        rows.append(index)
    notes += damaged.notes()
    if 0 < peak < _DARK:
        notes.append(
            f"The images with 16 bits have values up to {peak:,} of 65,535, so that {peak // 257 + 1} of 256 shades "
            "remain; scale them to the whole range, or put all images into one array (NPZ)."
        )
    return ReadPictures(equal(pixels[: len(rows)], sides[: len(rows)]), np.array(rows))


def is_unlabeled(name: str) -> bool:
    """Return whether a folder of a file says that the files in it have no labels."""
    return any(_UNLABELED.fullmatch(folder) for folder in parts_of(name)[:-1])


def unlabeled_note(names: Sequence[str]) -> list[str]:
    """Return a note on images that have no label beside others that do."""
    if not names:
        return []
    return [f"Left out {counted(len(names), 'image')} without a label, such as {names[0][-60:]!r}."]


def brought_to(pixels: np.ndarray, size: int | None, gray: bool | None) -> np.ndarray:
    """Resize stored images (R, S, S, 3) to those of the network, (R, C, size, size); gray ones have one channel."""
    size = size or min(IMAGE_SIDE, pixels.shape[1])
    if gray is None:
        gray = is_gray(pixels)
    if pixels.shape[1] == size and gray and is_gray(pixels):
        return np.ascontiguousarray(pixels[..., 0])[:, None]
    if pixels.shape[1] == size and not gray:
        return pixels.transpose(0, 3, 1, 2)
    resized_pixels = np.empty((len(pixels), size, size) if gray else (len(pixels), size, size, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        resized_pixels[index] = resized(image, size, "L" if gray else "RGB")
    return resized_pixels[:, None] if gray else resized_pixels.transpose(0, 3, 1, 2)


class StoredImages(TypedDict):
    """Images (R, C, H, W) of files, and how these were read; see `Images`."""

    pixels: np.ndarray
    file_side: int
    file_shape: tuple[int, ...]


def stored_images(pixels: np.ndarray, size: int | None, gray: bool | None) -> StoredImages:
    """Return stored images (R, S, S, 3) as those of the network."""
    brought = brought_to(pixels, size, gray)
    return {"pixels": brought, "file_side": pixels.shape[1], "file_shape": brought.shape[1:]}


def read_as_stored(content: bytes, filename: str, side: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Read an image file as a stored one of `side` pixels that is brought to `shape`, (C, H, W), uint8.

    Raises:
        DataError: it is unreadable or too large.
    """
    pixels = picture(content, filename, side)
    square = pixels if len(pixels) == side else resized(pixels, side)
    (stored,) = brought_to(square[None], shape[1], shape[0] == 1)
    return np.asarray(stored)


def is_gray(pixels: np.ndarray) -> bool:
    """Return whether all images (R, S, S, 3) are gray."""
    return all(bool((part == part[..., :1]).all()) for part in np.array_split(pixels, max(1, len(pixels) // 1_000)))


def thumbnails(source: Source, names: Sequence[str], side: int = 64) -> list[str]:
    """Images as data URIs; "" for one that cannot be read."""
    uris = []
    for name in names:
        try:
            uris.append(data_uri(picture(source.members.read(name), name, side)))
        except DataError:
            uris.append("")
    return uris


def spread(names: Sequence[str], count: int) -> list[str]:
    """Return at most `count` names, evenly spaced."""
    step = max(1, len(names) // count)
    return list(names[::step])[:count]


def with_thumbnails(table: pd.DataFrame, uris: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return a table with columns of thumbnails (R,) before its own; a name that the table has already gets a prime."""
    import pandas as pd

    column_names = [str(name) for name in table.columns]
    images = pd.DataFrame({free_name(name, column_names): column for name, column in uris.items()})
    return pd.concat([images, table.reset_index(drop=True)], axis=1)


def load_arrays(folder: Path, file: str = "images.npz") -> dict[str, np.ndarray]:
    """Return the arrays in a file of an upload; large uncompressed ones are memory-mapped."""
    with (folder / file).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        large = {info.filename.removesuffix(".npy"): info for info in arrays.zip.infolist() if _mapped(info)}
        return {
            name: _in_file(folder / file, stream, large[name]) if name in large else arrays[name]
            for name in arrays.files
        }


def _mapped(info: zipfile.ZipInfo) -> bool:
    return info.compress_type == zipfile.ZIP_STORED and info.file_size > MAPPED_BYTES


def _in_file(path: Path, stream: IO[bytes], info: zipfile.ZipInfo) -> np.ndarray:
    """Memory-map an uncompressed array of an NPZ file, which NumPy does not support.

    Raises:
        ValueError: The file is damaged.
    """
    stream.seek(info.header_offset)
    head = stream.read(30)
    if head[:4] != b"PK\3\4":
        raise ValueError(f"{path} is damaged")
    name, extra = struct.unpack_from("<HH", head, 26)
    # The local header can have another extra field than the central directory, so its length is read here
    stream.seek(info.header_offset + 30 + name + extra)
    version = np.lib.format.read_magic(stream)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if version != (1, 0) or fortran or dtype.hasobject:
        raise ValueError(f"{path} is damaged")
    # A plain array, because indexing a memmap creates memmaps, which is slow
    return np.memmap(path, dtype, "r", offset=stream.tell(), shape=shape).view(np.ndarray)


def set_given_split(raw: Any, parts: Any) -> None:
    """Set the given split of data, if there is one."""
    if parts is not None:
        raw.given = np.asarray(parts)


def refuse_unknown_names(missing: list[str], column: str) -> None:
    """Refuse a table that names missing files.

    Raises:
        DataError: A file is missing.
    """
    if missing:
        raise DataError(f"The column {column!r} names {len(missing):,} missing files, such as {missing[0][:80]!r}.")
