"""Training throughput against hand-written loops, in turns within one process."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from netloom.cli.bench.peers import begun, installed
from netloom.cli.bench.plain import Plain
from netloom.cli.bench.ratio import Ratio, ratio
from netloom.cli.bench.tasks import Task

if TYPE_CHECKING:
    from torch import nn

    from netloom.data import Prepared


@dataclass(frozen=True)
class Throughput:
    """How many times as many rows a second Netloom trains as a loop by hand, with Adam as one writes it and fused."""

    title: str
    parameters: int
    rows: int
    batch_size: int
    epochs: int
    plain: Ratio
    fused: Ratio


def measure_training(task: Task, repeats: int) -> Throughput:
    """Train a task's network `repeats` times each way. Every repeat takes the three in another order.

    Raises:
        ValueError: the twin is another network.
    """
    from netloom.data import prepare

    data = prepare(task.project.data)
    contenders = {
        "netloom": lambda: _netloom(task, data),
        "plain": lambda: _plain(task, data, fused=False),
        "fused": lambda: _plain(task, data, fused=True),
    }
    seconds = _in_turns(contenders, repeats)
    return Throughput(
        title=task.title,
        parameters=_same_size(task),
        rows=len(data.split["train"]),
        batch_size=task.project.training.batch_size,
        epochs=task.epochs,
        plain=ratio(seconds["plain"], seconds["netloom"]),
        fused=ratio(seconds["fused"], seconds["netloom"]),
    )


@dataclass(frozen=True)
class PeerTime:
    """How many times as many rows a second Netloom trains as another library; `promised` is what it had better be."""

    title: str
    promised: float | None
    faster: Ratio


def measure_peers(task: Task, repeats: int) -> list[PeerTime]:
    """Train a task's network `repeats` times with Netloom and with each library that is installed, in turns."""
    from netloom.data import prepare

    data = prepare(task.project.data)
    contenders: dict[str, Callable[[], Callable[[], None]]] = {"netloom": lambda: _netloom(task, data)}
    peers = installed()
    for peer in peers:
        contenders[peer.title] = partial(begun, peer, task, data)
    seconds = _in_turns(contenders, repeats)
    return [PeerTime(peer.title, peer.promised, ratio(seconds[peer.title], seconds["netloom"])) for peer in peers]


def _in_turns(contenders: dict[str, Callable[[], Callable[[], None]]], repeats: int) -> dict[str, list[float]]:
    """The seconds that each contender takes in each repeat, after one that does not count."""
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        _time(contenders[name]())  # the first time is for torch to set up
    order = random.Random(0)
    for _ in range(repeats):
        # Who went before leaves caches and memory behind, so none may always follow the same one.
        for name in order.sample(names, len(names)):
            seconds[name].append(_time(contenders[name]()))
    return seconds


def _netloom(task: Task, data: Prepared) -> Callable[[], None]:
    """Netloom's own loop over the network that its compiler made."""
    import torch

    from netloom.compile import module
    from netloom.training import OBJECTIVES
    from netloom.training.loop import SupervisedTrainer

    training = task.project.training.model_copy(update={"epochs": task.epochs})
    torch.manual_seed(0)
    field = data.schema.inputs[0].name
    trainer = SupervisedTrainer(module(task.project), OBJECTIVES[training.objective], data, [field], training, "cpu")

    def run() -> None:
        trainer.fit()

    return run


def _plain(task: Task, data: Prepared, *, fused: bool) -> Callable[[], None]:
    import torch

    training = task.project.training
    torch.manual_seed(0)
    field = data.schema.inputs[0].name
    trainer = Plain(task.twin(), data, field, training.batch_size, training.learning_rate, fused)

    def run() -> None:
        trainer.run(task.epochs)

    return run


def _time(run: Callable[[], None]) -> float:
    """The processor seconds of this process, which what else the machine does hardly changes."""
    gc.collect()
    start = time.process_time()
    run()
    return time.process_time() - start


def _same_size(task: Task) -> int:
    from netloom.compile import module

    parameters, twin_parameters = _parameters(module(task.project)), _parameters(task.twin())
    if parameters != twin_parameters:
        raise ValueError(f"{task.title}: the document has {parameters:,} parameters and its twin {twin_parameters:,}.")
    return parameters


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
