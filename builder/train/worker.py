"""The process that trains one run: `python -m builder.train.worker HOME`, which is told its run on standard input.

A thread of its own carries messages to and from the store, so that the loop never waits for a disk. Everything that a
person should know is in the store; everything that a developer should know is in the run's log.jsonl.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from builder import log
from builder.data import prepare
from builder.data.card import save_card
from builder.data.kept import keep_fitted
from builder.graph import Project, read, write_bytes
from builder.store import Missing, Store, StoreError, open_store
from builder.train import checkpoints
from builder.train.limits import Reserve, RunLimits, confine, loosen, no_memory, no_room
from builder.train.link import LOG, Link, clear
from builder.train.loop import DivergedError, TrainingError, begin
from builder.train.observe import culprit
from builder.train.observe.observer import Observer
from builder.train.origin import FILE
from builder.train.reproduce import note_machine
from builder.train.trained import TrainedRun, evaluate

# How long a run that has ended tries to say so where the store cannot be written to.
TELL_S = 20.0


def main(home: str, run_id: str, limits: RunLimits) -> int:
    """Train one run to its end. Returns the exit code: 0 where it finished or was stopped."""
    store = open_store(Path(home))
    folder = Path(store.run_folder(run_id))
    note, reserve = partial(_note, folder / LOG), Reserve(folder)
    note("start", pid=os.getpid())
    checkpoints.tidy(folder)
    reserve.take()
    try:
        state, reason = _train(store, run_id, folder, limits)
    except Exception as error:
        loosen()
        state, reason = "failed", _reason(error, limits)
        checkpoints.tidy(folder)
        note("error", message=reason, traceback=traceback.format_exc())
    reserve.release()
    try:
        _tell(store, run_id, state, reason)
    except Missing:  # it was deleted, and whatever went wrong went wrong because of that
        clear(folder)
        return 0
    except StoreError:
        print(reason or state, file=sys.stderr, flush=True)
        raise
    note("end", state=state, reason=reason)
    return 1 if state == "failed" else 0


def _note(path: Path, event: str, **values: Any) -> None:
    """A line for the log, which stands on a disk that may be full."""
    with contextlib.suppress(OSError):
        log.write(path, event, **values)


def _tell(store: Store, run_id: str, state: str, reason: str) -> None:
    """Note how a run has ended, as soon as the store can be written to.

    Raises:
        StoreError: it could not be for so long that waiting makes no sense, or the run was deleted.
    """
    until = time.monotonic() + TELL_S
    while True:
        try:
            return store.update_run(run_id, state=state, reason=reason, ended_at=datetime.now(UTC))
        except Missing:
            raise
        except StoreError:
            if time.monotonic() > until:
                raise
            time.sleep(0.25)


def _reason(error: Exception, limits: RunLimits) -> str:
    """Why a run failed, in a sentence."""
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return "The GPU's memory is full; make batches or layers smaller, or train on the CPU."
    if no_memory(error):
        return limits.too_much_memory
    if no_room(error):
        return "The disk is full; free some space on it, and resume the run, which goes on from its last checkpoint."
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return first[:500]


def _train(store: Store, run_id: str, folder: Path, limits: RunLimits) -> tuple[str, str]:
    project = read(folder / "project.json")
    link = Link(store, store.run(run_id), folder, Observer(project, folder), limits)
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


def _hand_back(home: str) -> None:
    """Let the run wait again that was given to this process by one that was gone before it could say so."""
    if not Path(home).exists():
        return
    with contextlib.suppress(StoreError):
        store = open_store(Path(home))
        for run in store.active_runs():
            if run.pid == os.getpid() and run.state == "queued":
                store.update_run(run.id, state="waiting", pid=None, claim=None, claimed_at=None)


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
    if told is None:
        _hand_back(sys.argv[1])
    else:
        import torch

        if told.get("gpu") is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = told["gpu"]
        torch.set_num_threads(told["threads"])
        limits = RunLimits(**told["limits"])
        confine(limits, gpu=torch.cuda.is_available())
        code = main(sys.argv[1], told["run"], limits)
        _next(sys.argv[1])
        sys.exit(code)
