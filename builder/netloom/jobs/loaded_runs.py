"""The cache of loaded runs in a process, because a click on the next example must not load the network and the data
again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from netloom.store.artifact_store import Stamp

if TYPE_CHECKING:
    from netloom.runs import TrainedRun
    from netloom.store import Store

# The pool mirrors this limit, to send a request to a worker that has its run loaded.
MAX_LOADED = 4


@dataclass(frozen=True)
class RunWeights:
    """A run with some of its weights: "best", "last", those of an epoch by its number, or "" for the current ones.

    `written` is the time at which they were written (`RunArtifacts.weights_written_at`), so that later weights of a run
    in training have another key. `variant` is the name of the method whose measured variant replaces the weights, and
    `variant_written` the time in nanoseconds at which its file was written.
    """

    run_id: str
    checkpoint: str = ""
    written: float = 0.0
    variant: str = ""
    variant_written: int = 0

    @property
    def label(self) -> str:
        """The name of the weights in an explanation."""
        return ", ".join(filter(None, (self.checkpoint, self.variant)))


# By data folder, weights, calibration, and whether the network has to be explained
_Key = tuple[Path, RunWeights, Stamp | None, bool]
_loaded: OrderedDict[_Key, TrainedRun] = OrderedDict()


def forget() -> None:
    """Remove the runs from memory, with their data, and the data of uploads that were removed."""
    from netloom.data.preparation.prepare import forget_removed

    _loaded.clear()
    forget_removed()


def load(store: Store, weights: RunWeights, *, is_explained: bool = False) -> TrainedRun:
    """Return a run from `runs.load_run`, or its variant. The last few runs of this process stay in memory.

    Args:
        is_explained: Whether the network of a variant is needed in PyTorch where possible, as in
            `open_explainable_variant`.

    Raises:
        CheckpointError, DataError, FileNotFoundError, StoreError: as `load_run`.
        UsageError: as `open_variant`.
    """
    # A calibration that was chosen or reset since changes the predictions.
    stamp = store.artifacts(weights.run_id).calibration_stamp()
    key = (store.home, weights, stamp, is_explained and bool(weights.variant))
    if key not in _loaded:
        _loaded[key] = _opened(store, weights, is_explained=is_explained)
    _loaded.move_to_end(key)
    while len(_loaded) > MAX_LOADED:
        _loaded.popitem(last=False)
    return _loaded[key]


def _opened(store: Store, weights: RunWeights, *, is_explained: bool) -> TrainedRun:
    from netloom.compression.opened_variant import open_explainable_variant, open_variant
    from netloom.compression.variant_files import variant_file
    from netloom.runs import load_run

    if not weights.variant:
        return load_run(store, weights.run_id, weights.checkpoint)
    trained = load(store, replace(weights, variant="", variant_written=0))
    file = variant_file(store.artifacts(weights.run_id), weights.variant, weights.checkpoint)
    return (open_explainable_variant if is_explained else open_variant)(trained, file)
