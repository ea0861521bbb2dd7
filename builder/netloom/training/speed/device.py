"""The device of a run and its number of threads."""

from __future__ import annotations

from netloom.core.delegation import Delegable
from netloom.core.processor import cores
from netloom.core.settings import settings

# By default, glibc returns large blocks to the system at once and faults them in again at the next step, page by page.
# Keeping them saves a convolutional network about a tenth of its time. glibc reads these when a process starts.
# https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "1000000000", "MALLOC_MMAP_THRESHOLD_": "1000000000"}


@Delegable
def has_gpu() -> bool:
    """Return whether PyTorch finds a GPU on this machine. A web server delegates this to a worker."""
    import torch

    return torch.cuda.is_available()


def choose(device: str) -> str:
    """Return "cpu" or "cuda" for the device of a document; "auto" prefers a GPU.

    Raises:
        ValueError: a GPU was requested, but there is none.
    """
    import torch

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ValueError("PyTorch finds no GPU on this machine; set the device to auto or cpu.")
    return "cuda" if available and device != "cpu" else "cpu"


def make_deterministic(device: str) -> None:
    """Let this process use only those algorithms of cuDNN that always give the same result, so that a seed reproduces
    a run, and a resumed run equals an uninterrupted one. https://docs.pytorch.org/docs/stable/notes/randomness.html"""
    import torch

    if device.startswith("cuda"):
        torch.backends.cudnn.deterministic = True


def threads(workers: int = 1, busy_cores: float = 0.0) -> int:
    """Return the number of threads for each of `workers` runs.

    They leave the cores that other processes keep busy, and at least one to the page: a step waits for the slowest
    thread, so that a thread more than there are free cores makes all of them slower. OMP_NUM_THREADS overrides this.
    """
    if requested := requested_threads():
        return requested
    # A core that others use for a quarter of the time counts as free.
    free = min(cores() - 1.0, cores() - busy_cores + 0.25)
    return max(1, int(free / max(1, workers)))


def requested_threads() -> int | None:
    """Return the OMP_NUM_THREADS of the user; None without one."""
    first = (settings.omp_num_threads or "").partition(",")[0].strip()  # it may have a number per level of nesting
    return int(first) if first.isdecimal() and int(first) else None
