"""Data that people bring: tables (CSV, Parquet) and zips of picture folders. It is data, never code.

An upload is read once, brought into a form of ours, and kept under a UUID; the name that people gave it is only text.
"""

from __future__ import annotations

import json
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.data.images import read_zip
from builder.data.limits import MAX_FILE_BYTES, STORED_SIDE
from builder.data.raw import Images, Raw
from builder.data.schema import DataError, DatasetInfo
from builder.data.tables import default_target, read_table, table_to_raw
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
    title = (name or Path(filename.replace("\\", "/")).stem or "data")[:200]
    if suffix == ".zip":
        return _keep_images(data, title, home)
    if suffix in (".csv", ".tsv", ".txt", ".parquet", ".pq"):
        return _keep_table(read_table(data, suffix, filename), title, home, target)
    raise DataError(
        f"{filename[:100]!r} is none of the files that can be read: CSV, Parquet, or a zip of picture folders."
    )


def uploaded(home: Path) -> list[DatasetInfo]:
    """The uploads, the newest first."""
    found = []
    for meta in (home / "data").glob("*/meta.json"):
        try:
            found.append(json.loads(meta.read_text()))
        except (OSError, ValueError):
            continue  # being written or removed at this moment
    found.sort(key=lambda meta: str(meta["created_at"]), reverse=True)
    return [_info(meta) for meta in found]


def remove(name: str, home: Path) -> None:
    """Forget an upload.

    Raises:
        DataError: there is none of this name.
    """
    shutil.rmtree(_folder(name, home))


def read_upload(choice: DataChoice, home: Path) -> Raw:
    """An upload with the options of a document.

    Raises:
        DataError: there is none of this name, or its options are wrong.
    """
    import pandas as pd

    folder = _folder(choice.dataset, home)
    meta = json.loads((folder / "meta.json").read_text())
    options = {**meta["options"], **choice.options}
    if meta["kind"] == "image":
        return _read_images(folder, meta, options)
    return table_to_raw(pd.read_parquet(folder / "table.parquet"), options, meta["title"])


def _keep_table(table: pd.DataFrame, title: str, home: Path, target: str | None) -> DatasetInfo:
    chosen = target if target is not None else default_target(table)
    options = {"target": chosen}
    raw = table_to_raw(table, options, title)  # refuses now what would be refused later
    meta = {
        "kind": "text" if type(raw).__name__ == "Texts" else "table",
        "task": "classification" if raw.target_kind == "class" else "regression",
        "rows": len(table),
        "columns": [str(column) for column in table.columns],
        "options": options,
        "summary": f"{len(table):,} rows, {len(table.columns)} columns; predicts {chosen}",
    }
    folder = _new_folder(home)
    table.to_parquet(folder / "table.parquet")
    return _finish(folder, title, meta)


def _keep_images(data: bytes, title: str, home: Path) -> DatasetInfo:
    pixels, labels, classes = read_zip(data, STORED_SIDE)
    meta = {
        "kind": "image",
        "task": "classification",
        "rows": len(labels),
        "columns": [],
        "classes": classes,
        "options": {"size": IMAGE_SIDE},
        "summary": f"{len(labels):,} pictures of {len(classes)} classes",
    }
    folder = _new_folder(home)
    np.savez_compressed(folder / "images.npz", pixels=pixels, labels=labels)
    return _finish(folder, title, meta)


def _read_images(folder: Path, meta: dict[str, Any], options: dict[str, Any]) -> Raw:
    from PIL import Image

    size = options.get("size", IMAGE_SIDE)
    if not (isinstance(size, int) and 8 <= size <= STORED_SIDE):
        raise DataError(f"The option size is a whole number from 8 to {STORED_SIDE}, received {str(size)[:40]!r}.")
    with np.load(folder / "images.npz", allow_pickle=False) as arrays:
        pixels, labels = arrays["pixels"], arrays["labels"]
    resized = np.stack([np.asarray(Image.fromarray(picture).resize((size, size))) for picture in pixels])
    grey = bool((resized == resized[..., :1]).all())
    return Images(
        name="image",
        target=labels.astype(np.int64),
        target_kind="class",
        target_name="class",
        classes=tuple(meta["classes"]),
        pixels=resized[..., :1].transpose(0, 3, 1, 2) if grey else resized.transpose(0, 3, 1, 2),
    )


def _folder(name: str, home: Path) -> Path:
    try:
        folder = home / "data" / str(uuid.UUID(name))
    except ValueError:
        raise DataError(f"There is no dataset {name[:80]!r}.") from None
    if not (folder / "meta.json").exists():
        raise DataError("This upload is not there any more; upload it again, or choose other data.")
    return folder


def _new_folder(home: Path) -> Path:
    folder = home / "data" / str(uuid.uuid4())
    folder.mkdir(parents=True)
    return folder


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
    if isinstance(content, bytes):
        size = len(content)
    else:
        try:
            size = content.stat().st_size
        except OSError as error:
            raise DataError(f"{content} cannot be read: {error.strerror}.") from None
    if size > MAX_FILE_BYTES:
        raise DataError(f"The file has {size / 2**20:,.0f} MiB; at most {MAX_FILE_BYTES / 2**20:,.0f} can be read.")
    return content if isinstance(content, bytes) else content.read_bytes()
