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
    in training have another key. `variant` is the name of the method whose measured variant replaces the weights, or
    `file` the path of an ONNX file that does; `variant_written` is the time in nanoseconds at which it was written.
    """

    run_id: str
    checkpoint: str = ""
    written: float = 0.0
    variant: str = ""
    variant_written: int = 0
    file: str = ""

    @property
    def is_variant(self) -> bool:
        """Whether another network takes the place of that of the run."""
        return bool(self.variant or self.file)

    @property
    def label(self) -> str:
        """The name of the weights in an explanation."""
        return ", ".join(filter(None, (self.checkpoint, self.variant, Path(self.file).name)))


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
    key = (store.home, weights, stamp, is_explained and weights.is_variant)
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

    if not weights.is_variant:
        return load_run(store, weights.run_id, weights.checkpoint)
    trained = load(store, replace(weights, variant="", variant_written=0, file=""))
    measured = variant_file(store.artifacts(weights.run_id), weights.variant, weights.checkpoint)
    file = Path(weights.file) if weights.file else measured
    return (open_explainable_variant if is_explained else open_variant)(trained, file)
