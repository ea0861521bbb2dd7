"""The use of resources by this process: processor, memory and GPU."""

from __future__ import annotations

from functools import cache

import psutil

from netloom.runs.resources.limits import resident
from netloom.store.run_summary import RunSummary


def resource_usage() -> RunSummary:
    """Return the use of this process and its device: shares from 0 to 1, memory in bytes."""
    import torch

    process = _process()
    memory = resident(process)
    load = RunSummary(
        cpu_share=process.cpu_percent() / 100,
        memory_bytes=memory,
        memory_share=memory / psutil.virtual_memory().total,
    )
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return load.merged(RunSummary(gpu=name, gpu_memory_bytes=total - free, gpu_memory_total=total))
    return load


@cache
def _process() -> psutil.Process:
    """Return this process. Always the same object, because psutil measures CPU use between two calls on it."""
    return psutil.Process()
