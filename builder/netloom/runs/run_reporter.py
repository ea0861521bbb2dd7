"""The thread of a worker that speaks with the store, so that the loop never waits for a disk."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import psutil

from netloom.runs.history.setting_changes import ChangeLog
from netloom.runs.history.snapshots import is_due, save_snapshot
from netloom.runs.resources.checkpoint_interval import CheckpointInterval
from netloom.runs.resources.energy import Meter
from netloom.runs.resources.limits import Guard, RunLimits, resident
from netloom.runs.search.trial import TrialPruner
from netloom.store import ClaimLostError, NotFoundError, Run, RunArtifacts, Store, StoreError
from netloom.store.run_summary import RunSummary
from netloom.training import checkpoints
from netloom.training.diagnostics.observer import Observer
from netloom.training.errors import TrainingError
from netloom.training.throughput import Throughput
from netloom.training.trainer import Callback, Trainer

if TYPE_CHECKING:
    from collections.abc import Iterator


POLL_S = 0.1
# How often the store is asked for commands, which takes longer than to see whether there are points.
ASK_S = 0.2
FLUSH_S = 0.25
HEARTBEAT_S = 1.0
# A run saves itself this often; where that takes more than this share of its time more seldom, but at last then.
CHECKPOINT_EVERY_S, CHECKPOINT_SHARE, CHECKPOINT_AT_LAST_S = 5.0, 0.05, 600.0


class RunReporter(Callback):
    """Between a trainer and the store: points out, commands in, a heartbeat.

    `observer` is a callback of its own; what it notices is reported with the heartbeat.
    """

    def __init__(self, store: Store, run: Run, artifacts: RunArtifacts, observer: Observer, limits: RunLimits) -> None:
        self.store, self.run_id, self.artifacts, self._claim = store, run.id, artifacts, run.claim
        self.limits, self._guard = limits, Guard(limits, artifacts.local_directory())
        self._until = time.monotonic() + limits.wall_s if limits.wall_s else math.inf
        self._over = False
        self.log = artifacts.log_event
        self.observer = observer
        self._points: list[tuple[int, int, str, str, float, float]] = []
        self._commands: list[tuple[str, float | None, str]] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._facts: RunSummary = {}
        self._epoch, self._step = 0, 0
        self._spacing = CheckpointInterval(CHECKPOINT_EVERY_S, CHECKPOINT_AT_LAST_S, CHECKPOINT_SHARE)
        self._best_step = -1
        self._speed = Throughput()
        self._resting = False
        self._meter = Meter(run.summary)
        self._trial = TrialPruner(store, run) if run.sweep_id else None
        self._problem = ""
        self._thread = threading.Thread(target=self._serve, name="run reporter", daemon=True)

    def start(self, trainer: Trainer) -> None:
        self._facts |= {
            "total_steps": trainer.total_steps,
            "steps_per_epoch": trainer.steps_per_epoch,
            "rows_per_step": trainer.batch_size,
            "objective": trainer.objective.name,
            "titles": trainer.titles,
            "device": trainer.device,
            "learning_rate": trainer.learning_rate,
        }
        self._epoch, self._step = trainer.epoch, trainer.step  # a run that goes on does not begin at 0
        self._best_step = trainer.best.step if trainer.best.weights else -1
        if trainer.best.weights:
            self._note_best(trainer)
        run = self.store.run(self.run_id)
        self._changes = ChangeLog(run, trainer.step)
        self._facts |= self._changes.facts()
        self.observer.start(trainer, run.summary.get("warnings", []), self.store.points(self.run_id))
        if trainer.step == 0:
            with self._spacing.writing():
                save_snapshot(self.artifacts, 0, 0, trainer.model.state_dict())
        self._thread.start()

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        now = time.time()
        with self._lock:
            self._points += [(step, epoch, split, name, value, now) for name, value in values.items()]
        if self._trial and split == "validation":
            self._trial.take(epoch, values)

    def should_continue(self, trainer: Trainer) -> bool:
        self._epoch, self._step = trainer.epoch, trainer.step
        if self._commands:
            return self._obey(trainer)
        if self._trial and self._trial.pruned:
            return False
        if self._problem:
            raise TrainingError(self._problem)
        if self._late():
            return False
        if self._spacing.due():
            self.checkpoint(trainer)
        return True

    def log_event(self, kind: str, sentence: str) -> None:
        self.log(kind, said=sentence)
        self._facts["notes"] = [*self._facts.get("notes", []), sentence]

    def on_epoch_end(self, trainer: Trainer) -> None:
        self._epoch, self._step = trainer.epoch, trainer.step
        self._facts["rate"] = trainer.current_learning_rate
        self._note_best(trainer)
        if is_due(trainer.epoch):
            with self._spacing.writing():
                save_snapshot(self.artifacts, trainer.epoch, trainer.step, trainer.model.state_dict())

    def _note_best(self, trainer: Trainer) -> None:
        self._facts["best"] = {
            "loss": trainer.best.value,
            "epoch": trainer.best.epoch,
            "step": trainer.best.step,
            "measure": trainer.monitor,
        }

    @property
    def ending(self) -> str:
        """Why the run was stopped, where nobody asked for it."""
        if self._over:
            return self.limits.too_long
        return self._trial.pruned if self._trial else ""

    def _late(self) -> bool:
        self._over = self._over or time.monotonic() > self._until
        return self._over

    def tell(self, facts: RunSummary) -> None:
        """Put more into what the store knows of this run, with the next heartbeat."""
        self._facts.update(facts)

    @property
    def facts(self) -> RunSummary:
        """What the store is told of this run with the next heartbeat."""
        return self._facts.copy()

    def checkpoint(self, trainer: Trainer) -> None:
        """Save everything; what the curves hold up to here is written first, so that none of it is lost on resume.

        Raises:
            ClaimLostError: the run is not this worker's any more, and another may write to its folder.
        """
        with self._spacing.writing(checkpoint=True):
            trainer.flush()
            if not self._write() and self._claim is not None:
                self.store.held(self.run_id, self._claim)
            if trainer.best.weights and trainer.best.step != self._best_step:
                measure = f"validation_{trainer.monitor}"
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
            self._write()
            self.beat()
        except StoreError as error:  # how the run ended is told afterwards, and tried for longer
            self._complain(error)

    def take_commands(self) -> None:
        """Ask the store for commands; the loop carries them out before its next step."""
        new = self.store.take_commands(self.run_id, holding=self._claim)
        self._commands += [(item.kind, item.value, item.text) for item in new]

    def beat(self) -> None:
        """Tell the store that this worker lives, how far it is, and all other facts."""
        self._facts.update(_system())
        self._facts.update(self._meter.stop() if self._closed.is_set() else self._meter.read())
        if not self._resting:
            self._speed.update(self._step)
        rate = self._speed.steps_per_s
        steps_left = self._facts["total_steps"] - self._step
        self._facts["steps_per_s"] = rate
        self._facts["eta_s"] = steps_left / rate if rate else None
        self._facts["eta_range_s"] = self._speed.left(steps_left)
        self._facts["speeds"] = self._speed.history
        self._facts["warnings"] = self.observer.notices
        self.store.heartbeat(self.run_id, holding=self._claim, epoch=self._epoch, step=self._step, summary=self.facts)

    def _obey(self, trainer: Trainer) -> bool:
        """Carry out what has been asked for. Returns false where the run has to stop."""
        for kind in self._told(trainer):
            if kind == "stop":
                return False
            if kind == "pause":
                self.checkpoint(trainer)
                self.store.change_state(self.run_id, "paused", holding=self._claim)
                self._resting = True
                if not self._wait(trainer):
                    return False
                self._speed.pause()
                self._resting = False
                self.store.change_state(self.run_id, "running", holding=self._claim)
        return True

    def _wait(self, trainer: Trainer) -> bool:
        """Sleep until the run may go on. Returns false where it has to stop instead."""
        while True:
            for kind in self._told(trainer):
                if kind in ("resume", "stop"):
                    return kind == "resume"
            if self._late():
                return False
            time.sleep(POLL_S / 2)

    def _told(self, trainer: Trainer) -> Iterator[str]:
        """Change rate and schedule as it was asked for, and hand on what else was."""
        while self._commands:
            kind, value, text = self._commands.pop(0)
            self.log("command", kind=kind, value=value, text=text, step=trainer.step)
            if kind == "learning_rate" and value is not None:
                self._set_learning_rate(trainer, value)
            elif kind == "schedule":
                self._set_schedule(trainer, text)
            else:
                yield kind
            self._facts["rate"] = trainer.current_learning_rate

    def _set_learning_rate(self, trainer: Trainer, value: float) -> None:
        self._changed("learning_rate", trainer.learning_rate, value, trainer)
        trainer.learning_rate = self._facts["learning_rate"] = value
        self.checkpoint(trainer)  # so that a run that dies goes on with it

    def _set_schedule(self, trainer: Trainer, name: str) -> None:
        """Also in the run's own document, so that a run that dies goes on with it."""
        self._changed("schedule", trainer.training.schedule, name, trainer)
        trainer.training = trainer.training.model_copy(update={"schedule": name})
        project = self.artifacts.project()
        self.artifacts.save_project(project.model_copy(update={"training": trainer.training}))
        self._facts["schedule"] = name
        self.checkpoint(trainer)

    def _changed(self, setting: str, old: Any, new: Any, trainer: Trainer) -> None:
        self._changes.add(setting, old, new, trainer.step, trainer.epoch)
        self._facts |= self._changes.facts()

    def _serve(self) -> None:
        flushed = beat = polled = 0.0
        while not self._closed.wait(POLL_S):
            try:
                now = time.monotonic()
                if now - polled > ASK_S:
                    self.take_commands()
                    polled = now
                if now - flushed > FLUSH_S and self._write():  # so that the first points wait for nothing
                    flushed = now
                if now - beat > HEARTBEAT_S:
                    self._problem = self._problem or self._guard.problem()
                    self.beat()
                    beat = now
            except NotFoundError:
                self._give_up()
            except ClaimLostError:  # it may train elsewhere by now, in this very folder
                os._exit(0)
            except Exception as error:
                # The store may be locked for a moment; the points wait here and are tried again.
                self._complain(error)
                time.sleep(HEARTBEAT_S)

    def _complain(self, error: Exception) -> None:
        with contextlib.suppress(OSError, MemoryError):  # the log is on the disk that may be full
            self.log("store", problem=repr(error))

    def _give_up(self) -> None:
        """End at once: the run was deleted, so there is nobody to train for and nowhere to write to. Or the database
        was; then the folder stays, and the run can be listed again."""
        clear(self.artifacts)
        os._exit(0)

    def _write(self) -> bool:
        """Write the points that wait. Returns whether there were any."""
        with self._lock:
            points, self._points = self._points, []
            try:
                if points:
                    self.store.add_points(self.run_id, points, holding=self._claim)
            except Exception:
                self._points = points + self._points
                raise
        return bool(points)


def _system() -> RunSummary:
    """What this process and its device use: shares between 0 and 1, memory in bytes."""
    import torch

    process = _process()
    memory = resident(process)
    load: RunSummary = {
        "cpu_share": process.cpu_percent() / 100,
        "memory_bytes": memory,
        "memory_share": memory / psutil.virtual_memory().total,
    }
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        load |= {"gpu": torch.cuda.get_device_name(), "gpu_memory_bytes": total - free, "gpu_memory_total": total}
    return load


@cache
def _process() -> psutil.Process:
    """This process; its share of the processor is counted from one look to the next, so it has to be the same one."""

    return psutil.Process()


def clear(artifacts: RunArtifacts) -> None:
    """Remove what was written for a run that was deleted. Where its document is there, nobody has deleted the run, or
    whoever did is about to remove the rest: it is the database that was lost."""
    if artifacts.project_stamp() is None:
        artifacts.delete()
