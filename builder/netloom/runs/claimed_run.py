"""Trains the run that this process holds, until its end: reports its state, sends heartbeats, and loads data and
trainer."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from netloom.core.processor import OtherLoad
from netloom.data import prepare
from netloom.data.preparation.fitted_state import keep_fitted
from netloom.runs.cluster import RAY
from netloom.runs.distillation import attach_teacher, frozen_teacher
from netloom.runs.execution.run_training import Through, existing, note, reason, train_run
from netloom.runs.execution.store_thread import delete_unlisted
from netloom.runs.history.records import keep_record
from netloom.runs.resources.limits import Reserve, RunLimits, loosen
from netloom.runs.resources.thread_count import ThreadCount, choose_threads
from netloom.store import ClaimLostError, NotFoundError, Run, RunArtifacts, Store, StoreError, current_host, open_store
from netloom.store.run_end import RunEnd
from netloom.store.run_summary import Reproduction
from netloom.training.trainers.registry import build_trainer
from netloom.training.weights import checkpoints

# How long an ended run retries to report its end while the store is not writable.
TELL_S = 20.0
BEAT_S = 5.0


def train_claimed_run(
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
        end = _train(store, run, artifacts, limits, through, runs)
    except ClaimLostError:  # the claim was lost: another worker may train the run in this folder
        ended.set()
        return 0
    except Exception as error:
        loosen()  # first, as even the message needs memory
        end = RunEnd("failed", reason(error, limits, artifacts))
        checkpoints.tidy(artifacts)
        log_event("error", message=end.reason, traceback=traceback.format_exc())
    ended.set()
    reserve.release()
    try:
        _tell(store, run_id, claim, end)
    except NotFoundError:  # the run was deleted, which is the cause of any error
        delete_unlisted(artifacts)
        return 0
    except ClaimLostError:  # the claim was lost: another worker may train the run
        return 0
    except StoreError:
        print(end.reason or end.state, file=sys.stderr, flush=True)  # the supervisor reads the last line of the log
        raise
    log_event("end", state=end.state, reason=end.reason)
    keep_record(store, run_id, curves=True)
    return 1 if end.state == "failed" else 0


def _tell(store: Store, run_id: str, claim: str | None, end: RunEnd) -> None:
    """Report the end of a run as soon as the store is writable.

    Raises:
        StoreError: the store was not writable for too long, or the run was deleted.
    """
    until = time.monotonic() + TELL_S
    while True:
        try:
            return store.end_run(run_id, end, holding=claim)
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
) -> RunEnd:
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
