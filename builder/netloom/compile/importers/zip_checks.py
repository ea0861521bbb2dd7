"""Checks of zip files that are imported, whose headers and content are not trusted."""

from __future__ import annotations

import lzma
import stat
import struct
import zipfile
import zlib
from pathlib import Path

from netloom.compile.importers.imported_model import UnreadableModelError, quoted
from netloom.data.limits import MAX_RATIO

# Members up to this size can have any compression ratio.
HARMLESS_BYTES = 65_536
_SIGNATURE = b"PK\x03\x04"
# What reading a damaged zip can raise
DAMAGED = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, zlib.error, lzma.LZMAError),
    *(struct.error, UnicodeError),
)


def is_zip(path: Path) -> bool:
    """Whether a file begins with the signature of a zip."""
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


def check_member(info: zipfile.ZipInfo) -> None:
    """Check the header of a member before it is read.

    Raises:
        UnreadableModelError: The member is a link, encrypted, or would unpack to many times its size.
    """
    # The upper 16 bits are the mode of Unix
    if stat.S_ISLNK(info.external_attr >> 16):
        raise UnreadableModelError(
            f"The zip contains the link {quoted(info.filename)}; only regular files are allowed."
        )
    # Bit 0 marks an encrypted member
    if info.flag_bits & 1:
        raise UnreadableModelError(f"{quoted(info.filename)} is encrypted; save the model without a password.")
    if info.file_size > max(HARMLESS_BYTES, MAX_RATIO * info.compress_size):
        raise UnreadableModelError(
            f"{quoted(info.filename)} would unpack to more than {MAX_RATIO} times its size, which is not allowed."
        )
