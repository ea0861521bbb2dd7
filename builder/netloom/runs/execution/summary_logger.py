"""Logs the summary of a run: what is trained, its best metrics, and its messages."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from netloom.store.run_summary import BestResult, RunSummary
from netloom.training.trainer import Callback, Trainer

if TYPE_CHECKING:
    from netloom.store import RunArtifacts


class SummaryLogger(Callback):
    """Collects the `facts` of the summary of a run, which the next heartbeat sends."""

    def __init__(self, artifacts: RunArtifacts) -> None:
        self._artifacts = artifacts
        self._facts, self._lock = RunSummary(), threading.Lock()  # held to replace `_facts`

    @property
    def facts(self) -> RunSummary:
        return self._facts

    def update(self, facts: RunSummary) -> None:
        """Add facts, which replace earlier ones."""
        with self._lock:  # the loop and the thread for the store both add facts
            self._facts = self._facts.merged(facts)

    def start(self, trainer: Trainer) -> None:
        self.update(
            RunSummary(
                total_steps=trainer.total_steps,
                steps_per_epoch=trainer.steps_per_epoch,
                rows_per_step=trainer.batch_size,
                objective=trainer.objective.name,
                titles=trainer.titles,
                device=trainer.device,
                learning_rate=trainer.learning_rate,
            )
        )
        if trainer.monitored_split != "validation":
            self.update(RunSummary(monitored_split=trainer.monitored_split))
        if trainer.best.weights:
            self._note_best(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.update(RunSummary(rate=trainer.current_learning_rate))
        self._note_best(trainer)

    def log_event(self, kind: str, sentence: str) -> None:
        self._artifacts.log_event(kind, said=sentence)
        self.update(RunSummary(notes=(*self._facts.notes, sentence)))

    def _note_best(self, trainer: Trainer) -> None:
        best = trainer.best
        self.update(
            RunSummary(best=BestResult(loss=best.value, epoch=best.epoch, step=best.step, measure=trainer.monitor))
        )
