"""What was fitted for a run, kept in its folder, so that it is applied as it was whatever would be fitted later."""

from __future__ import annotations

import json
from pathlib import Path

from netloom.core.errors import DataError
from netloom.data.preparation.prepare import prepared_with
from netloom.data.preparation.prepared_data import Prepared
from netloom.document import write_bytes
from netloom.modalities.encoding.cells import EncodeError

FILE = "preprocess.json"


def keep_fitted(data: Prepared, folder: Path) -> Prepared:
    """The data as it is prepared for a run: with what was kept in its folder, which is now, if nothing was."""
    if not (folder / FILE).exists():
        write_bytes(folder / FILE, json.dumps(data.preprocess, ensure_ascii=False, allow_nan=False).encode())
    return as_kept(data, folder)


def as_kept(data: Prepared, folder: Path) -> Prepared:
    """The data with what was kept for a run; as it is where nothing was, as for runs of long ago.

    Raises:
        DataError: the data has other columns or fields than it had.
    """
    try:
        preprocess = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return data
    if preprocess == data.preprocess:
        return data
    try:
        return prepared_with(data, preprocess)
    except (EncodeError, KeyError):
        raise DataError(
            "The data has other columns than when this run was trained, so what was fitted then does not fit it; train "
            "again."
        ) from None
