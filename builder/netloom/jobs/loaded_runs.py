"""The cache of loaded runs in a process, because a click on the next example must not load the network and the data
again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.store.artifacts import Stamp

if TYPE_CHECKING:
    from netloom.runs import TrainedRun
    from netloom.store import Store

# The pool mirrors this limit, to send a request to a worker that has its run loaded.
MAX_LOADED = 4
_loaded: OrderedDict[tuple[Path, RunWeights, Stamp | None], TrainedRun] = OrderedDict()


@dataclass(frozen=True)
class RunWeights:
    """A run with some of its weights: "best", "last", those of an epoch by its number, or "" for the current ones.

    `written` is the time at which they were written (`RunArtifacts.weights_written_at`), so that later weights of a run
    in training have another key.
    """

    run_id: str
    checkpoint: str = ""
    written: float = 0.0


def forget() -> None:
    """Remove the runs from memory, with their data."""
    _loaded.clear()


def load(store: Store, weights: RunWeights) -> TrainedRun:
    """Return a run from `runs.load_run`. The last few runs of this process stay in memory.

    Raises:
        CheckpointError, DataError, FileNotFoundError, StoreError: as `load_run`.
    """
    from netloom.runs import load_run

    # A calibration that was chosen or reset since changes the predictions.
    key = (store.home, weights, store.artifacts(weights.run_id).calibration_stamp())
    if key not in _loaded:
        _loaded[key] = load_run(store, weights.run_id, weights.checkpoint)
    _loaded.move_to_end(key)
    while len(_loaded) > MAX_LOADED:
        _loaded.popitem(last=False)
    return _loaded[key]
