"""Uploaded datasets. Each kind of upload is a module in `kinds/`; an upload is data, never code.

An upload is read once, converted to a format of Netloom, and stored under a UUID. Its title is never part of a path.
"""

from __future__ import annotations

import itertools
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from netloom.core.errors import DataError
from netloom.core.field_errors import nearest_name
from netloom.core.plain_json import Json, JsonObject
from netloom.core.progress import ProgressCallback, ignore_progress
from netloom.core.text import counted
from netloom.data.applied_settings import with_columns
from netloom.data.builtin_registry import builtin
from netloom.data.caching import memmap_cache
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import DatasetInfo
from netloom.data.settings.column_settings import COLUMNS
from netloom.data.splits.given_splits import NO_PART, file_parts, is_split, part_of
from netloom.data.splits.split import refuse_few
from netloom.data.tables.readers import TABLE_FORMS
from netloom.data.uploads.files.joining import reads, tables_in_parts
from netloom.data.uploads.files.source import Content, Source, open_source
from netloom.data.uploads.upload_kind import DEFAULTS, Reader, fitting, reader_of, readers, stored_options
from netloom.data.uploads.upload_meta import META_FILE, UploadMeta, read_meta, write_meta
from netloom.document import DataChoice
from netloom.document.former_names import FORMER_UPLOAD_KINDS, renamed_options

__all__ = ["Reader", "Source", "add_file", "add_source", "find_upload", "fitting", "has_upload", "identified",
           "open_source", "read_upload", "reader_for", "readers", "remove", "title_for", "uploaded"]  # fmt: skip


def add_file(
    content: Content,
    filename: str,
    home: Path,
    *,
    name: str = "",
    target: str | None = None,
    kind: str = "",
    options: Mapping[str, Json] | None = None,
    progress: ProgressCallback = ignore_progress,
) -> DatasetInfo:
    """Read and store an upload.

    Args:
        content: The bytes of a file, the path of a file or folder, or the bytes of several files by name.
        name: The title; by default the name of the file.
        target: The column to predict; by default it is inferred.
        kind: The name of a reader; by default the most likely one.
        options: Answers to the other questions of the reader, which are inferred by default.

    Raises:
        DataError: The file cannot be read, or it has nothing to learn from.
    """
    progress(0.0, "Inspecting the file")
    source = open_source(content, filename)
    return add_source(source, home, name=name, target=target, kind=kind, options=options, progress=progress)


def add_source(
    source: Source,
    home: Path,
    *,
    name: str = "",
    target: str | None = None,
    kind: str = "",
    options: Mapping[str, Json] | None = None,
    progress: ProgressCallback = ignore_progress,
) -> DatasetInfo:
    """Read and store an opened source; see `add_file`.

    Raises:
        DataError: The source cannot be read, or it has nothing to learn from.
    """
    reader = reader_for(source, kind, target)
    options_with_target = with_target(reader, renamed_options(options or {}), target)
    answers = reader.answered(source, options_with_target)
    title = title_for(source.filename, name, home)
    with _new_folder(home) as folder:
        stored = reader.keep(source, answers, folder, progress)
        refuse_few(stored.rows)
        meta: UploadMeta = {
            "id": folder.name,
            "title": title,
            "created_at": datetime.now(UTC).isoformat(),
            "reader": reader.name,
            "kind": reader.kind,
            "rows": stored.rows,
            "columns": [str(column) for column in stored.columns],
            "options": stored_options(reader, source, answers),
            "notes": [*stored.notes, *source.file_notes()],
            "summary": stored.summary,
            "task": "",
            "validation_of": "training",
            "stratifies_given": True,
            **stored.extra,
        }
        progress(0.95, "Checking the stored data")
        # Training reads it in the same way, so that what it would refuse is refused now.
        raw = reader.raw(folder, meta, dict(meta["options"]))
        _refuse_unsplit(source, reader, raw, answers)
        refuse_few(len(raw))
        meta["kind"] = stored.extra.get("kind") or reader.kind_of(raw)
        meta["task"] = raw.target_type.usual_task
        # Last, as a folder without this file is not an upload: no process sees an incomplete one
        write_meta(folder, meta)
    progress(1.0, "Added")
    return _info(meta)


def with_target(reader: Reader, options: Mapping[str, Json], target: str | None) -> JsonObject:
    """Return the options with the target, if one is named.

    Raises:
        DataError: This kind of data has no column to predict.
    """
    if target is None:
        return dict(options)
    if not reader.target_question:
        raise DataError(
            f"{reader.title!r} has no column to predict, so the target {target[:60]!r} cannot be used; leave it out, "
            "or choose another kind of data."
        )
    return {reader.target_question: target, **options}


def _refuse_unsplit(source: Source, reader: Reader, raw: RawDataset, answers: Mapping[str, Json]) -> None:
    """Refuse to ignore a split.

    Raises:
        DataError: Files or folders are named after the parts of a split, but this kind of data cannot use that.
    """
    if raw.given is not None or source.alone or ("split" in answers and answers["split"] is None):
        return
    if _agree(reader.used_files(source)):
        raise DataError(
            f"The files are named after parts of a split, such as {source.names[0][:60]!r}, but {reader.title!r} "
            "cannot be split by files or folders; upload one file with a column of train, validation and test."
        )


def _agree(names: Sequence[str]) -> bool:
    try:
        return bool(file_parts(names).parts)
    except DataError:
        return False


def reader_for(source: Source, kind: str = "", target: str | None = None) -> Reader:
    """Return the reader of a name, or the most likely one.

    Raises:
        DataError: There is no such reader, or none fits.
    """
    if kind := FORMER_UPLOAD_KINDS.get(kind, kind):
        if kind not in readers():
            nearest = nearest_name(kind, readers())
            hint = f"did you mean {nearest!r}?" if nearest else f"choose one of {', '.join(readers())}."
            raise DataError(f"There is no kind of data {kind[:60]!r}; {hint}")
        if source.large is not None and not readers()[kind].takes_large:
            raise DataError(
                f"{source.filename[:100]!r} does not fit into memory, which only tables may; upload a part of it, or "
                f"raise NETLOOM_DATA_MEMORY_MB, to read it as {kind!r}."
            )
        return readers()[kind]
    candidates = fitting(source)
    if target is not None:  # a named column implies a plain table, whatever else it looks like, or another one
        tables = [reader for reader in candidates if reader.can_predict(source, target) or reader.sets_columns]
        candidates = tables or [reader for reader in candidates if reader.target_question] or candidates
    if not candidates:
        raise DataError(_nothing_fits(source))
    return candidates[0]


def uploaded(home: Path) -> list[DatasetInfo]:
    """All uploads, the newest first."""
    dated = []
    for file in (home / "data").glob(f"*/{META_FILE}"):
        try:
            status = file.stat()
            dated.append(_described(file, status.st_mtime_ns, status.st_ino, status.st_size))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another process is writing or removing it, or it is not an upload
    return [info for _, info in sorted(dated, key=lambda item: item[0], reverse=True)]


@lru_cache(maxsize=1_024)
def _described(file: Path, *version: int) -> tuple[str, DatasetInfo]:
    """Return when an upload was made and its description, in a version of its file: pages list them with each edit."""
    meta = read_meta(file.parent)
    return meta["created_at"], _info(meta)


def remove(name: str, home: Path) -> None:
    """Delete an upload.

    Raises:
        DataError: There is no such upload.
    """
    folder = find_upload(name, home)
    # The defaults first: without the folder, `find_upload` could not name them any more
    (home / "data" / DEFAULTS / f"{folder.name}.json").unlink(missing_ok=True)
    shutil.rmtree(folder)


def read_upload(choice: DataChoice, home: Path) -> RawDataset:
    """Read an upload with the options of a document.

    Raises:
        DataError: There is no such upload, or an option is invalid.
    """
    from pyarrow import ArrowException

    folder = find_upload(choice.dataset, home)
    try:
        meta = read_meta(folder)
        options = options_of(meta["options"], choice)
        reader = reader_of(meta)
        columns = None if reader.sets_columns else options.pop(COLUMNS, None)
        raw = reader.raw(folder, meta, options)
        raw = raw if columns is None else with_columns(raw, columns)
        raw.warnings[:0] = meta.get("notes", [])
        if raw.given is None and raw.target_type.is_class and is_split(map(part_of, raw.classes)):
            raw.warnings.append(
                f"The classes are {', '.join(map(repr, raw.classes))}, which look like the parts of a split; if they "
                "are, add the files again."
            )
        if raw.given is not None and not raw.contiguous and (unassigned := int((raw.given == NO_PART).sum())):
            raw.warnings.append(f"Left out {counted(unassigned, 'row')} in no part of the split.")
        raw.stratifies_given = meta.get("stratifies_given", False)
        raw.folder, raw.identity = folder, memmap_cache.key(folder.name, options, columns)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, ArrowException) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            "The stored copy of this upload is damaged or missing; remove it, and upload the file again."
        ) from None
    return raw


def options_of(stored_options: Mapping[str, Json], choice: DataChoice) -> JsonObject:
    """Return the options of an upload, overridden by those of a document; settings of columns are merged by column."""
    options: JsonObject = {**stored_options, **choice.options}
    columns, stored_columns = choice.options.get(COLUMNS), stored_options.get(COLUMNS)
    if isinstance(columns, dict) and isinstance(stored_columns, dict):
        merged = {**stored_columns, **columns}
        options[COLUMNS] = {name: _over(stored_columns.get(name), settings) for name, settings in merged.items()}
    return options


def _over(stored: Json, settings: Json) -> Json:
    return {**stored, **settings} if isinstance(stored, dict) and isinstance(settings, dict) else settings


def find_upload(name: str, home: Path) -> Path:
    """Return the folder of an upload, by its id or its unique title.

    Raises:
        DataError: There is no such upload, or several have the title.
    """
    try:
        # A name is part of a path only as a UUID, so that it cannot point elsewhere
        folder = home / "data" / str(uuid.UUID(name))
    except ValueError:
        folder = home / "data" / _id_of(name, home)
    if not (folder / META_FILE).exists():
        raise DataError("This upload does not exist any more; upload it again, or choose other data.")
    return folder


def identified(choice: DataChoice, home: Path) -> DataChoice:
    """Return the choice with the id of its upload instead of its title, which another upload may get later.

    A choice of anything else is returned unchanged.
    """
    if not choice.dataset:
        return choice
    try:
        name = find_upload(choice.dataset, home).name
    except DataError:
        return choice
    return choice if name == choice.dataset else choice.model_copy(update={"dataset": name})


def _id_of(title: str, home: Path) -> str:
    """Return the id of the only upload with this title.

    Raises:
        DataError: There is none, or there are several.
    """
    uploads = uploaded(home)
    ids = [info.name for info in uploads if info.title == title]
    if not ids:
        nearest = nearest_name(title, [*builtin(), *(info.title for info in uploads)])
        hint = f"; did you mean {nearest!r}?" if nearest else "."
        raise DataError(f"There is no dataset {title[:80]!r}{hint}")
    if len(ids) > 1:
        raise DataError(f"{len(ids)} datasets are called {title[:80]!r}; use one of their ids: {', '.join(ids[:8])}.")
    return ids[0]


def has_upload(name: str, home: Path) -> bool:
    """Return whether there is an upload with this id or unique title."""
    try:
        find_upload(name, home)
    except DataError:
        return False
    return True


def _nothing_fits(source: Source) -> str:
    """Return the reason why no reader fits."""
    counts: dict[str, int] = {}
    for name in source.names:
        form = source.members.form(name) or "unknown"
        counts[form] = counts.get(form, 0) + 1
    split_tables = tables_in_parts(source.tables())
    if any(reads(source, name) for name in split_tables.parts):
        try:
            source.together()
        except DataError as error:
            return str(error)
    if _agree(source.names):
        return (
            f"The files are parts of a split, such as {source.names[0][:60]!r}, but they have no labels: put images, "
            "sounds and texts into one folder per class within each part (train/yes/1.txt), or add a table of labels."
        )
    if source.alone and source.form() in TABLE_FORMS:
        # The error of the table reader is the most specific.
        try:
            source.table()
        except DataError as error:
            return str(error)
    if notes := source.file_notes():
        return f"{source.filename[:100]!r} has nothing that can be learned from. {notes[0]}"
    contents = ", ".join(f"{count:,} {form}" for form, count in sorted(counts.items(), key=lambda item: -item[1]))
    if source.alone and "picture" in counts:
        return (
            f"{source.filename[:100]!r} is a single image; upload a zip of images, in one folder per class, or with a "
            "table of labels, masks or boxes."
        )
    if source.alone and "sound" in counts:
        return (
            f"{source.filename[:100]!r} is a single sound; upload a zip of sounds, in one folder per class or with a "
            "table of labels."
        )
    return (
        f"{source.filename[:100]!r} has no images, sounds, texts, arrays or table that can be learned from (found: "
        f"{contents or 'nothing'}); put images, sounds and texts into one folder per class, or add a table of labels."
    )


def title_for(filename: str, name: str, home: Path) -> str:
    """Return the title of an upload: the given name, or the name of the file, numbered if another dataset has it."""
    title = _title(filename, name)
    return title if name else _unused(title, {*builtin(), *(info.title for info in uploaded(home))})


def _title(filename: str, name: str) -> str:
    # File names may hold bytes that are not Unicode; metadata must not.
    stem = Path(filename.replace("\\", "/")).stem
    return (name or stem or "data")[:200].encode(errors="replace").decode()


def _unused(title: str, used_titles: Set[str]) -> str:
    """Return the title, numbered if it is taken, so that a list of datasets has unique names."""
    numbered = (f"{title} ({number})" for number in itertools.count(2))
    return (
        title if title not in used_titles else next(candidate for candidate in numbered if candidate not in used_titles)
    )


@contextmanager
def _new_folder(home: Path) -> Iterator[Path]:
    """A new folder for an upload, which is removed if filling it fails."""
    folder = home / "data" / str(uuid.uuid4())
    folder.mkdir(parents=True)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _info(meta: UploadMeta) -> DatasetInfo:
    columns = tuple(meta["columns"])
    return DatasetInfo(
        meta["id"], meta["title"], meta["kind"], meta["task"], meta["summary"], meta["rows"], False, columns
    )
