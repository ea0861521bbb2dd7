"""The thread of a worker that communicates with the store, so that the training loop never waits for a disk."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from netloom.runs.execution.trial_pruner import TrialPruner
from netloom.runs.history.setting_changes import ChangeLog
from netloom.runs.history.snapshots import is_due, save_snapshot
from netloom.runs.resources.checkpoint_interval import CheckpointInterval
from netloom.runs.resources.energy import Meter
from netloom.runs.resources.limits import Guard, RunLimits
from netloom.runs.resources.usage import resource_usage
from netloom.store import ClaimLostError, NotFoundError, Run, RunArtifacts, Store, StoreError
from netloom.store.run_summary import BestResult, RunSummary
from netloom.training.diagnostics.observer import Observer
from netloom.training.errors import TrainingError
from netloom.training.speed.throughput import Throughput
from netloom.training.trainer import Callback, Trainer
from netloom.training.weights import checkpoints

if TYPE_CHECKING:
    from collections.abc import Iterator


POLL_S = 0.1
# The interval of polls for commands, in seconds. A poll takes longer than a check for pending points.
COMMANDS_S = 0.2
FLUSH_S = 0.25
HEARTBEAT_S = 1.0
# The interval of checkpoints in seconds. It grows if saving takes more than this share of the time, up to the last
# value.
CHECKPOINT_EVERY_S, CHECKPOINT_SHARE, CHECKPOINT_AT_LAST_S = 5.0, 0.05, 600.0


class RunReporter(Callback):
    """The callback between a trainer and the store: sends points of the curves and heartbeats, and receives commands.

    `observer` is a separate callback, whose notices are sent with the heartbeat.
    """

    def __init__(self, store: Store, run: Run, artifacts: RunArtifacts, observer: Observer, limits: RunLimits) -> None:
        self.store, self.run_id, self.artifacts, self._claim = store, run.id, artifacts, run.claim
        self.limits, self._guard = limits, Guard(limits, artifacts.local_directory())
        self._deadline = time.monotonic() + limits.wall_s if limits.wall_s else math.inf
        self._is_over_time = False
        self.log = artifacts.log_event
        self.observer = observer
        self._points: list[tuple[int, int, str, str, float, float]] = []
        self._commands: list[tuple[str, float | None, str]] = []
        self._writing = threading.Lock()  # before `_lock`, where both are held
        self._lock = threading.Lock()  # for `_points`
        self._closed = threading.Event()
        self._facts, self._facts_lock = RunSummary(), threading.Lock()  # held to replace `_facts`
        self._epoch, self._step = 0, 0
        self._checkpoint_interval = CheckpointInterval(CHECKPOINT_EVERY_S, CHECKPOINT_AT_LAST_S, CHECKPOINT_SHARE)
        self._best_step = -1
        self._speed = Throughput()
        self._is_paused = False
        self._meter = Meter(run.summary)
        self._trial = TrialPruner(store, run) if run.sweep_id else None
        self._problem = ""
        self._thread = threading.Thread(target=self._serve, name="run reporter", daemon=True)

    def start(self, trainer: Trainer) -> None:
        self.update_summary(
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
            self.update_summary(RunSummary(monitored_split=trainer.monitored_split))
        self._epoch, self._step = trainer.epoch, trainer.step  # a resumed run does not start at step 0
        self._best_step = trainer.best.step if trainer.best.weights else -1
        if trainer.best.weights:
            self._note_best(trainer)
        run = self.store.run(self.run_id)  # with the warnings and changes of the attempts before
        self._changes = ChangeLog(run, trainer.step)
        self.update_summary(self._changes.facts())
        self.observer.start(trainer, run.summary.warnings, self.store.points(self.run_id))
        if trainer.step == 0:
            with self._checkpoint_interval.writing():
                save_snapshot(self.artifacts, 0, 0, trainer.model.state_dict())
        self._thread.start()  # last, as it reads everything above

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        time_s = time.time()
        with self._lock:
            self._points += [(step, epoch, split, name, value, time_s) for name, value in values.items()]
        if self._trial and split == self._facts.monitored_split:
            self._trial.take(epoch, values)

    def should_continue(self, trainer: Trainer) -> bool:
        self._epoch, self._step = trainer.epoch, trainer.step
        if self._commands:  # without the lock: this is asked in each step, and only this thread removes commands
            return self._apply_commands(trainer)
        if self._trial and self._trial.pruned:
            return False
        if self._problem:
            raise TrainingError(self._problem)
        if self._exceeds_time():
            return False
        if self._checkpoint_interval.due():
            self.checkpoint(trainer)
        return True

    def log_event(self, kind: str, sentence: str) -> None:
        self.log(kind, said=sentence)
        self.update_summary(RunSummary(notes=(*self._facts.notes, sentence)))

    def on_epoch_end(self, trainer: Trainer) -> None:
        self._epoch, self._step = trainer.epoch, trainer.step
        self.update_summary(RunSummary(rate=trainer.current_learning_rate))
        self._note_best(trainer)
        if is_due(trainer.epoch):
            with self._checkpoint_interval.writing():
                save_snapshot(self.artifacts, trainer.epoch, trainer.step, trainer.model.state_dict())

    def _note_best(self, trainer: Trainer) -> None:
        best = trainer.best
        self.update_summary(
            RunSummary(best=BestResult(loss=best.value, epoch=best.epoch, step=best.step, measure=trainer.monitor))
        )

    @property
    def ending(self) -> str:
        """Return why the run was stopped, if no user requested it; else ""."""
        if self._is_over_time:
            return self.limits.too_long
        return self._trial.pruned if self._trial else ""

    def _exceeds_time(self) -> bool:
        self._is_over_time = self._is_over_time or time.monotonic() > self._deadline
        return self._is_over_time

    def update_summary(self, facts: RunSummary) -> None:
        """Add facts to the summary of this run, which the next heartbeat sends."""
        with self._facts_lock:  # the loop and the thread both add facts
            self._facts = self._facts.merged(facts)

    @property
    def facts(self) -> RunSummary:
        """The summary that the next heartbeat sends."""
        return self._facts

    def checkpoint(self, trainer: Trainer) -> None:
        """Save the complete state. Curves are written first, so that a resumed run has all points up to the checkpoint.

        Raises:
            ClaimLostError: another worker has claimed the run and can write to its folder.
        """
        with self._checkpoint_interval.writing(checkpoint=True):
            trainer.flush()
            # Writing points checks the claim; without points, it is checked by itself.
            if not self._write() and self._claim is not None:
                self.store.claimed_run(self.run_id, self._claim)
            # Before the checkpoint, whose state names this best step: a crash in between must not leave a state whose
            # best weights were never saved.
            if trainer.best.weights and trainer.best.step != self._best_step:
                measure = f"{trainer.monitored_split}_{trainer.monitor}"
                facts = {"epoch": trainer.best.epoch, "step": trainer.best.step, measure: trainer.best.value}
                checkpoints.save_best(self.artifacts, trainer.best.weights, facts)
                self._best_step = trainer.best.step
            checkpoints.save(self.artifacts, trainer.step, trainer.checkpoint())
        self.log("checkpoint", step=trainer.step, epoch=trainer.epoch)

    def close(self) -> None:
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._guard.finish()
        try:
            self.send_heartbeat()
        except StoreError as error:  # the worker reports the end of the run next, and retries longer
            self._log_store_error(error)

    def take_commands(self) -> None:
        """Get new commands from the store; the loop executes them before its next step."""
        new = self.store.take_commands(self.run_id, holding=self._claim)
        self._commands += [(item.kind, item.value, item.text) for item in new]

    def send_heartbeat(self) -> None:
        """Send the pending points, and then a heartbeat with the progress and the summary: the store never counts an
        epoch whose points it does not have, also when this process is killed."""
        epoch, step = self._epoch, self._step
        self._write()
        self.update_summary(resource_usage())
        self.update_summary(self._meter.stop() if self._closed.is_set() else self._meter.read())
        if not self._is_paused:
            self._speed.update(self._step)
        rate = self._speed.steps_per_s
        steps_left = self._facts.total_steps - self._step
        self.update_summary(
            RunSummary(
                steps_per_s=rate,
                eta_s=steps_left / rate if rate else None,
                eta_range_s=self._speed.left(steps_left),
                speeds=tuple(self._speed.history),
                warnings=tuple(self.observer.notices),
            )
        )
        self.store.heartbeat(self.run_id, holding=self._claim, epoch=epoch, step=step, summary=self.facts)

    def _apply_commands(self, trainer: Trainer) -> bool:
        """Execute the pending commands. Returns False if the run must stop."""
        for kind in self._execute_commands(trainer):
            if kind == "stop":
                return False
            if kind == "pause":
                self.checkpoint(trainer)
                self.store.change_state(self.run_id, "paused", holding=self._claim)
                self._is_paused = True
                if not self._wait_while_paused(trainer):
                    return False
                self._speed.pause()
                self._is_paused = False
                self.store.change_state(self.run_id, "running", holding=self._claim)
        return True

    def _wait_while_paused(self, trainer: Trainer) -> bool:
        """Sleep until the run can continue. Returns False if it must stop instead."""
        while True:
            for kind in self._execute_commands(trainer):
                if kind in ("resume", "stop"):
                    return kind == "resume"
            if self._exceeds_time():
                return False
            time.sleep(POLL_S / 2)

    def _execute_commands(self, trainer: Trainer) -> Iterator[str]:
        """Execute changes of the learning rate and the schedule, and yield all other commands."""
        while self._commands:
            kind, value, text = self._commands.pop(0)
            self.log("command", kind=kind, value=value, text=text, step=trainer.step)
            if kind == "learning_rate" and value is not None:
                self._set_learning_rate(trainer, value)
            elif kind == "schedule":
                self._set_schedule(trainer, text)
            else:
                yield kind
            self.update_summary(RunSummary(rate=trainer.current_learning_rate))

    def _set_learning_rate(self, trainer: Trainer, value: float) -> None:
        self._log_change("learning_rate", trainer.learning_rate, value, trainer)
        trainer.learning_rate = value
        self.update_summary(RunSummary(learning_rate=value))
        self.checkpoint(trainer)  # so that a crashed run resumes with the new rate

    def _set_schedule(self, trainer: Trainer, name: str) -> None:
        """Change the schedule, also in the document of the run, so that a crashed run resumes with it."""
        self._log_change("schedule", trainer.training.schedule, name, trainer)
        trainer.training = trainer.training.model_copy(update={"schedule": name})
        project = self.artifacts.project()
        self.artifacts.save_project(project.model_copy(update={"training": trainer.training}))
        self.update_summary(RunSummary(schedule=name))
        self.checkpoint(trainer)

    def _log_change(self, setting: str, old: Any, new: Any, trainer: Trainer) -> None:
        self._changes.add(setting, old, new, trainer.step, trainer.epoch)
        self.update_summary(self._changes.facts())

    def _serve(self) -> None:
        flushed_at = heartbeat_at = polled_at = 0.0
        while not self._closed.wait(POLL_S):
            try:
                time_s = time.monotonic()
                if time_s - polled_at > COMMANDS_S:
                    self.take_commands()
                    polled_at = time_s
                if time_s - flushed_at > FLUSH_S and self._write():  # the first points are written without a delay
                    flushed_at = time_s
                if time_s - heartbeat_at > HEARTBEAT_S:
                    self._problem = self._problem or self._guard.problem()
                    self.send_heartbeat()
                    heartbeat_at = time_s
            except NotFoundError:
                self._exit_deleted()
            except ClaimLostError:  # another worker may train this run in this folder
                os._exit(0)
            except Exception as error:
                # The store can be locked for a moment; points remain in memory and are written later.
                self._log_store_error(error)
                time.sleep(HEARTBEAT_S)

    def _log_store_error(self, error: Exception) -> None:
        with contextlib.suppress(OSError, MemoryError):  # the log is on the same disk, which can be full
            self.log("store", problem=repr(error))

    def _exit_deleted(self) -> None:
        """End the process at once: the run was deleted, so its results have no reader and no folder. If instead the
        database was lost, the folder remains and the run can be restored."""
        clear(self.artifacts)
        os._exit(0)

    def _write(self) -> bool:
        """Write the pending points. Returns whether there were any."""
        # `checkpoint` must wait for points that the other thread is just writing; `log_metrics` must not.
        with self._writing:
            with self._lock:
                points, self._points = self._points, []
            try:
                if points:
                    self.store.add_points(self.run_id, points, holding=self._claim)
            except Exception:  # to be written at the next attempt, still in order
                with self._lock:
                    self._points = points + self._points
                raise
        return bool(points)


def clear(artifacts: RunArtifacts) -> None:
    """Remove the files of a deleted run. If its document exists, the files remain: either the database was lost and the
    run was not deleted, or the process that deleted it is about to remove them."""
    if artifacts.project_stamp() is None:
        artifacts.delete()
