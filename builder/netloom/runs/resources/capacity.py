"""The number of runs that can train at once on this machine: from its cores, memory and GPUs, or as configured."""

from __future__ import annotations

from pathlib import Path

from netloom.core.settings import settings
from netloom.store import Limits, Run, Store
from netloom.training.device import cores

# The memory of a worker before it loads data: Python, torch, and a small network.
WORKER_BYTES = 1.5 * 2**30
# The NVIDIA driver for Linux lists a folder per GPU here.
_GPUS = Path("/proc/driver/nvidia/gpus")
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


def place(store: Store, run: Run) -> str:
    """Return the position of a run in the queue, in words."""
    return places(store).get(run.id, "starting")


def places(store: Store) -> dict[str, str]:
    """Return the position of each waiting run in the queue, in words, by run id, with a single query."""
    return {run.id: _place(number) for number, run in enumerate(store.line(), start=1)}


def _place(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else _ENDINGS.get(number % 10, "th")
    return "next in line" if number == 1 else f"{number}{ending} in line"


def before(store: Store, run: Run) -> str:
    """Return the reason why a run waits, as a sentence for its owner."""
    mine = [active for active in store.active_runs() if active.owner == run.owner and active.state != "waiting"]
    paused = [active for active in mine if active.state == "paused"]
    if paused:
        return "A paused run of yours keeps its place; let it go on, or stop it, and this one begins."
    return "It begins by itself when the run before it ends." if mine else "All places to train are taken."


def _workers() -> int:
    import psutil

    by_memory = int(psutil.virtual_memory().total / WORKER_BYTES)
    return max(1, min(cores() - 1, by_memory))
