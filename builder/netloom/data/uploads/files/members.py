"""The files of an upload: one, several, or the members of a zip, which are checked before they are unpacked."""

from __future__ import annotations

import io
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from netloom.core.errors import DamagedFileError, DataError
from netloom.data import file_types
from netloom.data.limits import (
    MAX_EXAMPLES,
    MAX_FILE_BYTES,
    MAX_HARMLESS_BYTES,
    MAX_MEMBER_BYTES,
    MAX_MEMBERS,
    MAX_RATIO,
)
from netloom.data.limits import MAX_UNPACKED_BYTES as MAX_BYTES
from netloom.data.splits.given_splits import path_of

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
SOUND_SUFFIXES = (".wav", ".flac")
_TEXT_SUFFIXES = (".txt", "")
_ANNOTATION_SUFFIXES = (".txt", ".xml", ".json")  # of the boxes in one image
_UTF_8 = 0x800  # the flag of a member whose name is UTF-8
_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError, ValueError, RuntimeError)


class Members:
    """Files by name, in alphabetical order; gzip is unpacked while a file is read."""

    names: tuple[str, ...]

    def __init__(self, notes: Sequence[str] = ()) -> None:
        self.notes = tuple(notes)  # on what had to be assumed
        self._forms: dict[str, str] = {}

    def _raw(self, name: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a file, as stored.

        Raises:
            DataError: The file is damaged.
        """
        raise NotImplementedError

    def head(self, name: str, limit: int = file_types.HEAD_BYTES) -> bytes:
        """Return the first `limit` bytes of a file, unpacked."""
        head = self._raw(name, limit)
        if file_types.file_type(head[: file_types.HEAD_BYTES]) != file_types.GZIP:
            return head
        try:
            # 31: a gzip header and the largest window
            return zlib.decompressobj(31).decompress(head, limit)
        except zlib.error:
            raise DataError(f"{name[:100]!r} is packed with gzip, but damaged; pack it again.") from None

    def form(self, name: str) -> str:
        """Return the type of a file, by its first bytes."""
        if name not in self._forms:
            self._forms[name] = file_types.file_type(self.head(name))
        return self._forms[name]

    def set_form(self, name: str, form: str) -> None:
        """Set the type of a file whose first bytes are those of another type."""
        self._forms[name] = form

    def of(self, *types: str) -> list[str]:
        """Return the names of all files of these types."""
        return [name for name in self.names if self.form(name) in types]

    def read(self, name: str, limit: int = MAX_MEMBER_BYTES) -> bytes:
        """Return the bytes of a file.

        Raises:
            DataError: The file is damaged, or larger than the limit.
        """
        # One byte more than allowed shows that a file is too large without reading all of it
        content = self._raw(name, limit + 1)
        if len(content) <= limit and file_types.file_type(content[: file_types.HEAD_BYTES]) == file_types.GZIP:
            content = gunzip(content, name, limit)
        if len(content) > limit:
            raise DataError(f"{name[:100]!r} is too large; at most {limit / 2**20:,.0f} MiB can be read.")
        return content


class Files(Members):
    """Plain files, in memory or on disk."""

    def __init__(self, files: Mapping[str, bytes | Path], notes: Sequence[str] = ()) -> None:
        super().__init__(notes)
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
    """The files in a zip.

    Raises:
        DataError: The zip is damaged or malicious.
    """

    def __init__(self, data: bytes, filename: str) -> None:
        super().__init__()
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
            raise DataError(
                f"{filename[:100]!r} is not a readable zip or spreadsheet: it is damaged or incomplete; copy or save "
                "it again."
            ) from None
        infos = _checked(self._archive, len(data))
        taken = {info.filename for info in infos}
        names = [plain if (plain := _name_of(info)) not in taken else info.filename for info in infos]
        self._infos = dict(zip(names, infos, strict=True))
        self.names = tuple(sorted(self._infos))
        many = len(self.names) > MAX_MEMBERS
        if many:  # a read per member to find its type takes as long as reading all of them
            self._forms = {name: _form_of_suffix(name) for name in self.names}

    def _raw(self, name: str, limit: int) -> bytes:
        # Bytes are counted while they are unpacked, as the sizes that an archive declares may be wrong.
        try:
            with self._archive.open(self._infos[name]) as file:
                return file.read(limit)
        except _BROKEN as error:
            reason = " ".join(str(error).split())[:100].rstrip(". ")
            raise DamagedFileError(
                f"{name[:100]!r} in the zip is damaged ({reason}); remove it, or pack it again."
            ) from None


def _form_of_suffix(name: str) -> str:
    """Return the type of a file by its name."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return file_types.PICTURE
    return file_types.SOUND if suffix in SOUND_SUFFIXES else file_types.TEXT


def composed(name: str) -> str:
    """Return a name in the composed form of Unicode: macOS stores ü in two parts, which other systems do not."""
    return unicodedata.normalize("NFC", name)


def _name_of(info: zipfile.ZipInfo) -> str:
    """Return the composed name of a member; some programs, such as that of macOS, do not mark names that are UTF-8."""
    name = info.filename
    if not info.flag_bits & _UTF_8 and not name.isascii():
        with suppress(UnicodeError):  # a name in the code page of the system that packed it
            name = name.encode("cp437").decode("utf-8")
    return composed(name)


def parts_of(name: str) -> tuple[str, ...]:
    """Return the folders and the file name of a member."""
    return path_of(name) if name else ()


def counted_files(names: Iterable[str]) -> tuple[int, int]:
    """Return the number of images, sounds and texts, and that of other files, without those that annotate an image of
    the same name."""
    paths = [PurePosixPath(name.replace("\\", "/").lower()) for name in names]
    stems = {path.stem for path in paths if path.suffix in PICTURE_SUFFIXES}
    annotating = sum(path.suffix in _ANNOTATION_SUFFIXES and path.stem in stems for path in paths)
    pictures = sum(path.suffix in PICTURE_SUFFIXES for path in paths)
    sounds = sum(path.suffix in SOUND_SUFFIXES for path in paths)
    texts = sum(path.suffix in _TEXT_SUFFIXES and path.stem not in stems for path in paths)
    examples = pictures + sounds + texts
    # At most one for each image, so that files of a single name do not count as nothing
    return examples, len(paths) - examples - min(annotating, pictures)


def gunzip(data: bytes, name: str, limit: int) -> bytes:
    """Unpack gzip.

    Raises:
        DataError: The data is damaged, unpacks to too much, or is an archive within an archive.
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
            f"and {MAX_FILE_BYTES / 2**20:,.0f} MiB are allowed; upload it unpacked, or a part of it."
        )
    if not stream.eof:
        raise DataError(f"{name[:100]!r} is packed with gzip, but cut short; pack it again.")
    if file_types.file_type(content[: file_types.HEAD_BYTES]) in (file_types.ZIP, file_types.GZIP):
        raise DataError(f"{name[:100]!r} is an archive in an archive, which is refused; unpack the outer one first.")
    return content


def _checked(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    """Return the members of an archive of `size` bytes, without hidden files; all members are checked.

    Raises:
        DataError: The archive is too large, or a member is not allowed.
    """
    members = archive.infolist()
    examples, others = counted_files([info.filename for info in members])
    if others > MAX_MEMBERS or examples > MAX_EXAMPLES:
        raise DataError(
            f"The zip has {len(members):,} members; at most {MAX_MEMBERS:,} can be read, or {MAX_EXAMPLES:,} images, "
            "sounds and texts."
        )
    total = sum(info.file_size for info in members)
    # Members of a zip bomb may share their bytes, so that their packed sizes add up to more than the archive.
    packed = min(sum(info.compress_size for info in members), size)
    # Blank images and silence pack better than others; what fits into memory anyway does no harm
    if total > MAX_BYTES or total > max(packed * MAX_RATIO, MAX_HARMLESS_BYTES):
        raise DataError(
            f"The zip would unpack to {total / 2**20:,.0f} MiB, {total / max(packed, 1):,.0f} times its size; "
            f"at most {MAX_BYTES / 2**20:,.0f} MiB and {MAX_RATIO} times are allowed; upload "
            "a part of it, or its files without a zip."
        )
    return [info for info in members if _is_visible_file(info)]


def _is_visible_file(info: zipfile.ZipInfo) -> bool:
    """Return whether a member is a visible file.

    Raises:
        DataError: The member is not allowed.
    """
    path = PurePosixPath(info.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in str(path).partition("/")[0]:
        raise DataError(
            f"The zip has a member that points outside of it: {info.filename[:100]!r}; pack its folder again."
        )
    # The upper 16 bits are the mode of Unix
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DataError(
            f"The zip has a link in it, which is not allowed: {info.filename[:100]!r}; pack the file that it leads to."
        )
    # Bit 0 marks an encrypted member
    if info.flag_bits & 1:
        raise DataError("The zip is encrypted; pack it without a password.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError("The zip is packed in an unusual way; pack it as a plain zip (deflate).")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    # `is_dir` fails on an empty name, so that the name is tested first.
    return not hidden and bool(path.parts) and not info.is_dir()
