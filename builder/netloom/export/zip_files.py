"""Zips with the same bytes for the same files, and model cards in them."""

from __future__ import annotations

import io
import zipfile

CARD = "MODEL_CARD.md"
# The earliest time of the zip format; a constant one gives equal networks equal files.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def pack(members: dict[str, bytes]) -> bytes:
    """Return a zip of files, in the given order; equal files give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(_info(name, zipfile.ZIP_DEFLATED), content)
    return buffer.getvalue()


def _info(name: str, compression: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, TIMESTAMP)
    # System 3 is Unix, where the upper 16 bits of the attributes are the permissions.
    info.compress_type, info.create_system, info.external_attr = compression, 3, 0o644 << 16
    return info


def appended(content: bytes, name: str, member: bytes) -> bytes:
    """Return a zip with one more file, which is not compressed; the bytes of the others are unchanged."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(_info(name, zipfile.ZIP_STORED), member)
    return buffer.getvalue()


def with_member(content: bytes, name: str, member: bytes) -> bytes:
    """Return a zip with one more file at its end."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {item: archive.read(item) for item in archive.namelist()}
    return pack({**members, name: member})


def with_card(content: bytes, card: str) -> bytes:
    """Return a zip with a model card beside its README.md, which gets the metadata of the card: the Hugging Face Hub
    reads them there."""
    metadata, _, text = card.partition("\n---\n")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[CARD] = f"{text.strip()}\n".encode()
    readme = members["README.md"].decode()
    members["README.md"] = f"{metadata}\n---\n\n{readme}\nData, metrics and limits: [model card]({CARD}).\n".encode()
    return pack(dict(sorted(members.items())))
