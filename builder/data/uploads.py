"""Data that people bring: tables (CSV, Parquet) and zips of picture folders. It is data, never code.

An upload is read once, brought into a form of ours, and kept under a UUID; the name that people gave it is only text.
"""

from __future__ import annotations

import json
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.data.images import read_zip
from builder.data.limits import MAX_FILE_BYTES, SMALLEST_SIDE, STORED_SIDE
from builder.data.raw import Images, Raw
from builder.data.readers import read_table
from builder.data.schema import DataError, DatasetInfo
from builder.data.split import refuse_few
from builder.data.tables import default_target, table_to_raw
from builder.graph import DataChoice, write_bytes

if TYPE_CHECKING:
    import pandas as pd

IMAGE_SIDE = 32


def add_file(
    content: bytes | Path, filename: str, home: Path, *, name: str = "", target: str | None = None
) -> DatasetInfo:
    """Read an upload and keep it. `target` names the column to predict; without it one is guessed.

    Raises:
        DataError: the file cannot be read, or there is nothing in it to learn from.
    """
    data = _bytes(content)
    if not data:
        raise DataError(f"{filename[:100]!r} is empty.")
    suffix = Path(filename.replace("\\", "/")).suffix.lower()
    # What a file system calls a name need not be Unicode, but what is stored must be.
    title = (name or Path(filename.replace("\\", "/")).stem or "data")[:200].encode(errors="replace").decode()
    if suffix == ".zip":
        return _keep_images(data, title, home)
    if suffix in (".csv", ".tsv", ".txt", ".parquet", ".pq"):
        return _keep_table(*read_table(data, suffix, filename), title, home, target)
    raise DataError(
        f"{filename[:100]!r} is none of the files that can be read: CSV, Parquet, or a zip of picture folders."
    )


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
    shutil.rmtree(find_upload(name, home))


def read_upload(choice: DataChoice, home: Path) -> Raw:
    """An upload with the options of a document.

    Raises:
        DataError: there is none of this name, or its options are wrong.
    """
    import pandas as pd
    from pyarrow import ArrowException

    folder = find_upload(choice.dataset, home)
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        options = {**meta["options"], **choice.options}
        if meta["kind"] == "image":
            return _read_images(folder, meta, options)
        table = pd.read_parquet(folder / "table.parquet")
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, ArrowException) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            "What was kept of this upload is damaged or gone; remove it, and upload the file again."
        ) from None
    raw = table_to_raw(table, options, meta["title"])
    raw.warnings[:0] = meta.get("notes", [])
    return raw


def _keep_table(table: pd.DataFrame, notes: list[str], title: str, home: Path, target: str | None) -> DatasetInfo:
    chosen = target if target is not None else default_target(table)
    options = {"target": chosen}
    raw = table_to_raw(table, options, title)  # refuses now what would be refused later
    refuse_few(len(raw))
    meta = {
        "kind": "text" if type(raw).__name__ == "Texts" else "table",
        "task": "classification" if raw.target_kind == "class" else "regression",
        "rows": len(table),
        "columns": [str(column) for column in table.columns],
        "options": options,
        "notes": notes,
        "summary": f"{len(table):,} rows, {len(table.columns)} columns; predicts {chosen}",
    }
    with _new_folder(home) as folder:
        table.to_parquet(folder / "table.parquet")
        return _finish(folder, title, meta)


def _keep_images(data: bytes, title: str, home: Path) -> DatasetInfo:
    pixels, labels, classes = read_zip(data, STORED_SIDE)
    refuse_few(len(labels))
    meta = {
        "kind": "image",
        "task": "classification",
        "rows": len(labels),
        "columns": [],
        "classes": classes,
        "options": {"size": min(IMAGE_SIDE, pixels.shape[1])},
        "summary": f"{len(labels):,} pictures of {len(classes)} classes",
    }
    with _new_folder(home) as folder:
        np.savez_compressed(folder / "images.npz", pixels=pixels, labels=labels)
        return _finish(folder, title, meta)


def _read_images(folder: Path, meta: dict[str, Any], options: dict[str, Any]) -> Raw:
    from PIL import Image

    unknown = set(options) - {"size", "grey"}
    if unknown:
        raise DataError(f"Pictures have no option {min(unknown)[:60]!r}; they take size and grey.")
    size, grey = options.get("size", IMAGE_SIDE), options.get("grey")
    if not (isinstance(size, int) and SMALLEST_SIDE <= size <= STORED_SIDE):
        raise DataError(
            f"The option size is a whole number from {SMALLEST_SIDE} to {STORED_SIDE}, received {str(size)[:40]!r}."
        )
    if not (grey is None or isinstance(grey, bool)):
        raise DataError(f"The option grey is true or false, received {str(grey)[:40]!r}.")
    with (folder / "images.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        pixels, labels = arrays["pixels"], arrays["labels"]
    if grey is None:
        grey = bool((pixels == pixels[..., :1]).all())
    mode = "L" if grey else "RGB"
    resized = np.stack([np.asarray(Image.fromarray(picture).convert(mode).resize((size, size))) for picture in pixels])
    return Images(
        name="image",
        target=labels.astype(np.int64),
        target_kind="class",
        target_name="class",
        classes=tuple(meta["classes"]),
        pixels=resized[:, None] if grey else resized.transpose(0, 3, 1, 2),
    )


def find_upload(name: str, home: Path) -> Path:
    """The folder of an upload.

    Raises:
        DataError: there is none of this name.
    """
    try:
        folder = home / "data" / str(uuid.UUID(name))
    except ValueError:
        raise DataError(f"There is no dataset {name[:80]!r}.") from None
    if not (folder / "meta.json").exists():
        raise DataError("This upload is not there any more; upload it again, or choose other data.")
    return folder


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


def _bytes(content: bytes | Path) -> bytes:
    """The bytes of an upload, of which no more than is allowed are ever read."""
    if isinstance(content, Path):
        try:
            with content.open("rb") as file:
                found = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise DataError(f"{content} cannot be read: {error.strerror}.") from None
        content = found
    if len(content) > MAX_FILE_BYTES:
        raise DataError(f"The file is too large; at most {MAX_FILE_BYTES / 2**20:,.0f} MiB can be read.")
    return content
