"""What the tests of distributed training run in the processes of the ranks: `python -m tests.runs.ranks FOLDER RANKS`.
The ranks are forked before anything was computed, so that torch is imported once.

`orders.json` in the folder lists what to train, in order: a document with its source, the number of ranks, the control
actions.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import torch.distributed as dist

from netloom.document import dumps, read
from netloom.runs.cluster.rank import build_rank_trainer
from netloom.runs.cluster.synchronization import RankSynchronizer
from netloom.store import RunArtifacts
from netloom.training.errors import TrainingError
from netloom.training.trainer import Trainer
from tests.runs.examples import Recorder


class Steered(Recorder):
    """Changes the learning rate during training and can stop it, as a user controls rank 0 alone."""

    def __init__(self, rate_at: int | None = None, stop_at: int | None = None) -> None:
        super().__init__()
        self.rate_at, self.end = rate_at, stop_at

    def should_continue(self, loop: Trainer) -> bool:
        if self.rate_at is not None and loop.step >= self.rate_at:
            loop.learning_rate = 0.001
        return self.end is None or loop.step < self.end


def train(folder: Path, rank: int, name: str, order: dict[str, Any]) -> None:
    """Train a document, and write the points of rank 0 and the final state of every rank."""
    project = read(folder / f"{name}.json")
    rendezvous = f"file://{folder / name}.meeting"
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=order["world"])
    recorder = Steered(order.get("rate_at"), order.get("stop_at")) if rank == 0 else None
    outcome: dict[str, Any] = {"problem": "", "points": [], "done": None}
    (folder / name).mkdir(exist_ok=True)
    # As a Ray worker builds it, with the teacher in the folder of the run.
    source = (folder / f"{name}.py").read_text()
    loop = build_rank_trainer(dumps(project), source, folder, RunArtifacts.in_directory(folder / name))
    try:
        outcome["done"] = loop.fit(RankSynchronizer(recorder))
    except TrainingError as error:
        outcome["problem"] = str(error)
    weights = {key: value.double().flatten().tolist() for key, value in loop.model.state_dict().items()}
    outcome |= {"step": loop.step, "rate": loop.learning_rate, "weights": weights}
    if recorder is not None:
        outcome["points"] = recorder.points
    (folder / f"{name}-{rank}.out").write_text(json.dumps(outcome))
    dist.destroy_process_group()


def rank(folder: Path, number: int) -> None:
    for name, order in json.loads((folder / "orders.json").read_text()).items():
        if number < order["world"]:
            train(folder, number, name, order)


if __name__ == "__main__":
    import torch._dynamo  # noqa: F401  (what each rank would import to share gradients, and sympy with it)

    gc.freeze()  # otherwise each run scans all imported objects when it ends
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=rank, args=(Path(sys.argv[1]), number)) for number in range(int(sys.argv[2]))]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    sys.exit(max(abs(process.exitcode or 0) for process in ranks))
