"""The process of a run that drives it on a cluster: it requests workers from Ray and collects their results."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, cast

from netloom.core.settings import PREFIX, settings, variable
from netloom.document import Project
from netloom.runs.resources.limits import RunLimits
from netloom.store import ClaimLostError, Run, RunArtifacts, Store, StoreError
from netloom.store.run_end import RunEnd

if TYPE_CHECKING:
    from netloom.runs.cluster.rank import RankOrder

# How often Ray restarts the group of workers after it lost one, before the run fails.
MAX_LOSSES = 10
# If no worker handles a command within this time, such as because none is placed, the driver handles it.
UNHEARD_S = 10.0
LOOK_S = 1.0


def connect() -> None:
    """Connect to the cluster at RAY_ADDRESS; if it is not set, to the cluster of this machine, or to a new one."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")  # `train` requests a range of workers, which needs V2
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "300")
    import ray

    if not ray.is_initialized():
        # Workers import the code from the same paths as this process.
        python_path = os.pathsep.join(path for path in sys.path if path)
        ray.init(include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": python_path}})


def train(store: Store, run: Run, artifacts: RunArtifacts, limits: RunLimits) -> RunEnd:
    """Train a run on the cluster. Returns how it ended."""
    connect()
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from netloom.runs.cluster.rank import work

    ended = threading.Event()
    threading.Thread(target=_look, args=(store, run, ended), name="look", daemon=True).start()
    workers, project = run.about.workers, artifacts.project()
    gpu = _with_gpus(project, workers)
    trainer = TorchTrainer(
        cast(Any, work),
        train_loop_config=dict(_order(store, run, artifacts, limits, gpu)),
        # If fewer places are free than requested, the run starts with those and grows later.
        scaling_config=ScalingConfig(num_workers=cast(Any, (1, workers) if workers > 1 else 1), use_gpu=gpu),
        run_config=RunConfig(
            name=run.id,
            storage_path=settings.ray_storage or str(artifacts.ray),
            failure_config=FailureConfig(max_failures=MAX_LOSSES),
        ),
        # No timeout: while a run is paused, for days if need be, the other workers wait in a step. Ray itself detects
        # lost workers.
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo", timeout_s=30 * 24 * 3600),
    )
    try:
        result: RunEnd | None = cast(Any, trainer.fit()).return_value
    finally:
        ended.set()
    if result is None:
        return RunEnd(
            "failed", "The workers ended without an error message; their logs are in the session folder of Ray."
        )
    return result


def _order(store: Store, run: Run, artifacts: RunArtifacts, limits: RunLimits, gpu: bool) -> RankOrder:
    """Return the settings that every worker needs."""
    from netloom.document import dumps

    project = artifacts.project()
    training = project.training.model_copy(update={"device": "cuda" if gpu else "cpu"})
    return {
        "run": run.id,
        "claim": run.claim or "",
        "home": str(store.home),
        "project": dumps(project.model_copy(update={"training": training})),
        "source": artifacts.source(),
        "limits": limits.as_json(),
        "environment": worker_environment(store),
    }


def worker_environment(store: Store) -> dict[str, str]:
    """Return the environment variables with which a worker finds the data folder and the database."""
    environment = {
        name: value for name, value in os.environ.items() if name.startswith(PREFIX) and name != variable("host")
    }
    return {**environment, variable("home"): str(store.home)}


def _with_gpus(project: Project, workers: int) -> bool:
    import ray

    device = project.training.device
    return device == "cuda" or (device == "auto" and cast(Any, ray).cluster_resources().get("GPU", 0) >= workers)


def _look(store: Store, run: Run, ended: threading.Event) -> None:
    """Handle a stop command if no worker can: the cluster may have no room for one."""
    first: tuple[int | None, float] = (None, 0.0)  # the oldest pending command, and when it was first seen
    while not ended.wait(LOOK_S):
        try:
            waiting = store.pending_command(run.id)
            if waiting != first[0]:
                first = (waiting, time.monotonic())
            if waiting is None or time.monotonic() - first[1] < UNHEARD_S:
                continue
            if any(item.kind == "stop" for item in store.take_commands(run.id, holding=run.claim)):
                reason = "It was stopped while it waited for a free place on the cluster."
                store.end_run(run.id, RunEnd("stopped", reason), holding=run.claim)
                os._exit(0)  # `fit` waits for the cluster in the main thread, which cannot be interrupted from here
        except ClaimLostError:  # another process may have claimed the run since
            os._exit(0)
        except StoreError:  # tried again at the next poll
            continue
