"""The process that trains one run: `python -m builder.train.worker HOME`, which is told its run on standard input.

A thread of its own carries messages to and from the store, so that the loop never waits for a disk. Everything that a
person should know is in the store; everything that a developer should know is in the run's log.jsonl.
"""

from __future__ import annotations

import contextlib
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
from typing import TYPE_CHECKING, Any

import psutil

from builder import log
from builder.data import prepare
from builder.data.card import save_card
from builder.data.kept import keep_fitted
from builder.graph import read, write, write_bytes
from builder.store import Missing, Run, Store, open_store
from builder.train import checkpoints
from builder.train.energy import Meter
from builder.train.kept import keep
from builder.train.loop import DivergedError, Loop, TrainingError, Watch, begin
from builder.train.observe import culprit
from builder.train.observe.observer import Observer
from builder.train.origin import FILE
from builder.train.pace import Pace
from builder.train.reproduce import note_machine
from builder.train.trained import TrainedRun, evaluate
from builder.train.trial import TrialWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from builder.graph import Project

POLL_S = 0.1
FLUSH_S = 0.25
HEARTBEAT_S = 1.0
CHECKPOINT_EVERY_S = 5.0
MEMORY_SHARE = 0.9
LOG = "log.jsonl"


class Link(Watch):
    """Between the loop and the store: points out, commands in, a heartbeat."""

    def __init__(self, store: Store, run: Run, folder: Path, observer: Observer) -> None:
        self.store, self.run_id, self.folder = store, run.id, folder
        self.log = partial(log.write, folder / LOG)
        self.observer = observer
        self._points: list[tuple[int, int, str, str, float, float]] = []
        self._commands: list[tuple[str, float | None, str]] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._facts: dict[str, Any] = {}
        self._state: dict[str, Any] = {"epoch": 0, "step": 0}
        self._checkpoint_at = time.monotonic()
        self._best_step = -1
        self._speed = Pace()
        self._meter = Meter(run.summary)
        self._trial = TrialWatch(store, run) if run.sweep_id else None
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._serve, name="link", daemon=True)

    def start(self, loop: Loop) -> None:
        self._facts = {
            "total_steps": loop.total_steps,
            "steps_per_epoch": loop.steps_per_epoch,
            "rows_per_step": loop.batch_size,
            "objective": loop.objective.name,
            "titles": loop.objective.titles(loop.training),
            "device": loop.device,
            "learning_rate": loop.learning_rate,
        }
        self._best_step = loop.best.step if loop.best.weights else -1
        known = self.store.run(self.run_id).summary.get("warnings", [])
        self.observer.begin(loop, known, self.store.points(self.run_id))
        self._thread.start()

    def record(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        now = time.time()
        with self._lock:
            self._points += [(step, epoch, split, name, value, now) for name, value in values.items()]
        self.observer.record(step, epoch, split, values)
        if self._trial and split == "validation":
            self._trial.take(epoch, values)

    def poll(self, loop: Loop) -> bool:
        self._state = {"epoch": loop.epoch, "step": loop.step}
        if self._commands:
            return self._obey(loop)
        if self._trial and self._trial.pruned:
            return False
        if self._problem:
            raise TrainingError(self._problem)
        if time.monotonic() - self._checkpoint_at > CHECKPOINT_EVERY_S:
            self.checkpoint(loop)
        return True

    def note(self, kind: str, sentence: str) -> None:
        self.log(kind, said=sentence)
        self._facts["notes"] = [*self._facts.get("notes", []), sentence]

    def epoch_done(self, loop: Loop) -> None:
        self._state = {"epoch": loop.epoch, "step": loop.step}
        best = {"loss": loop.best.value, "epoch": loop.best.epoch, "step": loop.best.step}
        self._facts["best"] = {**best, "measure": loop.training.monitor}
        self.observer.epoch_done(loop)

        keep(self.folder, loop.epoch, loop.step, loop.model.state_dict())

    @property
    def ending(self) -> str:
        """Why the run was stopped, where nobody asked for it."""
        return self._trial.pruned if self._trial else ""

    def tell(self, **facts: Any) -> None:
        """Put more into what the store knows of this run, with the next heartbeat."""
        self._facts.update(facts)

    def learn(self, learn: Callable[..., torch.Tensor], *batch: Any) -> torch.Tensor:
        return self.observer.learn(learn, *batch)

    def checkpoint(self, loop: Loop) -> None:
        """Save everything; what the curves hold up to here is written first, so that none of it is lost on resume."""
        loop.flush(self)
        self._write()
        if loop.best.weights and loop.best.step != self._best_step:
            measure = f"validation_{loop.training.monitor}"
            facts = {"epoch": loop.best.epoch, "step": loop.best.step, measure: loop.best.value}
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
            kind, value, text = self._commands.pop(0)
            self.log("command", kind=kind, value=value, text=text, step=loop.step)
            if kind == "learning_rate" and value is not None:
                self._set_learning_rate(loop, value)
            elif kind == "schedule":
                self._set_schedule(loop, text)
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
                kind, value, text = self._commands.pop(0)
                self.log("command", kind=kind, value=value, text=text, step=loop.step)
                if kind == "learning_rate" and value is not None:
                    self._set_learning_rate(loop, value)
                elif kind == "schedule":
                    self._set_schedule(loop, text)
                elif kind in ("resume", "stop"):
                    return kind == "resume"
            time.sleep(POLL_S / 2)

    def _set_learning_rate(self, loop: Loop, value: float) -> None:
        loop.learning_rate = self._facts["learning_rate"] = value
        self.checkpoint(loop)  # so that a run that dies goes on with it

    def _set_schedule(self, loop: Loop, name: str) -> None:
        """Also in the run's own document, so that a run that dies goes on with it."""
        loop.training = loop.training.model_copy(update={"schedule": name})
        path = self.folder / "project.json"
        write(path, read(path).model_copy(update={"training": loop.training}))
        self._facts["schedule"] = name
        self.checkpoint(loop)

    def _serve(self) -> None:
        flushed = beat = 0.0
        while not self._closed.wait(POLL_S):
            try:
                self._commands += [(item.kind, item.value, item.text) for item in self.store.take_commands(self.run_id)]
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
        _clear(self.folder)
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
        self._facts.update(self._meter.stop() if self._closed.is_set() else self._meter.read())
        self._speed.update(self._state["step"])
        rate = self._speed.steps_per_s
        left = self._facts["total_steps"] - self._state["step"]
        self._facts["steps_per_s"] = rate
        self._facts["eta_s"] = left / rate if rate else None
        self._facts["eta_range_s"] = self._speed.left(left)
        self._facts["speeds"] = self._speed.history
        self._facts["warnings"] = self.observer.notices
        if system["memory_share"] > MEMORY_SHARE:
            self._problem = (
                f"Training was stopped because it filled {system['memory_share']:.0%} of this machine's memory; "
                "make batches or layers smaller."
            )
        self.store.heartbeat(self.run_id, **self._state, summary=dict(self._facts))


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
        with contextlib.suppress(OSError):
            note("error", message=reason, traceback=traceback.format_exc())
    try:
        store.update_run(run_id, state=state, reason=reason, ended_at=datetime.now(UTC))
    except Missing:  # it was deleted, and whatever went wrong went wrong because of that
        _clear(folder)
        return 0
    note("end", state=state, reason=reason)
    return 1 if state == "failed" else 0


def _clear(folder: Path) -> None:
    """Remove the folder of a run that was deleted, even while something is still being written into it."""
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.01)


def _train(store: Store, run_id: str, folder: Path) -> tuple[str, str]:
    project = read(folder / "project.json")
    link = Link(store, store.run(run_id), folder, Observer(project, folder))
    text = (folder / "model.py").read_text()
    first = folder / FILE
    data = keep_fitted(prepare(project.data, store.home), folder)
    note_machine(folder, data.fingerprint)
    loop = begin(project, text, data, first if first.exists() else None)
    found = checkpoints.load(folder)
    if found is not None:
        step, checkpoint = found
        best = checkpoints.weights(folder, "best") if (folder / "best.safetensors").exists() else None
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
        measured = evaluate(trained)
        write_bytes(folder / "evaluation.json", json.dumps(measured.as_json()).encode())
        save_card(folder, loop.data, project.data, store.home)
        link.tell(test=measured.metrics)
    except DivergedError as error:
        raise TrainingError(f"{error}{_culprit(link, project, folder, text)}") from None
    finally:
        link.close()
    return ("finished" if done else "stopped"), "" if done else link.ending


def _next(home: str) -> None:
    """Let whoever waits begin, also where no page is open."""
    from builder.train import control

    if hasattr(os, "SCHED_OTHER"):  # workers inherit it, and their threads that speak with the store need a turn
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    try:
        control.tend(open_store(Path(home)))
    except Exception:
        traceback.print_exc()  # whoever looks next does it


def _culprit(link: Link, project: Project, folder: Path, text: str) -> str:
    """Who made the first number that is none, as a sentence; it stands among the run's warnings too."""
    first, data = folder / FILE, prepare(project.data, link.store.home)
    found = culprit.find(project, folder, lambda: begin(project, text, data, first if first.exists() else None))
    if found is None:
        return ""
    link.observer.tell(found.notice())
    return f" {found.sentence()}"


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

        if told.get("gpu") is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = told["gpu"]
        torch.set_num_threads(told["threads"])
        code = main(sys.argv[1], told["run"])
        _next(sys.argv[1])
        sys.exit(code)
