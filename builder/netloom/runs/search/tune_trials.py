"""The trials of a sweep with Ray Tune: `python -m netloom.runs.search.tune_trials HOME SWEEP`.

Tune places trials on the cluster and restarts those whose worker was lost. As on a single machine, the sweep chooses
the next values, and every trial is an ordinary run. If this process ends, the supervisor of the store starts another
one.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, cast

from netloom.core.settings import settings
from netloom.runs.claimed_run import train_claimed_run
from netloom.runs.cluster.driver import connect, worker_environment
from netloom.runs.resources.limits import RunLimits, declared
from netloom.runs.search import sweep_trials
from netloom.store import Store, StoreError, Sweep, open_store
from netloom.training.callbacks import CallbackList
from netloom.training.trainer import Callback, Trainer

BEAT_S = 5.0


class TuneReporter(Callback):
    """Reports the metrics of each epoch to Tune."""

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._split = "validation"

    def on_fit_start(self, trainer: Trainer) -> None:
        self._split = trainer.monitored_split

    def log_metrics(self, step: int, epoch: int, split: str, values: dict[str, float]) -> None:
        if split == self._split and self._metric in values:
            from ray import tune

            tune.report({self._metric: values[self._metric], "epoch": epoch})


def attempt(config: dict[str, Any]) -> None:
    """Train the run of a trial in a process of Ray; a restarted trial resumes from its last checkpoint."""
    order = config["order"]
    os.environ.update(order["environment"])
    store = open_store(Path(order["home"]))
    try:
        worker_name = f"{socket.gethostname()} by Ray/{os.getpid()}"
        # With a new claim, so that an earlier attempt that is still alive can no longer write.
        run = store.take_over(store.run(config["run"]), os.getpid(), worker_name[-128:])
    except StoreError:  # deleted
        return
    finally:
        store.close()
    if run is None:  # another worker has claimed the run
        return
    limits = RunLimits(**order["limits"])
    train_claimed_run(
        order["home"],
        run.id,
        run.claim,
        limits,
        lambda reporter: CallbackList([reporter, TuneReporter(str(order["metric"]))]),
    )


def drive(home: Path, sweep_id: str) -> None:
    """Run the remaining trials of a sweep with Tune."""
    store = open_store(home)
    sweep = store.sweep(sweep_id)
    # Trials of an earlier driver count; a new Tuner knows none of them.
    remaining = int(sweep.plan["trials"]) - len(store.trials(sweep_id))
    if sweep.state != "running" or remaining < 1:
        return
    connect()
    from ray import tune

    from netloom.runs.search.tune_searcher import SweepSearcher

    threading.Thread(target=_beat, args=(store, sweep_id), name="beat", daemon=True).start()
    order = {
        "home": str(home),
        "environment": worker_environment(store),
        "limits": declared().as_json(),
        "metric": sweep.plan["metric"],
    }
    mode = {"maximize": "max"}.get(sweep.plan["direction"], "min")
    tuner = tune.Tuner(
        tune.with_resources(attempt, _resources(sweep)),
        tune_config=tune.TuneConfig(
            search_alg=SweepSearcher(home, sweep_id, order, sweep.plan["metric"], mode),
            num_samples=remaining,
            max_concurrent_trials=int(sweep.plan["parallel"]),
            metric=sweep.plan["metric"],
            mode=mode,
            reuse_actors=True,  # a new actor imports torch, which takes longer than a small trial
        ),
        run_config=tune.RunConfig(
            name=f"sweep-{sweep_id}",
            storage_path=settings.ray_storage or str(home / "ray"),
            failure_config=tune.FailureConfig(max_failures=sweep_trials.RETRIES),
            verbose=0,
        ),
    )
    tuner.fit()


def _resources(sweep: Sweep) -> dict[str, float]:
    """Return the resources that each trial needs on the cluster."""
    import ray

    from netloom.document import loads

    device = loads(sweep.document).training.device
    gpus = cast(Any, ray).cluster_resources().get("GPU", 0)
    return {"CPU": 1, "GPU": 1} if device == "cuda" or (device == "auto" and gpus) else {"CPU": 1}


def _beat(store: Store, sweep_id: str) -> None:
    """Send heartbeats for trials that wait for a place, because they have no worker yet."""
    from datetime import UTC, datetime

    wait = threading.Event()
    while not wait.wait(BEAT_S):
        try:
            for trial in store.trials(sweep_id):
                run = store.run(str(trial.run_id)) if trial.state == "running" else None
                if run is not None and run.state == "queued":
                    store.update_run(run.id, holding=run.claim, heartbeat_at=datetime.now(UTC))
        except StoreError:  # tried again at the next heartbeat
            continue


def main(home: Path, sweep_id: str) -> int:
    """Drive a sweep until it ends. Returns the exit code."""
    try:
        drive(home, sweep_id)
    except Exception as error:
        traceback.print_exc()
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        open_store(home).stop_sweep(sweep_id, "failed", f"Ray Tune ended: {first[:400]}")
        return 1
    sweep_trials.advance_sweeps(open_store(home))
    return 0


if __name__ == "__main__":
    code = main(Path(sys.argv[1]), sys.argv[2])
    sys.stdout.flush()
    sys.exit(code)
