"""The device of a run and its number of threads."""

from __future__ import annotations

import os

# By default, glibc returns large blocks to the system at once and faults them in again at the next step, page by page.
# Keeping them saves a convolutional network about a tenth of its time. glibc reads these when a process starts.
# https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "1000000000", "MALLOC_MMAP_THRESHOLD_": "1000000000"}


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


def threads(workers: int = 1) -> int:
    """Return the number of threads for each of `workers` runs, which leaves one core to the page."""
    return max(1, (cores() - 1) // max(1, workers))


def cores() -> int:
    """Return the number of processor cores that this process can use."""
    # `cpu_count` includes cores that `taskset` or a CPU set excludes; macOS and Windows have only that.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
