"""Data that people bring, each kind of it one file in `kinds/`. It is data, never code.

An upload is read once, brought into a form of ours, and kept under a UUID; the name that people gave it is only text.
"""

from __future__ import annotations

import itertools
import json
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from netloom.core.errors import DataError
from netloom.data.preparation import memmap_cache
from netloom.data.preparation.applied_settings import with_columns
from netloom.data.preparation.column_settings import COLUMNS, nearest
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import DatasetInfo
from netloom.data.splits.given_splits import NO_PART, file_parts, is_split, part_of
from netloom.data.splits.split import refuse_few
from netloom.data.tables.readers import TABLE_FORMS
from netloom.data.uploads.joining import reads, tables_in_parts
from netloom.data.uploads.source import Content, Source, open_source
from netloom.data.uploads.upload_kind import DEFAULTS, Reader, Tell, fitting, readers, silent, stored_options
from netloom.document import DataChoice, write_bytes

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
    options: Mapping[str, Any] | None = None,
    tell: Tell = silent,
) -> DatasetInfo:
    """Read an upload and keep it: the bytes of a file, a file or folder of this machine, or several files by name.

    `kind` is one of `readers()`, else the likeliest; `target` names what to predict and `options` answer the kind's
    other questions; without them they are guessed. `tell` hears how far it is.

    Raises:
        DataError: the file cannot be read, or there is nothing in it to learn from.
    """
    tell(0.0, "Looking at the file")
    source = open_source(content, filename)
    return add_source(source, home, name=name, target=target, kind=kind, options=options, tell=tell)


def add_source(
    source: Source,
    home: Path,
    *,
    name: str = "",
    target: str | None = None,
    kind: str = "",
    options: Mapping[str, Any] | None = None,
    tell: Tell = silent,
) -> DatasetInfo:
    """Keep what was opened, as `add_file` does.

    Raises:
        DataError: it cannot be read, or there is nothing in it to learn from.
    """
    reader = reader_for(source, kind, target)
    given = with_target(reader, options or {}, target)
    answers = reader.answered(source, given)
    title = title_for(source.filename, name, home)
    with _new_folder(home) as folder:
        kept = reader.keep(source, answers, folder, tell)
        refuse_few(kept.rows)
        meta: dict[str, Any] = {
            "reader": reader.name,
            "kind": reader.kind,
            "rows": kept.rows,
            "columns": [str(column) for column in kept.columns],
            "options": stored_options(reader, source, answers),
            "notes": kept.notes,
            "summary": kept.summary,
            **kept.extra,
        }
        tell(0.95, "Reading it as training will")
        raw = reader.raw(folder, {"title": title, **meta}, dict(meta["options"]))  # refuses now what would be later
        _refuse_unsplit(source, reader, raw, answers)
        refuse_few(len(raw))
        meta["task"] = raw.target_type.usual_task
        info = _finish(folder, title, meta)
    tell(1.0, "Added")
    return info


def with_target(reader: Reader, options: Mapping[str, Any], target: str | None) -> dict[str, Any]:
    """The options, and what is to be predicted among them where it is named.

    Raises:
        DataError: this kind of data has no column to predict.
    """
    if target is None:
        return dict(options)
    if not reader.target_question:
        raise DataError(
            f"{reader.title!r} has no column to predict, so the target {target[:60]!r} cannot be taken; leave it out, "
            "or choose another kind of data."
        )
    return {reader.target_question: target, **options}


def _refuse_unsplit(source: Source, reader: Reader, raw: RawDataset, answers: Mapping[str, Any]) -> None:
    """Raises:
    DataError: files or folders say how rows are split, but this kind of data does not take it over.
    """
    if raw.given is not None or source.alone or ("split" in answers and answers["split"] is None):
        return
    if _agree(source.names):
        raise DataError(
            f"The files say that they are parts of a split, such as {source.names[0][:60]!r}, but {reader.title!r} "
            "cannot be split by files or folders; bring one file, with a column that says train, validation or test."
        )


def _agree(names: Sequence[str]) -> bool:
    try:
        return bool(file_parts(names).parts)
    except DataError:
        return False


def reader_for(source: Source, kind: str = "", target: str | None = None) -> Reader:
    """The reader of this name, else the likeliest.

    Raises:
        DataError: there is none of this name, or none fits.
    """
    if kind:
        if kind not in readers():
            known = ", ".join(readers())
            raise DataError(f"There is no kind of data {kind[:60]!r}; there is {known}.{nearest(kind, readers())}")
        if source.large is not None and not readers()[kind].takes_large:
            raise DataError(
                f"{source.filename[:100]!r} is larger than fits into memory, and only tables can be; bring a part of "
                f"it, or raise NETLOOM_DATA_MEMORY_MB, to read it as {kind!r}."
            )
        return readers()[kind]
    found = fitting(source)
    if target is not None:  # a table whose column to predict is named is a table
        found = [reader for reader in found if reader.name == "table"] or found
    if not found:
        raise DataError(_nothing_fits(source))
    return found[0]


def uploaded(home: Path) -> list[DatasetInfo]:
    """The uploads, the newest first."""
    found = []
    for meta in (home / "data").glob("*/meta.json"):
        try:
            content = json.loads(meta.read_text(encoding="utf-8"))
            found.append((str(content["created_at"]), _info(content)))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # being written or removed at this moment, or no file of ours
    return [info for _, info in sorted(found, key=lambda item: item[0], reverse=True)]


def remove(name: str, home: Path) -> None:
    """Forget an upload.

    Raises:
        DataError: there is none of this name.
    """
    folder = find_upload(name, home)
    (home / "data" / DEFAULTS / f"{folder.name}.json").unlink(missing_ok=True)
    shutil.rmtree(folder)


def read_upload(choice: DataChoice, home: Path) -> RawDataset:
    """An upload with the options of a document.

    Raises:
        DataError: there is none of this name, or its options are wrong.
    """
    from pyarrow import ArrowException

    folder = find_upload(choice.dataset, home)
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        options = options_of(meta["options"], choice)
        known = meta.get("reader") or {"image": "picture_folders"}.get(meta["kind"], "table")
        columns = options.pop(COLUMNS, None) if known != "table" else None
        raw = readers()[known].raw(folder, meta, options)
        raw = raw if columns is None else with_columns(raw, columns)
        raw.warnings[:0] = meta.get("notes", [])
        if raw.given is None and raw.target_kind == "class" and is_split(map(part_of, raw.classes)):
            raw.warnings.append(
                f"The classes are {', '.join(map(repr, raw.classes))}, which are rather the parts of a split; if they "
                "are, add the files again."
            )
        if raw.given is not None and not raw.contiguous and (none := int((raw.given == NO_PART).sum())):
            raw.warnings.append(f"{none:,} rows are in no part of the split that is given, and are left out.")
        raw.folder, raw.identity = folder, memmap_cache.key(folder.name, options, columns)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, ArrowException) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            "What was kept of this upload is damaged or gone; remove it, and upload the file again."
        ) from None
    return raw


def options_of(kept: Mapping[str, Any], choice: DataChoice) -> dict[str, Any]:
    """The options of a document, over those that were settled as the data was added; of columns, setting by setting."""
    options, said, before = {**kept, **choice.options}, choice.options.get(COLUMNS), kept.get(COLUMNS)
    if isinstance(said, dict) and isinstance(before, dict):
        both = {**before, **said}
        options[COLUMNS] = {name: _over(before.get(name), one) for name, one in both.items()}
    return options


def _over(before: Any, said: Any) -> Any:
    return {**before, **said} if isinstance(before, dict) and isinstance(said, dict) else said


def find_upload(name: str, home: Path) -> Path:
    """The folder of an upload, by its id, or by its title where no other has that.

    Raises:
        DataError: there is none of this name, or several are called so.
    """
    try:
        folder = home / "data" / str(uuid.UUID(name))
    except ValueError:
        folder = home / "data" / _id_of(name, home)
    if not (folder / "meta.json").exists():
        raise DataError("This upload is not there any more; upload it again, or choose other data.")
    return folder


def identified(choice: DataChoice, home: Path) -> DataChoice:
    """The choice with the id of an upload that it calls by its title, which another may have tomorrow; as it is where
    there is none such."""
    if not choice.dataset:
        return choice
    try:
        name = find_upload(choice.dataset, home).name
    except DataError:
        return choice
    return choice if name == choice.dataset else choice.model_copy(update={"dataset": name})


def _id_of(title: str, home: Path) -> str:
    """The id of the only upload with this title.

    Raises:
        DataError: there is none, or there are several.
    """
    ids = [info.name for info in uploaded(home) if info.title == title]
    if not ids:
        raise DataError(f"There is no dataset {title[:80]!r}.")
    if len(ids) > 1:
        raise DataError(f"{len(ids)} datasets are called {title[:80]!r}; write one of their ids: {', '.join(ids[:8])}.")
    return ids[0]


def has_upload(name: str, home: Path) -> bool:
    """Whether there is an upload of this name."""
    try:
        find_upload(name, home)
    except DataError:
        return False
    return True


def _nothing_fits(source: Source) -> str:
    found: dict[str, int] = {}
    for name in source.names:
        form = source.members.form(name) or "unknown"
        found[form] = found.get(form, 0) + 1
    told = tables_in_parts(source.tables())
    if any(reads(source, name) for name in told.parts):
        try:
            source.together()
        except DataError as error:
            return str(error)
    if _agree(source.names):
        return (
            f"The files are parts of a split, such as {source.names[0][:60]!r}, but nothing says what is to be learned "
            "from them: put pictures, sounds and texts into one folder per class within each part (train/yes/1.txt), "
            "or bring a table beside them."
        )
    if source.alone and source.form() in TABLE_FORMS:
        # What is wrong with it as a table tells the most.
        try:
            source.table()
        except DataError as error:
            return str(error)
    held = ", ".join(f"{count:,} {form}" for form, count in sorted(found.items(), key=lambda item: -item[1]))
    if source.alone and "picture" in found:
        return (
            f"{source.filename[:100]!r} is a single picture; bring a zip of pictures, in one folder per class, or "
            "with a table or masks beside them."
        )
    if source.alone and "sound" in found:
        return (
            f"{source.filename[:100]!r} is a single sound; bring a zip of sounds, in one folder per class or with a "
            "table."
        )
    return (
        f"{source.filename[:100]!r} holds no pictures, sounds, texts, arrays or table in a form that can be learned "
        f"from (found: {held or 'nothing'}); pictures, sounds and texts lie in one folder per class, or have "
        "a table beside them."
    )


def title_for(filename: str, name: str, home: Path) -> str:
    """What an upload is called: as it is said, else as its file, numbered where that is taken."""
    title = _title(filename, name)
    return title if name else _unused(title, {info.title for info in uploaded(home)})


def _title(filename: str, name: str) -> str:
    # What a file system calls a name need not be Unicode, but what is stored must be.
    stem = Path(filename.replace("\\", "/")).stem
    return (name or stem or "data")[:200].encode(errors="replace").decode()


def _unused(title: str, taken: Set[str]) -> str:
    """The title, numbered where the same file was added before: two of one name cannot be told apart in a list."""
    numbered = (f"{title} ({number})" for number in itertools.count(2))
    return title if title not in taken else next(other for other in numbered if other not in taken)


@contextmanager
def _new_folder(home: Path) -> Iterator[Path]:
    """A folder for an upload, gone again if it cannot be filled."""
    folder = home / "data" / str(uuid.uuid4())
    folder.mkdir(parents=True)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _finish(folder: Path, title: str, meta: dict[str, Any]) -> DatasetInfo:
    meta = {"id": folder.name, "title": title, "created_at": datetime.now(UTC).isoformat(), **meta}
    write_bytes(folder / "meta.json", json.dumps(meta, ensure_ascii=False).encode())
    return _info(meta)


def _info(meta: dict[str, Any]) -> DatasetInfo:
    columns = tuple(meta["columns"])
    return DatasetInfo(
        meta["id"], meta["title"], meta["kind"], meta["task"], meta["summary"], meta["rows"], False, columns
    )
