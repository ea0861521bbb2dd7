"""The description of an upload, in the `meta.json` of its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NotRequired, TypedDict

from netloom.core.plain_json import JsonObject
from netloom.data.mask_values import MaskValues
from netloom.document import write_bytes
from netloom.document.former_names import FORMER_TASKS, FORMER_UPLOAD_KINDS, renamed_options

META_FILE = "meta.json"


class ReaderMeta(TypedDict, total=False):
    """What a single kind of upload stores for `Reader.raw`.

    Keys: `kind` replaces that of the reader; `classes` of folders or of a mask; `side` of the largest image in pixels;
    `target` is the column or array to predict; `rate` in samples per second; `levels` of a sample
    from 0 to 1; `ends` are the positions in a text at
    which files end, each with its part of the split; `features` the names of those of graph nodes; `mask_values` the
    value of each class in masks, `void` that of their void pixels, if there are any, and `mask_colors` whether
    they are colors (absent in earlier versions); `blank_labels` the columns whose labels have blanks between them
    (absent in earlier versions).
    """

    kind: str
    classes: list[str]
    side: int
    target: str
    rate: int
    levels: int
    ends: list[tuple[int, int]]
    features: list[str]
    mask_values: list[int]
    void: int
    mask_colors: bool
    blank_labels: list[str]


class UploadMeta(ReaderMeta):
    """The description of an upload. Uploads of early versions have no `reader` and no `notes`.

    Keys: `rows` is the number of rows, `columns` are their names; `options` the answers that a document may change;
    `notes` sentences on what was assumed or left out; `summary` a phrase for lists; `task` the usual task;
    `validation_of` what the share of validation counts from in new projects (absent in earlier versions: all rows);
    `stratifies_given` whether validation rows within given training rows are drawn by class (absent in earlier
    versions: they are not).
    """

    id: str
    title: str
    created_at: str
    reader: NotRequired[str]
    rows: int
    columns: list[str]
    options: JsonObject
    notes: NotRequired[list[str]]
    summary: str
    task: str
    validation_of: NotRequired[str]
    stratifies_given: NotRequired[bool]


def values_meta(values: MaskValues) -> ReaderMeta:
    """Return the values of masks as entries of a description."""
    meta = ReaderMeta(mask_values=[*values.classes], mask_colors=values.are_colors)
    if values.void is not None:
        meta["void"] = values.void
    return meta


def values_of_meta(meta: UploadMeta) -> MaskValues | None:
    """Return the values of masks from a description; None if it has none."""
    if "mask_values" not in meta:
        return None
    return MaskValues(tuple(meta["mask_values"]), meta.get("void"), meta.get("mask_colors", False))


def read_meta(folder: Path) -> UploadMeta:
    """Return the description of an upload.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not JSON.
    """
    meta: UploadMeta = json.loads((folder / META_FILE).read_text(encoding="utf-8"))
    if "reader" in meta:
        meta["reader"] = FORMER_UPLOAD_KINDS.get(meta["reader"], meta["reader"])
    if "task" in meta:
        meta["task"] = FORMER_TASKS.get(meta["task"], meta["task"])
    if "options" in meta:
        meta["options"] = renamed_options(meta["options"])
    return meta


def write_meta(folder: Path, meta: UploadMeta) -> None:
    write_bytes(folder / META_FILE, json.dumps(meta, ensure_ascii=False).encode())
