"""The clock that work on a device is measured by."""

from __future__ import annotations

import time


def now(device: str) -> float:
    """Return a time in seconds: on the CPU, the CPU time of this process, which hardly depends on other load on the
    machine; on a GPU, wall-clock time, after the GPU has finished its work."""
    if device == "cpu":
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()
