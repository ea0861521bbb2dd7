"""Which device a run takes, and how many threads."""

from __future__ import annotations

import os

# The C library hands large blocks back to the system at once and asks for them again at the next step, page by page.
# Kept instead, they save a convolutional network about a tenth of its time. Read when a process starts.
# https://www.gnu.org/software/libc/manual/html_node/Memory-Allocation-Tunables.html
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "1000000000", "MALLOC_MMAP_THRESHOLD_": "1000000000"}


def choose(device: str) -> str:
    """ "cpu" or "cuda" for a document's device, where "auto" takes a GPU if there is one.

    Raises:
        ValueError: a GPU was asked for and there is none.
    """
    import torch

    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ValueError("PyTorch finds no GPU on this machine; set the device to auto or cpu.")
    return "cuda" if available and device != "cpu" else "cpu"


def threads(workers: int = 1) -> int:
    """Threads for each of `workers` runs, so that all of them leave one core to the page."""
    return max(1, (cores() - 1) // max(1, workers))


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
