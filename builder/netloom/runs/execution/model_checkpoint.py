"""Writes checkpoints while a run trains: the complete state to resume from, the best weights, and snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.runs.history.snapshots import is_due, save_snapshot
from netloom.runs.resources.checkpoint_interval import CheckpointInterval
from netloom.training.trainer import Callback, Trainer
from netloom.training.weights import checkpoints

if TYPE_CHECKING:
    from netloom.runs.execution.curve_logger import CurveLogger
    from netloom.store import Run, RunArtifacts, Store

# The interval of checkpoints in seconds. It grows if saving takes more than this share of the time, up to the last
# value.
CHECKPOINT_EVERY_S, CHECKPOINT_SHARE, CHECKPOINT_AT_LAST_S = 5.0, 0.05, 600.0


class ModelCheckpoint(Callback):
    """Saves a checkpoint between two steps when one is due, and a snapshot of the weights after some epochs."""

    def __init__(self, store: Store, run: Run, artifacts: RunArtifacts, curves: CurveLogger) -> None:
        self._store, self._run_id, self._claim = store, run.id, run.claim
        self._artifacts, self._curves = artifacts, curves
        self._interval = CheckpointInterval(CHECKPOINT_EVERY_S, CHECKPOINT_AT_LAST_S, CHECKPOINT_SHARE)
        self._best_step = -1  # of the best weights that were saved

    def start(self, trainer: Trainer) -> None:
        self._best_step = trainer.best.step if trainer.best.weights else -1
        if trainer.step == 0:
            self._save_snapshot(trainer)

    def should_continue(self, trainer: Trainer) -> bool:
        if self._interval.due():
            self.save(trainer)
        return True

    def on_epoch_end(self, trainer: Trainer) -> None:
        if is_due(trainer.epoch):
            self._save_snapshot(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save the complete state. Curves are written first, so that a resumed run has all points up to the checkpoint.

        Raises:
            ClaimLostError: another worker has claimed the run and can write to its folder.
        """
        with self._interval.writing(checkpoint=True):
            trainer.flush()
            # Writing points checks the claim; without points, it is checked by itself.
            if not self._curves.write() and self._claim is not None:
                self._store.claimed_run(self._run_id, self._claim)
            # Before the checkpoint, whose state names this best step: a crash in between must not leave a state whose
            # best weights were never saved.
            if trainer.best.weights and trainer.best.step != self._best_step:
                measure = f"{trainer.monitored_split}_{trainer.monitor}"
                facts = {"epoch": trainer.best.epoch, "step": trainer.best.step, measure: trainer.best.value}
                checkpoints.save_best(self._artifacts, trainer.best.weights, facts)
                self._best_step = trainer.best.step
            checkpoints.save(self._artifacts, trainer.step, trainer.checkpoint())
        self._artifacts.log_event("checkpoint", step=trainer.step, epoch=trainer.epoch)

    def _save_snapshot(self, trainer: Trainer) -> None:
        with self._interval.writing():
            save_snapshot(self._artifacts, trainer.epoch, trainer.step, trainer.model.state_dict())
