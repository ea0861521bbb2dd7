"""Valid and invalid files as users upload them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from netloom.data import DataError, Prepared, add_file, prepare
from netloom.data.uploads.files.source import Content
from netloom.document import DataChoice

ROWS = 80
HOSTILE = ["</script><b>", "../../etc/passwd", "a\"b'c", "line\nbreak", "' OR 1=1 --", "{{x}}", "ünïcødé 漢字"]


def example_columns(**more: Any) -> dict[str, Any]:
    """A number, a category and a class that depends on the number."""
    random = np.random.default_rng(0)
    size = random.normal(size=ROWS)
    return {
        "size": size,
        "kind": random.choice(["a", "b", "c"], ROWS),
        **more,
        "label": np.where(size + random.normal(scale=0.3, size=ROWS) > 0, "yes", "no"),
    }


def csv_from_columns(table: dict[str, Any], **options: Any) -> bytes:
    text: str = pd.DataFrame(table).to_csv(index=False, **options)
    return text.encode()


def parquet_bytes(table: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(table).to_parquet(buffer)
    return buffer.getvalue()


@cache
def builtin_data(name: str) -> Prepared:
    """A built-in dataset, prepared once for all tests of a process; tests must not modify it."""
    return prepare(DataChoice(dataset=name))


def import_and_prepare(content: Content, home: Path, filename: str = "data.csv", **options: Any) -> Prepared:
    """A file after import and preparation; `options` are those of the document."""
    info = add_file(content, filename, home)
    return prepare(DataChoice(dataset=info.name, options=options), home)


def import_error(content: bytes, home: Path, filename: str) -> str:
    """The error message for a file that may be invalid; an empty string if it is valid."""
    try:
        import_and_prepare(content, home, filename)
    except DataError as error:
        return str(error)
    return ""


def image_bytes(shade: int = 0, size: tuple[int, int] = (12, 12), kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade, shade, 255 - shade)).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def class_images(count: int = 10) -> dict[str, bytes]:
    """Images of two classes."""
    return {f"{name}/{number}.png": image_bytes(number * 20 + index) for index, name in enumerate(["cats", "dogs"])
            for number in range(count)}  # fmt: skip


def make_deflated_zip(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def png_with_claimed_size(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims this size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1_000)))
        + chunk(b"IEND", b"")
    )
