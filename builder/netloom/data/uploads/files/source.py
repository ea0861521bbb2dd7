"""The source of an upload: its files with their types, and the tables among them."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.limits import MAX_EXAMPLES, MAX_FILE_BYTES, MAX_MEMBERS, MAX_UNPACKED_BYTES
from netloom.data.tables.readers import TABLE_FORMS, decode_text, read_table
from netloom.data.tables.spreadsheets import sheet_names
from netloom.data.tables.streamed_table import StreamedTable
from netloom.data.tables.streaming_import import streamed_table
from netloom.data.uploads.files.feature_files import FeatureFiles, feature_files, read_features
from netloom.data.uploads.files.joining import PART
from netloom.data.uploads.files.members import Files, Members, Zip, composed, counted_files, gunzip, parts_of
from netloom.data.uploads.files.table_sets import TableSet, read_set, table_sets
from netloom.data.uploads.files.unfolding import unfolded

if TYPE_CHECKING:
    import pandas as pd

_OF_SYSTEMS = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")  # files that operating systems add to folders
Content = bytes | Path | Mapping[str, bytes]


class Source:
    """A file, several files, a folder or a zip.

    Attributes:
        names: The names of the files.
        large: The table of the only file, if it is too large to be read at once.
        noted: The files that a reader has left out with a note.
    """

    def __init__(self, members: Members, filename: str, large: StreamedTable | None = None) -> None:
        self.members, self.filename, self.large = members, filename, large
        self.names = members.names
        self.noted: set[str] = set()
        self._tables: dict[tuple[str, str], tuple[pd.DataFrame, list[str]]] = {}
        self._refused: dict[tuple[str, str], str] = {}
        self._once: dict[Hashable, Any] = {}

    @property
    def alone(self) -> bool:
        """Whether there is a single file."""
        return len(self.names) == 1

    def form(self) -> str:
        """Return the type of the only file; "" if there are several."""
        return self.members.form(self.names[0]) if self.alone else ""

    def tables(self) -> list[str]:
        """Return the files that may be tables."""
        return self.members.of(*TABLE_FORMS)

    def table(self, name: str = "", sheet: str = "") -> tuple[pd.DataFrame, list[str]]:
        """Return a file as a table, and notes on what had to be assumed; cached. A `large` file returns its first rows.

        Raises:
            DataError: The file is not a table.
        """
        name = name or self.names[0]
        key = (name, sheet)
        if self.large is not None and key not in self._tables:
            self._tables[key] = self.large.sample(), self.large.notes
        if key in self._refused:
            raise DataError(self._refused[key])
        if key not in self._tables:
            try:
                content = self.members.read(name, MAX_FILE_BYTES)
                self._tables[key] = read_table(content, self.members.form(name), self._shown(name), sheet)
            except DataError as error:
                self._refused[key] = str(error)
                raise
        return self._tables[key]

    def lines(self, name: str) -> list[str]:
        """Return the lines of a text file, also empty ones, with single blanks between words; cached.

        Other marks of line ends that Unicode knows can be within a line.

        Raises:
            DataError: The file is not text.
        """

        def read() -> list[str]:
            text, _ = decode_text(self.members.read(name, MAX_FILE_BYTES), name)
            end = "\n" if "\n" in text else "\r"
            lines = text.replace("\0", " ").removesuffix(end).split(end)
            return [" ".join(line.split()) for line in lines]

        lines: list[str] = self.once(("lines", name), read)
        return lines

    def together(self, chosen: str = "") -> tuple[pd.DataFrame, list[str]]:
        """Return the table of one of the `sets`, by default the most likely one, and notes; cached.

        The tables of the parts of a split are concatenated with the column `PART`, others with the column `FILE`.

        Raises:
            DataError: There are none, one cannot be read, or their columns differ.
        """
        key = (chosen, PART)
        if key in self._refused:
            raise DataError(self._refused[key])
        if key not in self._tables:
            try:
                pairs = self.feature_files()
                self._tables[key] = (
                    read_features(pairs, self._values, self.tables()) if pairs else read_set(self, self.sets(), chosen)
                )
            except DataError as error:
                self._refused[key] = str(error)
                raise
        return self._tables[key]

    def added_column(self, chosen: str = "") -> str:
        """Return the column that concatenating the files of a data set has added to its table; "" if there is none.

        Raises:
            DataError: As in `together`.
        """
        if self.feature_files():
            return PART if PART in self.together()[0] else ""
        sets = self.sets()
        item = sets.get(chosen) or next(iter(sets.values()), None)
        if item is None or item.are_parts:
            return PART
        return str(self.together(chosen)[0].columns[0]) if len(item.names) > 1 else ""

    def _values(self, name: str) -> tuple[pd.DataFrame, list[str]]:
        """Return a file as a table, which may have a single column, and notes.

        Raises:
            DataError: It is not a table.
        """
        content = self.members.read(name, MAX_FILE_BYTES)
        return read_table(content, self.members.form(name), name, to_learn=False)

    def feature_files(self) -> list[FeatureFiles]:
        """Return the files of inputs and of targets, such as X_train.csv and y_train.csv; cached."""
        pairs: list[FeatureFiles] = self.once("feature files", lambda: feature_files(self.tables()))
        return pairs

    def sets(self) -> dict[str, TableSet]:
        """Return the data sets among several tables by name, the most likely one first; cached."""
        if self.feature_files():
            return {}
        sets: dict[str, TableSet] = self.once("sets", lambda: table_sets(self))
        return sets

    def once(self, key: Hashable, work_out: Callable[[], Any]) -> Any:
        """Return the result of `work_out`, cached under a key."""
        if key not in self._once:
            self._once[key] = work_out()
        return self._once[key]

    def sheets(self) -> list[str]:
        """Return the names of the sheets of a spreadsheet; [] for other files."""
        if self.form() != file_types.EXCEL:
            return []
        return sheet_names(self.members.read(self.names[0], MAX_FILE_BYTES), self.filename)

    def file_notes(self) -> list[str]:
        """Return notes on how the files were opened, and on those of unknown types, which no kind of data reads."""
        unread = [
            name
            for name in self.names
            if name not in self.noted
            and self.members.form(name) in ("", file_types.EMPTY)
            and parts_of(name)[-1].lower() not in _OF_SYSTEMS
        ]
        if not unread:
            return [*self.members.notes]
        words = file_types.refusal(self.members.head(unread[0])) or "a file of an unknown type"
        many = f"{len(unread):,} files were" if len(unread) > 1 else "A file was"
        return [*self.members.notes, f"{many} left out: {unread[0][-80:]!r} is {words}."]

    def _shown(self, name: str) -> str:
        return self.filename if self.alone else name


def open_source(content: Content, filename: str) -> Source:
    """Open an upload.

    Raises:
        DataError: It is empty, too large, malicious, or of an unknown type.
    """
    if isinstance(content, Path) and content.is_dir():
        return Source(unfolded(_folder(content)), filename)
    if isinstance(content, Mapping):
        if len(content) != 1:
            return Source(unfolded(_several(content)), filename)
        ((filename, only),) = content.items()
        return open_source(only, filename)
    large = _large(content, filename)
    if large is not None:
        return large
    data = _bytes(content)
    if not data.strip():
        raise DataError(f"{filename[:100]!r} is empty; choose the file that holds the data.")
    if file_types.file_type(data[: file_types.HEAD_BYTES]) == file_types.GZIP:
        data = gunzip(data, filename, MAX_FILE_BYTES)
    form = file_types.file_type(data[: file_types.HEAD_BYTES])
    if form == file_types.ZIP:
        members = Zip(data, filename)
        if not _is_office(members.names):
            _refuse_nested(members)
            return Source(unfolded(members), filename)
    refuse_unknown(form, data, filename)
    files = Files({filename: data})
    if form == file_types.ZIP:
        # Its first bytes are those of a zip
        files.set_form(filename, _office(members.names, filename))
    return Source(unfolded(files), filename)


def _large(content: bytes | Path, filename: str) -> Source | None:
    """Return the source of a table that is too large to be read at once; None for other files."""
    try:
        if isinstance(content, Path):
            with content.open("rb") as file:
                head = file.read(file_types.HEAD_BYTES)
        else:
            head = content[: file_types.HEAD_BYTES]
        table = streamed_table(content, file_types.file_type(head), filename)
    except OSError as error:
        raise DataError(
            f"{content if isinstance(content, Path) else filename} cannot be read: {error.strerror}."
        ) from None
    return None if table is None else Source(Files({filename: content}), filename, table)


def refuse_unknown(form: str, data: bytes, filename: str) -> None:
    """Refuse a file of an unknown type.

    Raises:
        DataError: The type is unknown.
    """
    if form:
        return
    words = file_types.refusal(data[: file_types.HEAD_BYTES])
    if words:
        raise DataError(f"{filename[:100]!r} is {words}.")
    raise DataError(
        f"{filename[:100]!r} has an unknown type; tables (CSV, Parquet, JSON, Excel), arrays (NPZ, NPY, MAT, IDX), "
        "series (.ts), text, and images or sounds in a zip can be read."
    )


def _is_office(names: tuple[str, ...]) -> bool:
    return "[Content_Types].xml" in names


def _office(names: tuple[str, ...], filename: str) -> str:
    if "xl/workbook.xml" in names:
        return file_types.EXCEL
    description = "a Word document" if "word/document.xml" in names else "an Office document that is not a spreadsheet"
    raise DataError(
        f"{filename[:100]!r} is {description}; save its table as .xlsx or CSV, or its text as a plain text file."
    )


def _refuse_nested(members: Members) -> None:
    for name in members.names:
        if members.form(name) == file_types.ZIP:
            raise DataError(
                f"{name[:100]!r} in the zip is an archive or an Office document itself, which is refused; "
                "unpack it first, or save it as CSV."
            )


def _several(files: Mapping[str, bytes]) -> Members:
    if not files:
        raise DataError("No file was given.")
    if sum(map(len, files.values())) > MAX_FILE_BYTES:
        raise DataError(f"The files are too large; together at most {MAX_FILE_BYTES / 2**20:,.0f} MiB can be read.")
    members = Files(files)
    for name in members.names:
        if members.form(name) == file_types.ZIP:
            raise DataError(f"{name[:100]!r} is a zip or a spreadsheet; add it without other files.")
    return members


def _folder(folder: Path) -> Members:
    """Return the files in a local folder, without links and hidden files."""
    files: dict[str, bytes | Path] = {}
    total = 0
    for directory, _, names in os.walk(folder):
        for file_name in names:
            path = Path(directory) / file_name
            inside = path.relative_to(folder)
            if path.is_symlink() or not path.is_file() or any(part.startswith(".") for part in inside.parts):
                continue
            name = (Path(folder.name) / inside).as_posix()
            files[plain if (plain := composed(name)) not in files else name] = path
            total += path.stat().st_size
    examples, others = counted_files(files)
    if others > MAX_MEMBERS or examples > MAX_EXAMPLES or total > MAX_UNPACKED_BYTES:
        raise DataError(
            f"The folder holds {len(files):,} files of {total / 2**20:,.0f} MiB; at most {MAX_MEMBERS:,} files, or "
            f"{MAX_EXAMPLES:,} images, sounds and texts, of {MAX_UNPACKED_BYTES / 2**20:,.0f} MiB can be read."
        )
    if not files:
        raise DataError(f"The folder {folder.name[:100]!r} is empty; choose the one that holds the data.")
    members = Files(files)
    for name in members.names:
        if members.form(name) == file_types.ZIP:
            raise DataError(
                f"{name[:100]!r} in the folder is an archive or an Office document; add it without other files."
            )
    return members


def _bytes(content: bytes | Path) -> bytes:
    """Return the bytes of an upload; never more than the limit is read."""
    if isinstance(content, Path):
        path = content
        try:
            with path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > MAX_FILE_BYTES:
        raise DataError(f"The file is too large; at most {MAX_FILE_BYTES / 2**20:,.0f} MiB can be read.")
    return content
