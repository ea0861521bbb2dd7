"""The columns of an upload whose labels have blanks between them, which are recorded when it is added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.data.tables.targets import BLANK_LABELS, blank_labels
from netloom.data.uploads.upload_meta import ReaderMeta, UploadMeta

if TYPE_CHECKING:
    import pandas as pd


def separators_meta(table: pd.DataFrame) -> ReaderMeta:
    """Return the columns of a new upload whose labels have blanks between them, as an entry of its description."""
    return ReaderMeta(blank_labels=blank_labels(table))


def with_separators(table: pd.DataFrame, meta: UploadMeta) -> pd.DataFrame:
    """Return the stored table of an upload, whose columns of labels are read as they were when it was added.

    Version 0.2.0 recorded nothing and inferred the separator from the cells each time; version 0.1.0, whose
    descriptions have no `validation_of` either, did not split labels at blanks.
    """
    recorded = meta.get("blank_labels", None if "validation_of" in meta else [])
    if recorded is not None:
        table.attrs = {**table.attrs, BLANK_LABELS: recorded}
    return table
