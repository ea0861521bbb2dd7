"""A worker (rank) of a run on a cluster, inside a process of Ray."""

from __future__ import annotations

import os
import socket
import traceback
from pathlib import Path
from typing import Any, TypedDict, cast

from netloom.data import prepare
from netloom.data.preparation.fitted_state import keep_fitted, with_stored_state
from netloom.document import loads
from netloom.runs.cluster.synchronization import RankSynchronizer
from netloom.runs.distillation import attach_teacher, frozen_teacher
from netloom.runs.execution.run_training import existing, note, reason, train_run
from netloom.runs.resources.limits import Reserve, RunLimits
from netloom.store import RunArtifacts, open_store
from netloom.store.local_artifacts import run_files
from netloom.store.run_end import RunEnd
from netloom.training.trainers.distributed import DistributedTrainer
from netloom.training.trainers.registry import build_trainer
from netloom.training.weights import checkpoints


class RankOrder(TypedDict):
    """What every rank of a run needs: the run with the claim of its owner, the data folder, the document and its
    generated code, the limits, and the environment variables of workers."""

    run: str
    claim: str
    home: str
    project: str
    source: str
    limits: dict[str, Any]
    environment: dict[str, str]


def work(order: RankOrder) -> RunEnd | None:
    """Train as one rank of a run, with the settings in `order`. Rank 0 returns how the run ended; the others return
    None.

    Raises:
        RuntimeError: another rank was lost. Ray restarts all ranks, which resume from the last checkpoint.
    """
    import torch
    import torch.distributed as dist

    os.environ.update(order["environment"])
    if torch.cuda.is_available():
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())
    home, limits = Path(order["home"]), RunLimits(**order["limits"])
    # Only rank 0 uses the store, so the other ranks do not connect to the database.
    artifacts = RunArtifacts(run_files(home), order["run"])
    if dist.get_rank() == 0:  # the folder is on a shared disk
        checkpoints.tidy(artifacts)
    trainer, problem = None, ""
    try:
        trainer = build_rank_trainer(order["project"], order["source"], home, artifacts)
    except Exception as error:
        traceback.print_exc()
        problem = reason(error, limits, artifacts)
    # Exchange the problems first: a rank that failed here would leave the others waiting in their first step.
    ranks: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(ranks, {"host": socket.gethostname(), "pid": os.getpid(), "problem": problem})
    if dist.get_rank() == 0:
        note(artifacts, "ranks", ranks=ranks)
    problems = [f"{rank['problem']} (on {rank['host']})" for rank in ranks if rank["problem"]]
    if problems or trainer is None:
        return RunEnd("failed", problems[0]) if dist.get_rank() == 0 else None
    if trainer.rank:
        _follow(trainer)
        return None
    return _lead(trainer, order["run"], order["claim"], home, artifacts, limits)


def build_rank_trainer(document: str, source: str, home: Path, artifacts: RunArtifacts) -> DistributedTrainer:
    """Build the trainer of this rank for a document and its generated code, and check that the objective can be
    divided.

    Raises:
        DataError: the data cannot be read.
        TrainingError: a setting does not match, or batches cannot be divided.
    """
    import torch.distributed as dist

    project = loads(document)
    data = prepare(project.data, home)
    data = keep_fitted(data, artifacts) if dist.get_rank() == 0 else with_stored_state(data, artifacts)
    weights = existing(artifacts.start_weights)
    trainer = cast(DistributedTrainer, build_trainer(project, source, data, weights, is_distributed=True))
    attach_teacher(trainer, frozen_teacher(artifacts))
    trainer.check()
    return trainer


def _follow(trainer: DistributedTrainer) -> None:
    try:
        trainer.fit(RankSynchronizer())
    except Exception:
        if trainer.running:  # in the middle of a step, such as because another rank was lost: Ray restarts all
            raise
        # Otherwise all ranks ended with the same error, which rank 0 reports.


def _lead(
    trainer: DistributedTrainer, run_id: str, claim: str, home: Path, artifacts: RunArtifacts, limits: RunLimits
) -> RunEnd:
    store, reserve = open_store(home), Reserve(artifacts)
    reserve.take()
    try:
        return train_run(store, store.claimed_run(run_id, claim), artifacts, limits, trainer, RankSynchronizer)
    except Exception as error:
        if trainer.running:
            raise
        traceback.print_exc()
        note(artifacts, "error", message=str(error), traceback=traceback.format_exc())
        checkpoints.tidy(artifacts)
        return RunEnd("failed", reason(error, limits, artifacts))
    finally:
        reserve.release()
        store.close()
