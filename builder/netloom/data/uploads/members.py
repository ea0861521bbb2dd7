"""The files that were brought: one, several, or those in a zip, which is opened with care."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.limits import MAX_FILE_BYTES, MAX_MEMBER_BYTES, MAX_MEMBERS, MAX_PICTURES, MAX_RATIO
from netloom.data.limits import MAX_UNPACKED_BYTES as MAX_BYTES

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError, ValueError, RuntimeError)


class Members:
    """Files by name, in the order of their names; what is packed with gzip is unpacked while it is read."""

    names: tuple[str, ...]

    def __init__(self) -> None:
        self._forms: dict[str, str] = {}

    def _raw(self, name: str, limit: int) -> bytes:
        """The first `limit` bytes of a file.

        Raises:
            DataError: it is damaged.
        """
        raise NotImplementedError

    def head(self, name: str) -> bytes:
        """The first bytes of a file."""
        head = self._raw(name, file_types.HEAD_BYTES)
        if file_types.file_type(head) != file_types.GZIP:
            return head
        try:
            return zlib.decompressobj(31).decompress(head, file_types.HEAD_BYTES)
        except zlib.error:
            raise DataError(f"{name[:100]!r} is packed with gzip, but damaged; pack it again.") from None

    def form(self, name: str) -> str:
        """What a file is, by its first bytes."""
        if name not in self._forms:
            self._forms[name] = file_types.file_type(self.head(name))
        return self._forms[name]

    def of(self, *wanted: str) -> list[str]:
        """The names of all files of these forms."""
        return [name for name in self.names if self.form(name) in wanted]

    def read(self, name: str, limit: int = MAX_MEMBER_BYTES) -> bytes:
        """The bytes of a file.

        Raises:
            DataError: it is damaged, or larger than is allowed.
        """
        content = self._raw(name, limit + 1)
        if len(content) <= limit and file_types.file_type(content[: file_types.HEAD_BYTES]) == file_types.GZIP:
            content = gunzip(content, name, limit)
        if len(content) > limit:
            raise DataError(f"{name[:100]!r} is larger than is allowed; at most {limit / 2**20:,.0f} MiB can be read.")
        return content


class Files(Members):
    """Files as they were brought, in memory or on disk."""

    def __init__(self, files: Mapping[str, bytes | Path]) -> None:
        super().__init__()
        self._files = dict(files)
        self.names = tuple(sorted(self._files))

    def _raw(self, name: str, limit: int) -> bytes:
        content = self._files[name]
        if isinstance(content, bytes):
            return content[:limit]
        try:
            with content.open("rb") as file:
                return file.read(limit)
        except OSError as error:
            raise DataError(f"{content} cannot be read: {error.strerror}.") from None


class Zip(Members):
    """The files in a zip, after each was looked at.

    Raises:
        DataError: it is no zip, or one that means harm.
    """

    def __init__(self, data: bytes, filename: str) -> None:
        super().__init__()
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
            raise DataError(
                f"{filename[:100]!r} is no zip and no spreadsheet that can be opened: it is damaged, or was not copied "
                "to its end; copy or save it again."
            ) from None
        self._infos = {info.filename: info for info in _checked(self._archive, len(data))}
        self.names = tuple(sorted(self._infos))
        many = len(self.names) > MAX_MEMBERS
        for name in self.names:
            suffix = PurePosixPath(name).suffix.lower()
            if many:  # to look into each would take longer than to read them
                self._forms[name] = file_types.PICTURE if suffix in PICTURE_SUFFIXES else file_types.TEXT

    def _raw(self, name: str, limit: int) -> bytes:
        # The bytes are counted while they are unpacked, as what the archive says of itself may be a lie.
        try:
            with self._archive.open(self._infos[name]) as file:
                return file.read(limit)
        except _BROKEN as error:
            reason = " ".join(str(error).split())[:100].rstrip(". ")
            raise DataError(f"{name[:100]!r} in the zip is damaged ({reason}); remove it, or pack it again.") from None


def parts_of(name: str) -> tuple[str, ...]:
    """The folders and the file name of a member."""
    return PurePosixPath(name.replace("\\", "/")).parts


def gunzip(data: bytes, name: str, limit: int) -> bytes:
    """What was packed with gzip.

    Raises:
        DataError: it is damaged, unpacks to too much, or holds an archive again.
    """
    limit = min(limit, len(data) * MAX_RATIO)
    try:
        stream = zlib.decompressobj(31)
        content = stream.decompress(data, limit + 1)
    except zlib.error:
        raise DataError(f"{name[:100]!r} is packed with gzip, but damaged; pack it again.") from None
    if len(content) > limit:
        raise DataError(
            f"{name[:100]!r} would unpack to more than {limit / 2**20:,.0f} MiB; at most {MAX_RATIO} times its size "
            f"and {MAX_FILE_BYTES / 2**20:,.0f} MiB are allowed; bring it unpacked, or a part of it."
        )
    if not stream.eof:
        raise DataError(f"{name[:100]!r} is packed with gzip, but cut short; pack it again.")
    if file_types.file_type(content[: file_types.HEAD_BYTES]) in (file_types.ZIP, file_types.GZIP):
        raise DataError(f"{name[:100]!r} is an archive in an archive, which is refused; unpack the outer one first.")
    return content


def _checked(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    """The files in an archive of `size` bytes that are no rubbish of some system, after every member was looked at."""
    every = archive.infolist()
    pictures = sum(info.filename.lower().endswith(PICTURE_SUFFIXES) for info in every)
    if len(every) - pictures > MAX_MEMBERS or pictures > MAX_PICTURES:
        raise DataError(
            f"The zip has {len(every):,} members; at most {MAX_MEMBERS:,} can be read, or {MAX_PICTURES:,} pictures."
        )
    total = sum(info.file_size for info in every)
    # Members that share their bytes would make the archive seem larger than it is.
    packed = min(sum(info.compress_size for info in every), size)
    if total > MAX_BYTES or total > max(packed, 1) * MAX_RATIO:
        raise DataError(
            f"The zip would unpack to {total / 2**20:,.0f} MiB, {total / max(packed, 1):,.0f} times its size; "
            f"at most {MAX_BYTES / 2**20:,.0f} MiB and {MAX_RATIO} times are allowed; bring "
            "a part of it, or its files without a zip."
        )
    return [info for info in every if _wanted(info)]


def _wanted(info: zipfile.ZipInfo) -> bool:
    """Whether a member is a file that people put there.

    Raises:
        DataError: it is none that may be opened.
    """
    path = PurePosixPath(info.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in str(path).partition("/")[0]:
        raise DataError(
            f"The zip has a member that points outside of it: {info.filename[:100]!r}; pack its folder again."
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DataError(
            f"The zip has a link in it, which is not allowed: {info.filename[:100]!r}; pack the file that it leads to."
        )
    if info.flag_bits & 1:
        raise DataError("The zip is encrypted; pack it without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError("The zip is packed in an unusual way; pack it as a plain zip (deflate).")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    # In this order, as a member without any name cannot be asked whether it is a folder.
    return not hidden and bool(path.parts) and not info.is_dir()
