"""What was fitted for a run, kept with it, so that it is applied as it was whatever would be fitted later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.data.preparation.prepare import prepared_with
from netloom.data.preparation.prepared_data import Prepared
from netloom.modalities.encoding.cells import EncodeError

if TYPE_CHECKING:
    from netloom.store import RunArtifacts


def keep_fitted(data: Prepared, artifacts: RunArtifacts) -> Prepared:
    """The data as it is prepared for a run: with what was kept, which is now, if nothing was."""
    if artifacts.preprocess() is None:
        artifacts.save_preprocess(data.preprocess)
    return as_kept(data, artifacts)


def as_kept(data: Prepared, artifacts: RunArtifacts) -> Prepared:
    """The data with what was kept for a run; as it is where nothing was, as for runs of long ago.

    Raises:
        DataError: the data has other columns or fields than it had.
    """
    preprocess = artifacts.preprocess()
    if preprocess is None or preprocess == data.preprocess:
        return data
    try:
        return prepared_with(data, preprocess)
    except (EncodeError, KeyError):
        raise DataError(
            "The data has other columns than when this run was trained, so what was fitted then does not fit it; train "
            "again."
        ) from None
