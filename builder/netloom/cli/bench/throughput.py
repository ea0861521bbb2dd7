"""Training throughput against handwritten loops and other libraries, in turns within one process."""

from __future__ import annotations

import gc
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from netloom.cli.bench.peer_libraries import Peer, installed, prepare_run
from netloom.cli.bench.plain_loop import PlainLoop, Speedups
from netloom.cli.bench.ratio import Ratio, ratio
from netloom.cli.bench.tasks import Task
from netloom.cli.bench.timer import now
from netloom.training.speed.speed_trials import why_not_lower

if TYPE_CHECKING:
    from torch import nn

    from netloom.data import Prepared

# Those that torch.compile uses on a CPU.
COMPILERS = ("g++", "clang++")
DEFAULT = Speedups(fused=True)
# Repeats of the large networks
MAX_REPEATS = 5


@dataclass(frozen=True)
class Contender:
    """A training to be timed, and what follows without being timed."""

    run: Callable[[], None]
    finish: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Throughput:
    """The rows per second of Netloom relative to a handwritten loop: the plain one, and the fastest one of all.

    Attributes:
        best_name: What the fastest handwritten loop does, such as "fused".
        losses: The validation loss at the end: that of Netloom and of the fastest handwritten loop.
    """

    title: str
    parameters: int
    rows: int
    batch_size: int
    epochs: int
    plain: Ratio
    best: Ratio
    best_name: str
    losses: tuple[float, float]


def measure_training(task: Task, repeats: int, *, compiles: bool = False, device: str = "cpu") -> Throughput:
    """Train the network of a task `repeats` times on a device with Netloom and with each handwritten loop, in random
    order.

    `compiles` adds compiled networks on both sides, whose compilation takes up to minutes and is not measured.

    Raises:
        ValueError: the handwritten network has another number of parameters.
    """
    data = _data(task)
    parameters = _parameter_count(task)
    netloom_variants, loop_variants = _contenders(task, compiles, device)
    finals: dict[str, float] = {}
    contenders: dict[str, Callable[[], Contender]] = {
        name: partial(_prepare_netloom, task, data, device, speedups, finals, name)
        for name, speedups in netloom_variants.items()
    }
    contenders |= {
        name: partial(_prepare_plain_loop, task, data, device, speedups, finals, name)
        for name, speedups in loop_variants.items()
    }
    # A repeat of the large networks takes half a minute.
    seconds = _time_in_random_order(contenders, device, repeats if task.steps is None else min(repeats, MAX_REPEATS))
    fastest, best = (min(names, key=lambda name: median(seconds[name])) for names in (netloom_variants, loop_variants))
    return Throughput(
        title=task.title,
        parameters=parameters,
        rows=len(data.split["train"]),
        batch_size=task.project.training.batch_size,
        epochs=task.epochs,
        plain=ratio(seconds["plain"], seconds[fastest]),
        best=ratio(seconds[best], seconds[fastest]),
        best_name=best,
        losses=(finals[fastest], finals[best]),
    )


def _contenders(task: Task, compiles: bool, device: str) -> tuple[dict[str, Speedups], dict[str, Speedups]]:
    """Return what Netloom and the handwritten loops try on a device, by name.

    bf16 only where the hardware has instructions for it, and compilation only with a C++ compiler.
    """
    from torch import nn

    netloom_variants = {"netloom": Speedups(fused=True)}
    loop_variants = {"plain": Speedups(), "fused": Speedups(fused=True)}
    if any(isinstance(part, nn.Conv2d) for part in task.twin().modules()):
        loop_variants["channels-last"] = Speedups(fused=True, channels_last=True)
    if not why_not_lower(device):
        netloom_variants["netloom, bf16"] = loop_variants["bf16"] = Speedups(fused=True, bf16=True)
    if device == "cuda":
        netloom_variants["netloom, CUDA graph"] = loop_variants["CUDA graph"] = Speedups(fused=True, recorded=True)
    if compiles and any(map(shutil.which, COMPILERS)):
        netloom_variants["netloom, compiled"] = loop_variants["compiled"] = Speedups(fused=True, compiled=True)
    return netloom_variants, loop_variants


def _data(task: Task) -> Prepared:
    """Return the data of a task, with as many rows as its steps need."""
    from netloom.data import prepare

    data = prepare(task.project.data)
    if task.steps is None:
        return data
    rows = task.steps * task.project.training.batch_size
    split = {"train": data.split["train"][:rows], "validation": data.split["validation"][: max(1, rows // 4)]}
    return replace(data, split={**data.split, **split})


@dataclass(frozen=True)
class PeerTime:
    """The rows per second of Netloom relative to another library; `promised` is the lower limit."""

    title: str
    promised: float | None
    faster: Ratio


def measure_peers(task: Task, repeats: int, device: str = "cpu") -> list[PeerTime]:
    """Train the network of a task `repeats` times on a device with Netloom and with each installed library, in
    turns."""
    from netloom.data import prepare

    data = prepare(task.project.data)
    contenders: dict[str, Callable[[], Contender]] = {"netloom": lambda: _prepare_netloom(task, data, device)}
    peers = installed()
    for peer in peers:
        contenders[peer.title] = partial(_prepare_peer, peer, task, data, device)
    seconds = _time_in_random_order(contenders, device, repeats)
    return [PeerTime(peer.title, peer.promised, ratio(seconds[peer.title], seconds["netloom"])) for peer in peers]


def _time_in_random_order(
    contenders: dict[str, Callable[[], Contender]], device: str, repeats: int
) -> dict[str, list[float]]:
    """Return the seconds of each contender in each repeat, by the clock of the device, after a warm-up."""
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        _time(contenders[name](), device)  # warm-up of torch
    order = random.Random(0)
    for _ in range(repeats):
        # The previous contender affects caches and memory, so the order changes in every repeat.
        for name in order.sample(names, len(names)):
            seconds[name].append(_time(contenders[name](), device))
    return seconds


def _prepare_netloom(
    task: Task,
    data: Prepared,
    device: str,
    speedups: Speedups = DEFAULT,
    finals: dict[str, float] | None = None,
    name: str = "netloom",
) -> Contender:
    """Prepare the training of the generated network with the trainer of Netloom. Afterward, its validation loss is in
    `finals`."""
    import torch

    from netloom.compile import module
    from netloom.training import OBJECTIVES
    from netloom.training.loop import SupervisedTrainer

    settings = {
        "epochs": task.epochs,
        "compile": "auto" if speedups.compiled else "off",
        "cuda_graphs": "off",
        "precision": "bf16" if speedups.bf16 else "float32",
    }
    training = task.project.training.model_copy(update=settings)
    torch.manual_seed(0)
    field = data.schema.inputs[0].name
    trainer = SupervisedTrainer(module(task.project), OBJECTIVES[training.objective], data, [field], training, device)
    trainer.speedups.load_state_dict({"compiled": speedups.compiled, "recorded": speedups.recorded})  # without a trial
    if speedups.recorded:
        trainer.speedups.record_if_faster()
    if speedups.compiled:
        trainer.speedups.compile_if_faster()
        trainer.compute_gradients(trainer.forward, *trainer.loader.first_batch(training.batch_size))

    def run() -> None:
        trainer.fit()

    def finish() -> None:
        if finals is not None:
            finals[name] = trainer.evaluate("validation")["loss"]

    return Contender(run, finish)


def _prepare_peer(peer: Peer, task: Task, data: Prepared, device: str) -> Contender:
    return Contender(prepare_run(peer, task, data, device))


def _prepare_plain_loop(
    task: Task, data: Prepared, device: str, speedups: Speedups, finals: dict[str, float], name: str
) -> Contender:
    import torch

    training = task.project.training
    torch.manual_seed(0)
    field = data.schema.inputs[0].name
    model = task.twin()
    _copy_weights(task, model)
    trainer = PlainLoop(model, data, field, training.batch_size, training.learning_rate, device, speedups)

    def run() -> None:
        trainer.run(task.epochs)

    def finish() -> None:
        finals[name] = trainer.measure(trainer.held_x, trainer.held_y)[0]

    return Contender(run, finish)


def _copy_weights(task: Task, twin: nn.Module) -> None:
    """Give a handwritten network the initial weights of the generated one, if both have them in the same order."""
    import torch

    from netloom.compile import module

    torch.manual_seed(0)
    netloom_weights, loop_weights = [*module(task.project).parameters()], [*twin.parameters()]
    if [weight.shape for weight in netloom_weights] == [weight.shape for weight in loop_weights]:
        with torch.no_grad():
            for weight, source in zip(loop_weights, netloom_weights, strict=True):
                weight.copy_(source)
    torch.manual_seed(0)


def _time(contender: Contender, device: str) -> float:
    gc.collect()  # otherwise the garbage of the previous contender could be collected in this time
    start = now(device)
    contender.run()
    seconds = now(device) - start
    contender.finish()
    return seconds


def _parameter_count(task: Task) -> int:
    from netloom.compile import module

    parameters, twin_parameters = _count_parameters(module(task.project)), _count_parameters(task.twin())
    if parameters != twin_parameters:
        raise ValueError(f"{task.title}: the document has {parameters:,} parameters and its twin {twin_parameters:,}.")
    return parameters


def _count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
