"""The callbacks between a trainer and the store, in their order, and the thread that communicates with the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.runs.execution.command_handler import CommandHandler
from netloom.runs.execution.curve_logger import CurveLogger
from netloom.runs.execution.heartbeat import Heartbeat
from netloom.runs.execution.limit_guard import LimitGuard
from netloom.runs.execution.model_checkpoint import ModelCheckpoint
from netloom.runs.execution.store_thread import StoreThread
from netloom.runs.execution.summary_logger import SummaryLogger
from netloom.runs.execution.throughput_monitor import ThroughputMonitor
from netloom.runs.execution.trial_pruner import TrialPruner
from netloom.store.run_end import RunEnd
from netloom.training.callbacks import CallbackList

if TYPE_CHECKING:
    from netloom.runs.resources.limits import RunLimits
    from netloom.store import Run, RunArtifacts, Store
    from netloom.training.diagnostics.observer import Observer
    from netloom.training.trainer import Trainer


class RunReporter(CallbackList):
    """Reports a run to the store and obeys its commands, from `start`, before `fit`, to `close`.

    `observer` is a separate callback, whose notices are sent with the heartbeat.
    """

    def __init__(self, store: Store, run: Run, artifacts: RunArtifacts, observer: Observer, limits: RunLimits) -> None:
        self.store, self._run_id, self.observer = store, run.id, observer
        self.summary = SummaryLogger(artifacts)
        self.curves = CurveLogger(store, run)
        self.throughput = ThroughputMonitor()
        self.checkpoint = ModelCheckpoint(store, run, artifacts, self.curves)
        self.limits = LimitGuard(limits, artifacts)
        self.commands = CommandHandler(
            store, run, artifacts, self.summary, self.checkpoint, self.limits, self.throughput
        )
        self.pruner = TrialPruner(store, run) if run.sweep_id else None
        self.heartbeat = Heartbeat(store, run, self.curves, self.summary, self.throughput, observer)
        self._thread = StoreThread(artifacts, self.commands, self.curves, self.limits, self.heartbeat)
        super().__init__(
            [
                self.curves,
                self.throughput,
                self.summary,
                self.commands,  # before those that can end the run: a command to stop gives the end its reason
                *([self.pruner] if self.pruner else []),
                self.limits,
                self.checkpoint,  # last: a run that ends saves one anyway
            ]
        )

    def start(self, trainer: Trainer) -> None:
        """Report the start of the training, or that it resumes."""
        run = self.store.run(self._run_id)  # with the warnings and changes of the attempts before
        self.summary.start(trainer)
        self.throughput.start(trainer)
        self.commands.start(trainer, run)
        if self.pruner:
            self.pruner.start(trainer)
        self.observer.start(trainer, run.summary.warnings, self.store.points(run.id))
        self.checkpoint.start(trainer)
        self._thread.start()  # last, as it reads everything above

    @property
    def end(self) -> RunEnd:
        """Return how the run ended that one of these callbacks has stopped."""
        return self.limits.end or (self.pruner and self.pruner.end) or RunEnd("stopped")

    def close(self) -> None:
        """End the thread and report the last facts."""
        self._thread.close()
