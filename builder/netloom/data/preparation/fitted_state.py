"""The fitted state of a run, saved with the run, so that later code that fits differently does not change its
preprocessing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.data.preparation.prepare import prepared_with
from netloom.data.preparation.prepared_data import Prepared
from netloom.data.preparation.preprocess import Preprocess
from netloom.modalities.encoding.cells import EncodeError

if TYPE_CHECKING:
    from netloom.store import RunArtifacts


def keep_fitted(data: Prepared, artifacts: RunArtifacts) -> Prepared:
    """Return the data with the saved fitted state of a run; saves the current one if there is none."""
    if artifacts.preprocess() is None:
        artifacts.save_preprocess(data.preprocess.to_json())
    return with_stored_state(data, artifacts)


def with_stored_state(data: Prepared, artifacts: RunArtifacts) -> Prepared:
    """Return the data with the saved fitted state of a run; unchanged for old runs without one.

    Raises:
        DataError: the columns or fields of the data have changed.
    """
    return with_fitted(data, stored_state(artifacts))


def stored_state(artifacts: RunArtifacts) -> Preprocess | None:
    """Return the saved fitted state of a run; None for old runs without one.

    Raises:
        DataError: its file is damaged.
    """
    try:
        value = artifacts.preprocess()
        return None if value is None else Preprocess.from_json(value)
    except (ValueError, KeyError, TypeError):
        raise DataError(f"The file {artifacts.preprocess_file} is damaged; start a new run.") from None


def with_fitted(data: Prepared, preprocess: Preprocess | None) -> Prepared:
    """Return the data with an earlier fitted state; unchanged without one.

    Raises:
        DataError: the columns or fields of the data differ from those that it was fitted on.
    """
    if preprocess is None or preprocess == data.preprocess:
        return data
    try:
        return prepared_with(data, preprocess)
    except (EncodeError, KeyError):
        raise DataError(
            "The columns of this data differ from those that the run was trained on, so the preprocessing of the run "
            "cannot be applied; start a new run."
        ) from None
