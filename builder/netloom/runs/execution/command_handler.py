"""Executes the commands of users while a run trains: pause, resume, stop, and changes of the learning rate and its
schedule."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from netloom.runs.history.setting_changes import ChangeLog
from netloom.store.run_summary import RunSummary
from netloom.training.trainer import Callback, Trainer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netloom.runs.execution.limit_guard import LimitGuard
    from netloom.runs.execution.model_checkpoint import ModelCheckpoint
    from netloom.runs.execution.summary_logger import SummaryLogger
    from netloom.runs.execution.throughput_monitor import ThroughputMonitor
    from netloom.store import Command, Run, RunArtifacts, Store

# The interval at which a paused run looks for commands, in seconds.
PAUSED_POLL_S = 0.05


class CommandHandler(Callback):
    """Executes commands between two steps. A thread gets them from the store: it calls `take`."""

    def __init__(
        self,
        store: Store,
        run: Run,
        artifacts: RunArtifacts,
        summary: SummaryLogger,
        checkpoint: ModelCheckpoint,
        limits: LimitGuard,
        throughput: ThroughputMonitor,
    ) -> None:
        self._store, self._run_id, self._claim, self._artifacts = store, run.id, run.claim, artifacts
        self._summary, self._checkpoint, self._limits, self._throughput = summary, checkpoint, limits, throughput
        self._commands: list[Command] = []

    def start(self, trainer: Trainer, run: Run) -> None:
        """Log changes from now on, after those of the earlier attempts of `run`."""
        self._changes = ChangeLog(run, trainer.step)
        self._summary.update(self._changes.facts())

    def take(self) -> None:
        """Get new commands from the store; the loop executes them before its next step."""
        self._commands += self._store.take_commands(self._run_id, holding=self._claim)

    def should_continue(self, trainer: Trainer) -> bool:
        if not self._commands:  # without a lock: this is asked in each step, and only this thread removes commands
            return True
        for kind in self._execute(trainer):
            if kind == "stop" or (kind == "pause" and not self._pause(trainer)):
                return False
        return True

    def _pause(self, trainer: Trainer) -> bool:
        """Save a checkpoint and wait until the run can continue. Returns False if it must stop instead."""
        self._checkpoint.save(trainer)
        self._store.change_state(self._run_id, "paused", holding=self._claim)
        self._throughput.is_paused = True
        if not self._wait(trainer):
            return False
        self._throughput.resume()
        self._store.change_state(self._run_id, "running", holding=self._claim)
        return True

    def _wait(self, trainer: Trainer) -> bool:
        """Sleep until the run can continue. Returns False if it must stop instead."""
        while True:
            for kind in self._execute(trainer):
                if kind in ("resume", "stop"):
                    return kind == "resume"
            if self._limits.is_over_time():
                return False
            time.sleep(PAUSED_POLL_S)

    def _execute(self, trainer: Trainer) -> Iterator[str]:
        """Execute changes of settings, and yield all other commands."""
        while self._commands:
            command = self._commands.pop(0)
            kind, value, text = command.kind, command.value, command.text
            self._artifacts.log_event("command", kind=kind, value=value, text=text, step=trainer.step)
            if kind == "learning_rate" and value is not None:
                self._set_learning_rate(trainer, value)
            elif kind == "schedule":
                self._set_schedule(trainer, text)
            else:
                yield kind
            self._summary.update(RunSummary(rate=trainer.current_learning_rate))

    def _set_learning_rate(self, trainer: Trainer, value: float) -> None:
        self._log_change("learning_rate", trainer.learning_rate, value, trainer)
        trainer.learning_rate = value
        self._summary.update(RunSummary(learning_rate=value))
        self._checkpoint.save(trainer)  # so that a crashed run resumes with the new rate

    def _set_schedule(self, trainer: Trainer, name: str) -> None:
        """Change the schedule, also in the document of the run, so that a crashed run resumes with it."""
        self._log_change("schedule", trainer.training.schedule, name, trainer)
        trainer.training = trainer.training.model_copy(update={"schedule": name})
        project = self._artifacts.project()
        self._artifacts.save_project(project.model_copy(update={"training": trainer.training}))
        self._summary.update(RunSummary(schedule=name))
        self._checkpoint.save(trainer)

    def _log_change(self, setting: str, old: float | str, new: float | str, trainer: Trainer) -> None:
        self._changes.add(setting, old, new, trainer.step, trainer.epoch)
        self._summary.update(self._changes.facts())
