"""The number of runs that can train at once on this machine: from its cores, memory and GPUs, or as configured."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from netloom.core.processor import cores
from netloom.core.settings import settings
from netloom.core.text import duration
from netloom.store import Limits, Run, Store

# The memory of a worker before it loads data: Python, torch, and a small network.
WORKER_BYTES = 1.5 * 2**30
# The NVIDIA driver for Linux lists a folder per GPU here.
_GPUS = Path("/proc/driver/nvidia/gpus")
# The number of runs that are named before the others are only counted.
SHOWN_AHEAD = 3
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def limits() -> Limits:
    """Return the limits of the queue. NETLOOM_WORKERS, NETLOOM_RUNS_EACH, NETLOOM_WAITING_EACH, NETLOOM_GPUS and
    NETLOOM_RUNS_PER_GPU override the defaults."""
    return Limits(
        workers=settings.workers or _workers(),
        each=settings.runs_each,
        waiting_each=settings.waiting_each,
        gpus=len(gpus()) if settings.gpus is None else settings.gpus,
        per_gpu=settings.runs_per_gpu,
    )


def gpus() -> list[str]:
    """Return the CUDA names of the GPUs that this process can use. Asks the driver, because importing torch takes a
    second."""
    chosen = settings.cuda_visible_devices
    if chosen is not None:
        return [name for name in chosen.split(",") if name.strip() and name.strip() != "-1"]
    try:
        return [str(number) for number, _ in enumerate(_GPUS.iterdir())]
    except OSError:
        return []


def queue_position(store: Store, run: Run) -> str:
    """Return the position of a run in the queue, in words."""
    return places(store).get(run.id, "starting")


def places(store: Store) -> dict[str, str]:
    """Return the position of each waiting run in the queue, in words, by run id, with a single query."""
    return {run.id: _position_text(number) for number, run in enumerate(store.line(), start=1)}


def _position_text(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else _ENDINGS.get(number % 10, "th")
    return "next in line" if number == 1 else f"{number}{ending} in line"


def waiting_sentence(store: Store, run: Run) -> str:
    """Return what a queued run waits for, and when it is expected to start, as sentences for its owner."""
    training = [active for active in store.active_runs() if active.state != "waiting"]
    mine = [active for active in training if active.owner == run.owner]
    if any(active.state == "paused" for active in mine):
        return "A paused run of yours keeps its place; resume or stop it, and this one starts."
    earlier = list(takewhile(lambda queued: queued.id != run.id, store.line()))
    ahead = [_ahead(queued) for queued in (*training, *earlier)]
    if not ahead:
        return "It starts in a moment."
    more = f" and {len(ahead) - SHOWN_AHEAD} more" if len(ahead) > SHOWN_AHEAD else ""
    blocking = mine if len(mine) >= limits().each else training
    return f"Ahead: {', '.join(ahead[:SHOWN_AHEAD])}{more}. {_start(blocking, len(earlier))}"


def _ahead(run: Run) -> str:
    if run.state == "waiting":
        return f"{run.title[:40]} (queued)"
    seconds = run.summary.eta_s
    return f"{run.title[:40]} ({'starting' if seconds is None else f'{duration(seconds)} left'})"


def _start(training: Sequence[Run], earlier: int) -> str:
    """Return when the run after `earlier` queued ones is expected to start: each training run that ends frees a place.

    Nothing is known of the duration of a queued run, so the time is a lower bound behind more of them than places.
    """
    seconds = [run.summary.eta_s for run in training]
    known = sorted(second for second in seconds if second is not None)
    if not known or len(known) < len(seconds):
        return "It starts by itself when a place to train becomes free."
    if earlier < len(known):
        return f"It is expected to start in about {duration(known[earlier])}."
    return f"It starts in {duration(known[-1])} at the earliest."


def _workers() -> int:
    import psutil

    by_memory = int(psutil.virtual_memory().total / WORKER_BYTES)
    return max(1, min(cores() - 1, by_memory))
