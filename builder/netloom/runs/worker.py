"""The process that trains one run: `python -m netloom.runs.worker HOME`, which is told its run on standard input; or
that it is to move sweeps on. Without HOME it is the server that such processes are forked from, each of which is told
its data folder, too.

A thread of its own carries messages to and from the store, so that the loop never waits for a disk. Everything that a
person should know is in the store; everything that a developer should know is in the run's log.jsonl.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from netloom.data import prepare
from netloom.data.preparation.fitted_state import keep_fitted
from netloom.runs.cluster import RAY
from netloom.runs.distillation import attach_teacher, frozen_teacher
from netloom.runs.execution import Through, existing, note, reason, train_run
from netloom.runs.forkserver import serve
from netloom.runs.history.records import keep_record
from netloom.runs.resources.limits import Reserve, RunLimits, confine, loosen
from netloom.runs.run_reporter import clear
from netloom.runs.search import sweep_process
from netloom.runs.supervisor import tend
from netloom.store import ClaimLostError, NotFoundError, Run, RunArtifacts, Store, StoreError, here, open_store
from netloom.training import checkpoints
from netloom.training.trainers.registry import build_trainer

# How long a run that has ended tries to say so where the store cannot be written to.
TELL_S = 20.0
BEAT_S = 5.0


def main(home: str, run_id: str, claim: str | None, limits: RunLimits, through: Through | None = None) -> int:
    """Train one run to its end, which this process holds with `claim`. Returns the exit code: 0 where it finished or
    was stopped, or is not this worker's any more. `through` is as below."""
    store = open_store(Path(home))
    artifacts = store.artifacts(run_id)
    try:
        run = store.held(run_id, claim)  # nothing is touched before this is known
    except (NotFoundError, ClaimLostError):
        return 0
    log_event, reserve = partial(note, artifacts), Reserve(artifacts)
    log_event("start", pid=os.getpid())
    checkpoints.tidy(artifacts)
    reserve.take()
    ended = threading.Event()
    try:
        threading.Thread(target=_beat, args=(store, run, ended), name="beat", daemon=True).start()
        state, why = _train(store, run, artifacts, limits, through)
    except ClaimLostError:  # it was given up meanwhile, and may train elsewhere, in this very folder
        ended.set()
        return 0
    except Exception as error:
        loosen()
        state, why = "failed", reason(error, limits, artifacts)
        checkpoints.tidy(artifacts)
        log_event("error", message=why, traceback=traceback.format_exc())
    ended.set()
    reserve.release()
    try:
        _tell(store, run_id, claim, state, why)
    except NotFoundError:  # it was deleted, and whatever went wrong went wrong because of that
        clear(artifacts)
        return 0
    except ClaimLostError:  # it was given up meanwhile, and may train elsewhere
        return 0
    except StoreError:
        print(why or state, file=sys.stderr, flush=True)
        raise
    log_event("end", state=state, reason=why)
    keep_record(store, run_id, curves=True)
    return 1 if state == "failed" else 0


def _tell(store: Store, run_id: str, claim: str | None, state: str, reason: str) -> None:
    """Note how a run has ended, as soon as the store can be written to.

    Raises:
        StoreError: it could not be for so long that waiting makes no sense, or the run was deleted.
    """
    until = time.monotonic() + TELL_S
    while True:
        try:
            return store.change_state(run_id, state, holding=claim, reason=reason, ended_at=datetime.now(UTC))
        except (NotFoundError, ClaimLostError):
            raise
        except StoreError:
            if time.monotonic() > until:
                raise
            time.sleep(0.25)


def _beat(store: Store, run: Run, ended: threading.Event) -> None:
    """Let other machines know that this process lives, also while it reads data and there is nothing else to tell."""
    while not ended.wait(BEAT_S):
        try:
            store.update_run(run.id, holding=run.claim, heartbeat_at=datetime.now(UTC))
        except ClaimLostError:
            os._exit(0)
        except StoreError:  # gone, or locked for a moment
            continue


def _train(
    store: Store, run: Run, artifacts: RunArtifacts, limits: RunLimits, through: Through | None
) -> tuple[str, str]:
    if run.about.get("backend") == RAY:
        from netloom.runs.cluster import driver

        return driver.train(store, run, artifacts, limits)
    project, source = artifacts.project(), artifacts.source()
    data = keep_fitted(prepare(project.data, store.home), artifacts)
    trainer = attach_teacher(
        build_trainer(project, source, data, existing(artifacts.start_weights)), frozen_teacher(artifacts)
    )
    return train_run(store, run, artifacts, limits, trainer, through)


def _next(home: str) -> None:
    """Start whoever is next in the queue, and see that sweeps go on, also where no page is open."""
    try:
        tend(open_store(Path(home)))
    except Exception:
        traceback.print_exc()  # whoever looks next does it


def _work(home: str) -> int:
    """Do what this process is told: train a run, or move sweeps on. Returns the exit code."""
    message = _heard()
    if message is None:
        _hand_back(home)
        return 0
    import torch

    torch.set_num_threads(message["threads"])
    output = os.open(message["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    if message["gpu"] is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = message["gpu"]
    if message.get("sweeps"):
        return sweep_process.main(Path(home))
    limits = RunLimits(**message["limits"])
    confine(limits, gpu=torch.cuda.is_available())
    code = main(home, message["run"], message["claim"], limits)
    _next(home)
    return code


def _work_forked() -> int:
    """As above, in a process that has the environment of the one that it was forked of."""
    import numpy as np

    message = _heard()
    if message is None:
        return 0
    os.environ.clear()
    os.environ.update(message["environment"])
    np.random.seed()  # or all that are forked would throw the same dice
    return _work(message["home"])


def _heard() -> dict[str, Any] | None:
    """What whoever started this process says; None where it went away without a word."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def _hand_back(home: str) -> None:
    """Let the run wait again that was given to this process by one that was gone before it could say so."""
    if not Path(home).exists():
        return
    with contextlib.suppress(StoreError):
        store = open_store(Path(home))
        for run in store.active_runs():
            if run.pid == os.getpid() and run.host in (None, here()) and run.state == "queued":
                store.give_back(run)


def _import_heavy() -> None:
    """What every run needs, so that a worker that waits has it already."""
    import safetensors.torch  # noqa: F401
    import torch.optim.adam
    import torch.utils.flop_counter

    import netloom.compile.logit_network  # noqa: F401
    from netloom.data.builtin_registry import builtin
    from netloom.data.targets.registry import target_of
    from netloom.layers import registry

    # To declare all layers takes a fifth of a second.
    registry()
    builtin()
    target_of("class")  # and with it every other kind
    # The first step of an optimizer imports more of torch; better now than within the run.
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.sum().backward()  # type: ignore[no-untyped-call]
    adam = torch.optim.Adam([weight], fused=True)
    adam.step()


if __name__ == "__main__":
    _import_heavy()
    sys.exit(_work(sys.argv[1]) if len(sys.argv) > 1 else serve(_work_forked))
