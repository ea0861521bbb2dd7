"""The process that trains one run: `python -m builder.train.worker HOME`, which is told its run on standard input.

A thread of its own carries messages to and from the store, so that the loop never waits for a disk. Everything that a
person should know is in the store; everything that a developer should know is in the run's log.jsonl.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import psutil

from builder import log
from builder.data import prepare
from builder.graph import read, write_bytes
from builder.store import Missing, Run, Store, open_store
from builder.train import checkpoints
from builder.train.loop import Loop, TrainingError, Watch, begin
from builder.train.origin import FILE
from builder.train.trained import TrainedRun, evaluate

POLL_S = 0.1
FLUSH_S = 0.25
HEARTBEAT_S = 1.0
CHECKPOINT_EVERY_S = 5.0
MEMORY_SHARE = 0.9
LOG = "log.jsonl"


class Link(Watch):
    """Between the loop and the store: points out, commands in, a heartbeat."""

    def __init__(self, store: Store, run: Run, folder: Path) -> None:
        self.store, self.run_id, self.folder = store, run.id, folder
        self.log = partial(log.write, folder / LOG)
        self._points: list[tuple[int, int, str, str, float, float]] = []
        self._commands: list[tuple[str, float | None]] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._facts: dict[str, Any] = {}
        self._state: dict[str, Any] = {"epoch": 0, "step": 0}
        self._checkpoint_at = time.monotonic()
        self._best_step = -1
        self._speed = _Speed()
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._serve, name="link", daemon=True)

    def start(self, loop: Loop) -> None:
        self._facts = {
            "total_steps": loop.total_steps,
            "steps_per_epoch": loop.steps_per_epoch,
            "rows_per_step": loop.batch_size,
            "objective": loop.objective.name,
            "device": loop.device,
            "learning_rate": loop.learning_rate,
        }
        self._best_step = loop.best.step if loop.best.weights else -1
        self._thread.start()

    def record(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        now = time.time()
        with self._lock:
            self._points += [(step, epoch, split, name, value, now) for name, value in values.items()]

    def poll(self, loop: Loop) -> bool:
        self._state = {"epoch": loop.epoch, "step": loop.step}
        if self._commands:
            return self._obey(loop)
        if self._problem:
            raise TrainingError(self._problem)
        if time.monotonic() - self._checkpoint_at > CHECKPOINT_EVERY_S:
            self.checkpoint(loop)
        return True

    def epoch_done(self, loop: Loop) -> None:
        self._state = {"epoch": loop.epoch, "step": loop.step}
        self._facts["best"] = {"loss": loop.best.value, "epoch": loop.best.epoch, "step": loop.best.step}

    def checkpoint(self, loop: Loop) -> None:
        """Save everything; what the curves hold up to here is written first, so that none of it is lost on resume."""
        loop.flush(self)
        self._write()
        if loop.best.weights and loop.best.step != self._best_step:
            facts = {"epoch": loop.best.epoch, "step": loop.best.step, "validation_loss": loop.best.value}
            checkpoints.save_best(self.folder, loop.best.weights, facts)
            self._best_step = loop.best.step
        checkpoints.save(self.folder, loop.step, loop.checkpoint())
        self._checkpoint_at = time.monotonic()
        self.log("checkpoint", step=loop.step, epoch=loop.epoch)

    def close(self) -> None:
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._write()
        self._beat()

    def _obey(self, loop: Loop) -> bool:
        """Carry out what has been asked for. Returns false where the run has to stop."""
        while self._commands:
            kind, value = self._commands.pop(0)
            self.log("command", kind=kind, value=value, step=loop.step)
            if kind == "learning_rate" and value is not None:
                self._set_learning_rate(loop, value)
            elif kind == "stop":
                return False
            elif kind == "pause":
                self.checkpoint(loop)
                self.store.update_run(self.run_id, state="paused")
                self._speed.pause()
                if not self._wait(loop):
                    return False
                self.store.update_run(self.run_id, state="running")
        return True

    def _wait(self, loop: Loop) -> bool:
        """Sleep until the run may go on. Returns false where it has to stop instead."""
        while True:
            while self._commands:
                kind, value = self._commands.pop(0)
                self.log("command", kind=kind, value=value, step=loop.step)
                if kind == "learning_rate" and value is not None:
                    self._set_learning_rate(loop, value)
                elif kind in ("resume", "stop"):
                    return kind == "resume"
            time.sleep(POLL_S / 2)

    def _set_learning_rate(self, loop: Loop, value: float) -> None:
        loop.learning_rate = self._facts["learning_rate"] = value
        self.checkpoint(loop)  # so that a run that dies goes on with it

    def _serve(self) -> None:
        flushed = beat = 0.0
        while not self._closed.wait(POLL_S):
            try:
                self._commands += [(item.kind, item.value) for item in self.store.take_commands(self.run_id)]
                now = time.monotonic()
                if now - flushed > FLUSH_S:
                    self._write()
                    flushed = now
                if now - beat > HEARTBEAT_S:
                    self._beat()
                    beat = now
            except Missing:
                self._give_up()
            except Exception as error:
                # The store may be locked for a moment; the points wait here and are tried again.
                self.log("store", problem=repr(error))
                time.sleep(HEARTBEAT_S)

    def _give_up(self) -> None:
        """End at once: the run was deleted, so there is nobody to train for and nowhere to write to."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(0)

    def _write(self) -> None:
        with self._lock:
            points, self._points = self._points, []
            try:
                if points:
                    self.store.add_points(self.run_id, points)
            except Exception:
                self._points = points + self._points
                raise

    def _beat(self) -> None:
        system = _system()
        self._facts.update(system)
        self._speed.update(self._state["step"])
        rate = self._speed.steps_per_s
        left = self._facts["total_steps"] - self._state["step"]
        self._facts["steps_per_s"] = rate
        self._facts["eta_s"] = left / rate if rate else None
        if system["memory_share"] > MEMORY_SHARE:
            self._problem = (
                f"Training was stopped because it filled {system['memory_share']:.0%} of this machine's memory; "
                "make batches or layers smaller."
            )
        self.store.heartbeat(self.run_id, **self._state, summary=dict(self._facts))


class _Speed:
    """Steps a second, over the last few heartbeats."""

    def __init__(self) -> None:
        self.steps_per_s = 0.0
        self._seen: list[tuple[float, int]] = []

    def update(self, step: int) -> None:
        self._seen = [*self._seen[-5:], (time.monotonic(), step)]
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        if end > start and last > first:
            self.steps_per_s = (last - first) / (end - start)

    def pause(self) -> None:
        self._seen = []


def _system() -> dict[str, Any]:
    """What this process and its device use: shares between 0 and 1, memory in bytes."""
    import torch

    process = _process()
    memory = process.memory_info().rss
    facts: dict[str, Any] = {
        "cpu_share": process.cpu_percent() / 100,
        "memory_bytes": memory,
        "memory_share": memory / psutil.virtual_memory().total,
    }
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        facts |= {"gpu": torch.cuda.get_device_name(), "gpu_memory_bytes": total - free, "gpu_memory_total": total}
    return facts


@cache
def _process() -> psutil.Process:
    """This process; its share of the processor is counted from one look to the next, so it has to be the same one."""

    return psutil.Process()


def main(home: str, run_id: str) -> int:
    """Train one run to its end. Returns the exit code: 0 where it finished or was stopped."""
    store = open_store(Path(home))
    folder = Path(store.run_folder(run_id))
    note = partial(log.write, folder / LOG)
    note("start", pid=os.getpid())
    try:
        state, reason = _train(store, run_id, folder)
    except Exception as error:
        state, reason = "failed", _reason(error)
        note("error", message=reason, traceback=traceback.format_exc())
    store.update_run(run_id, state=state, reason=reason, ended_at=datetime.now(UTC))
    note("end", state=state, reason=reason)
    return 1 if state == "failed" else 0


def _train(store: Store, run_id: str, folder: Path) -> tuple[str, str]:
    project = read(folder / "project.json")
    link = Link(store, store.run(run_id), folder)
    text = (folder / "model.py").read_text()
    first = folder / FILE
    loop = begin(project, text, prepare(project.data, store.home), first if first.exists() else None)
    found = checkpoints.load(folder)
    if found is not None:
        step, checkpoint = found
        best = checkpoints.weights(folder) if (folder / "best.safetensors").exists() else None
        loop.restore(checkpoint, best)
        link.log("restore", step=step)
    # One that only measures has its points at step 0: without a checkpoint they go as well.
    store.drop_points_after(run_id, loop.step if found else -1)
    store.update_run(run_id, state="running", started_at=datetime.now(UTC), total_steps=loop.total_steps, reason="")
    link.start(loop)
    _give_way()
    try:
        done = loop.run(link)
        link.checkpoint(loop)
        trained = TrainedRun(project, text, loop.best_model(), loop.data)
        write_bytes(folder / "evaluation.json", json.dumps(evaluate(trained).as_json()).encode())
    finally:
        link.close()
    return ("finished" if done else "stopped"), ""


def _give_way() -> None:
    """Let this thread compute only where a core has nothing else to do, so that pages answer as fast as without a run.

    Measured on two cores: an edit on the canvas takes 1.25 times as long beside a run, and 1.5 times beside one that is
    merely nice. The thread that speaks with the store has started before, and keeps its turn.
    """
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _reason(error: Exception) -> str:
    """Why a run failed, in a sentence."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return "The GPU's memory is full; make batches or layers smaller, or train on the CPU."
    if isinstance(error, MemoryError) or "not enough memory" in str(error):
        return "This machine's memory is full; make batches or layers smaller."
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return first[:500]


def _told() -> dict[str, Any] | None:
    """What to train; None where whoever started this process went away without a word."""
    _import_heavy()
    line = sys.stdin.readline()
    if not line:
        return None
    message: dict[str, Any] = json.loads(line)
    output = os.open(message["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    return message


def _import_heavy() -> None:
    """What every run needs, so that a worker that waits has it already."""
    import torch.optim.adam
    import torch.utils.flop_counter

    # The first step of an optimizer imports more of torch; better now than within the run.
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.sum().backward()  # type: ignore[no-untyped-call]
    torch.optim.Adam([weight], fused=True).step()


if __name__ == "__main__":
    told = _told()
    if told is not None:
        import torch

        torch.set_num_threads(told["threads"])
        sys.exit(main(sys.argv[1], told["run"]))
