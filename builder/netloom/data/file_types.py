"""The type of a file, inferred from its first bytes; its name is not trusted."""

from __future__ import annotations

import math
import struct

from netloom.data.dialect import encoding_of

HEAD_BYTES = 512
PICTURE, SOUND, TEXT, NPY, IDX, PARQUET, EXCEL = "picture", "sound", "text", "npy", "idx", "parquet", "excel"
ZIP, GZIP, EMPTY, MAT = "zip", "gzip", "empty", "mat"
MAT_HDF5 = b"MATLAB 7.3 MAT-file"
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_MAGIC_NUMBERS = (
    (b"PK\x03\x04", ZIP), (b"PK\x05\x06", ZIP), (b"\x1f\x8b", GZIP), (b"PAR1", PARQUET), (b"\x93NUMPY", NPY),
    (b"\x89PNG\r\n\x1a\n", PICTURE), (b"\xff\xd8\xff", PICTURE), (b"GIF87a", PICTURE), (b"GIF89a", PICTURE),
    (b"II*\x00", PICTURE), (b"MM\x00*", PICTURE), (b"fLaC", SOUND),
    (b"MATLAB 5.0 MAT-file", MAT), (MAT_HDF5, MAT),
)  # fmt: skip
# Types that cannot be read, each as the end of a sentence that says what to do.
_UNREADABLE = (
    (b"%PDF", "a PDF document; copy its table or text, and save that as CSV or plain text"),
    (b"%!PS", "a PostScript document; save it as a PNG image"),
    (b"\xd0\xcf\x11\xe0", "an old Office document, or one with a password; save it as .xlsx without one, or as CSV"),
    (b"\x89HDF", "an HDF5 file; save its arrays as NPZ"),
    (b"SQLite format 3", "an SQLite database; save its table as CSV"),
    (b"ARROW1", "an Arrow file; save it as Parquet"),
    (b"FEA1", "a Feather file; save it as Parquet"),
    (b"Obj\x01", "an Avro file; save it as Parquet"),
    (b"7z\xbc\xaf", "a 7-Zip archive; pack it as a plain zip"),
    (b"Rar!", "a RAR archive; pack it as a plain zip"),
    (b"BZh", "packed with bzip2; unpack it, or pack it as a plain zip"),
    (b"\xfd7zXZ", "packed with xz; unpack it, or pack it as a plain zip"),
    (b"(\xb5/\xfd", "packed with zstd; unpack it, or pack it as a plain zip"),
    (b"OggS", "an Ogg sound; save it as WAV or FLAC"),
    (b"ID3", "an MP3 sound; save it as WAV or FLAC"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image; save it as JPEG or PNG"),
    (b"\x7fELF", "a program; it is never run"),
    (b"MZ", "a program; it is never run"),
    (b"\x1aE\xdf\xa3", "a video; save its frames as PNG in a zip"),
)  # fmt: skip
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")


def file_type(head: bytes) -> str:
    """Return the type of a file that begins with these bytes, at most `HEAD_BYTES` of them; "" if it is unknown."""
    if not head:
        return EMPTY
    for magic, form in _MAGIC_NUMBERS:
        if head.startswith(magic):
            return form
    if head[:4] == b"RIFF":
        return {b"WAVE": SOUND, b"WEBP": PICTURE}.get(head[8:12], "")
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return PICTURE
    if _is_idx(head):
        return IDX
    return "" if refusal(head) or not _is_text(head) else TEXT


def refusal(head: bytes) -> str:
    """Return the type of an unreadable file and a remedy, as the end of a sentence; "" if the type is unknown."""
    for magic, words in _UNREADABLE:
        if head.startswith(magic) and not (magic.isalnum() and _is_text(head[:64])):
            return words
    # A frame of MPEG audio begins with eleven ones, its version, and 01 for layer III
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:
        return "an MP3 sound; save it as WAV or FLAC"
    # These signatures are not at the start.
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "an AIFF sound; save it as WAV or FLAC"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "a HEIC or AVIF image; save it as JPEG or PNG"
    if head[4:8] == b"ftyp":
        return "a video or a recording; save its sound as WAV, or its frames as PNG in a zip"
    if head[257:262] == b"ustar":
        return "a tar archive; pack it as a plain zip"
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "a Python pickle, which is refused because opening one can run a program; save arrays as NPZ"
    return ""


def _is_idx(head: bytes) -> bool:
    if len(head) < 8 or head[:2] != b"\0\0" or head[2] not in IDX_TYPES or not 1 <= head[3] <= 4:
        return False
    if len(head) < 4 + 4 * head[3]:
        return False
    lengths: tuple[int, ...] = struct.unpack_from(f">{head[3]}I", head, 4)
    # Other files can begin with these bytes, too, but rarely with plausible lengths.
    return math.prod(lengths) < 2**40


def _is_text(head: bytes) -> bool:
    """Whether bytes look like text in UTF-8, UTF-16 or an encoding of one byte per character."""
    if encoding_of(head).startswith("utf-16"):
        return True
    # Up to a twentieth of the bytes may be control characters.
    odd = sum(byte < 32 and byte not in b"\t\n\r\f\x1a\x1b" for byte in head)
    return odd * 20 <= len(head)
