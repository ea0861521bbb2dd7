"""The upload of a file with rows for a trained run, which a job reads from the folder of the run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from netloom.store import Store
    from netloom.ui.components.streamlit_internals import UploadedFile

MAX_UPLOAD_MIB = 200
TYPES = (
    "csv", "tsv", "txt", "json", "jsonl", "parquet", "xlsx", "arff", "svm", "gz", "zip", "conll", "conllu", "yml", "md",
    "ts",
)  # fmt: skip
FORMATS = (
    "CSV, JSON, JSON lines, Parquet, Excel, ARFF or SVMlight with a row per example, series in .ts files, sentences "
    "with a word per line, or a zip of images, sounds, texts or pairs of images."
)


def row_upload(key: str, help: str = FORMATS) -> UploadedFile | None:
    """Draw the upload of a file with rows, and return the file; None if there is none."""
    return st.file_uploader(
        "Drop a file here or browse", type=list(TYPES), key=key, max_upload_size=MAX_UPLOAD_MIB, help=help
    )


def stored_name(file: UploadedFile) -> str:
    """Return the name of an uploaded file in the folder of a run, which differs for each upload."""
    return f"upload-{hashlib.sha256(file.file_id.encode()).hexdigest()[:16]}"


@contextmanager
def stored_upload(store: Store, run_id: str, file: UploadedFile) -> Iterator[None]:
    """Store an uploaded file by its `stored_name` in the folder of a run while a job reads it."""
    path = store.artifacts(run_id).export_file(stored_name(file))
    path.write_bytes(file.getvalue())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
