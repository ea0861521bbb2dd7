"""Hand-made files, valid and malicious."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image


def make_csv(header: str, rows: Iterable[str], end: str = "\n") -> bytes:
    return end.join([header, *rows, ""]).encode()


def valid_csv(count: int = 60) -> bytes:
    """A table without faults."""
    return make_csv("height,width,kind", (f"{i * 0.5},{i % 7},{'ab'[i % 2]}" for i in range(count)))


def solid_image(colour: int | tuple[int, int, int], size: tuple[int, int] = (12, 10), form: str = "PNG") -> bytes:
    """An image of one color."""
    stream = io.BytesIO()
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(stream, form)
    return stream.getvalue()


def noise_image(seed: int, side: int = 16) -> bytes:
    """An image of random colors."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def image_folders(count: int = 20) -> dict[str, bytes]:
    """Images of two classes without faults."""
    return {f"set/{'cats' if i % 2 else 'dogs'}/{i}.png": noise_image(i) for i in range(count)}


def make_zip(members: Mapping[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return stream.getvalue()


def zip_with_symlink(members: Mapping[str, bytes], name: str, to: str) -> bytes:
    """A zip that contains a symbolic link."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        info = zipfile.ZipInfo(name)
        info.create_system = 3
        info.external_attr = 0o120777 << 16
        archive.writestr(info, to)
    return stream.getvalue()


def zip_with_patched_directory(data: bytes, offset: int, layout: str, value: int) -> bytes:
    """A zip with another value in every entry of its central directory, at `offset` bytes from the entry's start."""
    changed = bytearray(data)
    position = changed.find(b"PK\x01\x02")
    while position >= 0:
        struct.pack_into(layout, changed, position + offset, value)
        position = changed.find(b"PK\x01\x02", position + 4)
    return bytes(changed)


def png_with_huge_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims any size."""

    def _chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + _chunk(b"IDAT", zlib.compress(b"\0" * 100)) + _chunk(b"IEND", b"")
