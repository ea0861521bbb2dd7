"""Training throughput against handwritten loops and other libraries, in turns within one process."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from netloom.cli.bench.peer_libraries import installed, prepare_run
from netloom.cli.bench.plain_loop import PlainLoop
from netloom.cli.bench.ratio import Ratio, ratio
from netloom.cli.bench.tasks import Task

if TYPE_CHECKING:
    from torch import nn

    from netloom.data import Prepared


@dataclass(frozen=True)
class Throughput:
    """The rows per second of Netloom relative to a handwritten loop, with the default Adam and with the fused one."""

    title: str
    parameters: int
    rows: int
    batch_size: int
    epochs: int
    plain: Ratio
    fused: Ratio


def measure_training(task: Task, repeats: int) -> Throughput:
    """Train the network of a task `repeats` times with each of the three loops, in random order.

    Raises:
        ValueError: the handwritten network has another number of parameters.
    """
    from netloom.data import prepare

    data = prepare(task.project.data)
    contenders = {
        "netloom": lambda: _prepare_netloom(task, data),
        "plain": lambda: _prepare_plain_loop(task, data, fused=False),
        "fused": lambda: _prepare_plain_loop(task, data, fused=True),
    }
    seconds = _time_in_random_order(contenders, repeats)
    return Throughput(
        title=task.title,
        parameters=_parameter_count(task),
        rows=len(data.split["train"]),
        batch_size=task.project.training.batch_size,
        epochs=task.epochs,
        plain=ratio(seconds["plain"], seconds["netloom"]),
        fused=ratio(seconds["fused"], seconds["netloom"]),
    )


@dataclass(frozen=True)
class PeerTime:
    """The rows per second of Netloom relative to another library; `promised` is the lower limit."""

    title: str
    promised: float | None
    faster: Ratio


def measure_peers(task: Task, repeats: int) -> list[PeerTime]:
    """Train the network of a task `repeats` times with Netloom and with each installed library, in turns."""
    from netloom.data import prepare

    data = prepare(task.project.data)
    contenders: dict[str, Callable[[], Callable[[], None]]] = {"netloom": lambda: _prepare_netloom(task, data)}
    peers = installed()
    for peer in peers:
        contenders[peer.title] = partial(prepare_run, peer, task, data)
    seconds = _time_in_random_order(contenders, repeats)
    return [PeerTime(peer.title, peer.promised, ratio(seconds[peer.title], seconds["netloom"])) for peer in peers]


def _time_in_random_order(
    contenders: dict[str, Callable[[], Callable[[], None]]], repeats: int
) -> dict[str, list[float]]:
    """Return the CPU seconds of each contender in each repeat, after a warm-up."""
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        _time(contenders[name]())  # warm-up of torch
    order = random.Random(0)
    for _ in range(repeats):
        # The previous contender affects caches and memory, so the order changes in every repeat.
        for name in order.sample(names, len(names)):
            seconds[name].append(_time(contenders[name]()))
    return seconds


def _prepare_netloom(task: Task, data: Prepared) -> Callable[[], None]:
    """Prepare the training of the generated network with the trainer of Netloom."""
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


def _prepare_plain_loop(task: Task, data: Prepared, *, fused: bool) -> Callable[[], None]:
    import torch

    training = task.project.training
    torch.manual_seed(0)
    field = data.schema.inputs[0].name
    trainer = PlainLoop(task.twin(), data, field, training.batch_size, training.learning_rate, fused)

    def run() -> None:
        trainer.run(task.epochs)

    return run


def _time(run: Callable[[], None]) -> float:
    """Return the CPU seconds of this process, which hardly depend on other load on the machine."""
    gc.collect()  # otherwise the garbage of the previous contender could be collected in this time
    start = time.process_time()
    run()
    return time.process_time() - start


def _parameter_count(task: Task) -> int:
    from netloom.compile import module

    parameters, twin_parameters = _count_parameters(module(task.project)), _count_parameters(task.twin())
    if parameters != twin_parameters:
        raise ValueError(f"{task.title}: the document has {parameters:,} parameters and its twin {twin_parameters:,}.")
    return parameters


def _count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
