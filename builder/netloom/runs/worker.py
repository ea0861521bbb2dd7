"""The process that trains one run: `python -m netloom.runs.worker HOME`. Its standard input contains the run, or the
command to advance sweeps. Without HOME, it is the fork server of such processes, each of which then also receives its
data folder.

A separate thread communicates with the store, so that the loop never waits for a disk. The store has everything for
users; log.jsonl of the run has everything for developers.
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

from netloom.core.processor import OtherLoad
from netloom.data import prepare
from netloom.data.preparation.fitted_state import keep_fitted
from netloom.runs.cluster import RAY
from netloom.runs.distillation import attach_teacher, frozen_teacher
from netloom.runs.execution.run_reporter import clear
from netloom.runs.execution.run_training import Through, existing, note, reason, train_run
from netloom.runs.forkserver import serve
from netloom.runs.history.records import keep_record
from netloom.runs.resources.limits import Reserve, RunLimits, confine, loosen
from netloom.runs.resources.thread_count import ThreadCount, choose_threads
from netloom.runs.search import sweep_process
from netloom.runs.supervisor import tend
from netloom.store import ClaimLostError, NotFoundError, Run, RunArtifacts, Store, StoreError, current_host, open_store
from netloom.store.run_summary import Reproduction
from netloom.training import checkpoints
from netloom.training.trainers.registry import build_trainer

# How long an ended run retries to report its end while the store is not writable.
TELL_S = 20.0
BEAT_S = 5.0


def main(
    home: str,
    run_id: str,
    claim: str | None,
    limits: RunLimits,
    through: Through | None = None,
    runs: int | None = None,
) -> int:
    """Train one run, which this process holds with `claim`, until its end. Returns the exit code: 0 if it finished, was
    stopped, or was claimed by another worker. `through` can wrap the reporter, as in `train_run`. `runs` is the number
    of runs that share this machine; None leaves the number of threads of this process as it is."""
    store = open_store(Path(home))
    artifacts = store.artifacts(run_id)
    try:
        run = store.claimed_run(run_id, claim)  # modify nothing before the claim is confirmed
    except (NotFoundError, ClaimLostError):
        return 0
    log_event, reserve = partial(note, artifacts), Reserve(artifacts)
    log_event("start", pid=os.getpid())
    checkpoints.tidy(artifacts)
    reserve.take()
    ended = threading.Event()
    try:
        threading.Thread(target=_beat, args=(store, run, ended), name="beat", daemon=True).start()
        state, why = _train(store, run, artifacts, limits, through, runs)
    except ClaimLostError:  # the claim was lost: another worker may train the run in this folder
        ended.set()
        return 0
    except Exception as error:
        loosen()  # first, as even the message needs memory
        state, why = "failed", reason(error, limits, artifacts)
        checkpoints.tidy(artifacts)
        log_event("error", message=why, traceback=traceback.format_exc())
    ended.set()
    reserve.release()
    try:
        _tell(store, run_id, claim, state, why)
    except NotFoundError:  # the run was deleted, which is the cause of any error
        clear(artifacts)
        return 0
    except ClaimLostError:  # the claim was lost: another worker may train the run
        return 0
    except StoreError:
        print(why or state, file=sys.stderr, flush=True)  # the supervisor reads the last line of the log
        raise
    log_event("end", state=state, reason=why)
    keep_record(store, run_id, curves=True)
    return 1 if state == "failed" else 0


def _tell(store: Store, run_id: str, claim: str | None, state: str, reason: str) -> None:
    """Report the end of a run as soon as the store is writable.

    Raises:
        StoreError: the store was not writable for too long, or the run was deleted.
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
    """Send heartbeats to other machines while the process reads data and has nothing else to report."""
    while not ended.wait(BEAT_S):
        try:
            store.update_run(run.id, holding=run.claim, heartbeat_at=datetime.now(UTC))
        except ClaimLostError:
            os._exit(0)
        except StoreError:  # deleted, or locked for a moment
            continue


def _train(
    store: Store, run: Run, artifacts: RunArtifacts, limits: RunLimits, through: Through | None, runs: int | None
) -> tuple[str, str]:
    if run.about.backend == RAY:
        from netloom.runs.cluster import driver

        return driver.train(store, run, artifacts, limits)
    project, source = artifacts.project(), artifacts.source()
    # Other runs share the cores, whatever they use at the moment.
    load = OtherLoad(
        active.pid for active in store.active_runs() if active.pid and active.host in (None, current_host())
    )
    data = keep_fitted(prepare(project.data, store.home), artifacts)
    threads = None if runs is None else _set_threads(store, run, runs, load)
    trainer = attach_teacher(
        build_trainer(project, source, data, existing(artifacts.start_weights)), frozen_teacher(artifacts)
    )
    return train_run(store, run, artifacts, limits, trainer, through, threads)


def _set_threads(store: Store, run: Run, runs: int, load: OtherLoad) -> ThreadCount:
    """Use as many threads as the machine has free cores; mostly, reading the data took long enough to measure them."""
    import torch

    earlier = [run.id, *([run.about.start.run] if isinstance(run.about.start, Reproduction) else ())]
    recorded = [store.artifacts(run_id).environment().get("threads") for run_id in earlier]
    known = next((count for count in recorded if isinstance(count, int) and count), None)
    chosen = choose_threads(runs, load.busy_cores(), known)
    torch.set_num_threads(chosen.threads)
    return chosen


def _next(home: str) -> None:
    """Start the next run of the queue and the process of sweeps, also without an open page."""
    try:
        tend(open_store(Path(home)))
    except Exception:
        traceback.print_exc()  # the next supervisor retries


def _work(home: str) -> int:
    """Execute the command on the standard input: train a run, or advance sweeps. Returns the exit code."""
    message = _heard()
    if message is None:
        _hand_back(home)
        return 0
    import torch

    torch.set_num_threads(message["threads"])
    # Also for what C++ libraries write: `sys.stdout` would not catch that.
    output = os.open(message["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    if message["gpu"] is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = message["gpu"]  # CUDA reads it at its first use, which is still to come
    if message.get("sweeps"):
        return sweep_process.main(Path(home))
    limits = RunLimits(**message["limits"])
    confine(limits, gpu=torch.cuda.is_available())
    code = main(home, message["run"], message["claim"], limits, runs=message["runs"])
    _next(home)
    return code


def _work_forked() -> int:
    """Execute `_work` in a forked process, whose environment is still that of its server."""
    import numpy as np

    message = _heard()
    if message is None:
        return 0
    os.environ.clear()
    os.environ.update(message["environment"])
    np.random.seed()  # otherwise all forked processes would share a seed
    return _work(message["home"])


def _heard() -> dict[str, Any] | None:
    """Return the command of the process that started this one; None if that ended without one."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def _hand_back(home: str) -> None:
    """Return the run of this process to the queue, if the process that claimed it ended before it could send the
    command."""
    if not Path(home).exists():
        return
    with contextlib.suppress(StoreError):
        store = open_store(Path(home))
        for run in store.active_runs():
            if run.pid == os.getpid() and run.host in (None, current_host()) and run.state == "queued":
                store.give_back(run)


def _import_heavy() -> None:
    """Import everything that each run needs, in advance."""
    import safetensors.torch  # noqa: F401
    import torch.optim.adam
    import torch.utils.flop_counter

    import netloom.compile.logit_network  # noqa: F401
    from netloom.data.builtin_registry import builtin
    from netloom.data.targets.registry import target_of
    from netloom.layers import registry

    # Declaring all layers takes a fifth of a second.
    registry()
    builtin()
    target_of("class")  # also loads all other kinds
    # The first step of an optimizer imports further parts of torch, which would otherwise slow down the run.
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.sum().backward()  # type: ignore[no-untyped-call]
    adam = torch.optim.Adam([weight], fused=True)
    adam.step()


if __name__ == "__main__":
    _import_heavy()
    sys.exit(_work(sys.argv[1]) if len(sys.argv) > 1 else serve(_work_forked))
