"""What predictions of several networks cost on this machine: time, processor time and memory."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Network = Callable[[Sequence["torch.Tensor"]], "torch.Tensor"]
# Predictions that are not counted; a network is prepared by the first ones
WARMUP, BATCH_WARMUP = 10, 2
# Batches are timed as often as this share of the single rows, which are much faster
BATCH_SHARE = 0.2
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Times:
    """The costs of networks: `rows` and `batches` are milliseconds, (networks, repeats), for a single row and for a
    whole batch; `cpu_s` is the processor time of a single row in seconds, (networks,)."""

    rows: np.ndarray
    batches: np.ndarray
    cpu_s: np.ndarray


def times(
    networks: Sequence[Network], tensors: Sequence[torch.Tensor], repeats: int, threads: int, batch: int
) -> Times:
    """Measure single rows and batches of inputs (N, …). The networks take turns, because the speed of a machine
    drifts."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            rows, cpu_s = _measured(networks, tensors, 1, WARMUP, repeats)
            count = max(1, round(BATCH_SHARE * repeats))
            batches, _ = _measured(networks, tensors, batch, BATCH_WARMUP, count)
    finally:
        torch.set_num_threads(before)
    return Times(rows, batches, cpu_s)


def _measured(
    networks: Sequence[Network], tensors: Sequence[torch.Tensor], size: int, warmup: int, repeats: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the milliseconds of each prediction, (networks, repeats), and the mean processor time, (networks,)."""
    milliseconds, cpu_s = np.zeros((len(networks), repeats)), np.zeros(len(networks))
    starts = max(1, len(tensors[0]) - size + 1)
    for place in range(warmup + repeats):
        first = place * size % starts
        part = [tensor[first : first + size] for tensor in tensors]
        for index, network in enumerate(networks):
            begin, used = perf_counter(), process_time()
            network(part)
            used, elapsed = process_time() - used, perf_counter() - begin
            if place >= warmup:
                milliseconds[index, place - warmup] = 1_000 * elapsed
                cpu_s[index] += used / repeats
    return milliseconds, cpu_s


def peak_memory(work: Callable[[], object]) -> int | None:
    """Return by how many bytes the peak of the memory of this process exceeds what it had before some work. The result
    of `work` is part of it. None if the system does not measure that; it is Linux that does.

    https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # otherwise memory that is free already would be used without being counted
        _RESET.write_text("5")
        before = _resident("VmRSS")
    except (OSError, AttributeError, ValueError):
        return None
    result = work()
    peak = _resident("VmHWM")
    del result
    return max(0, peak - before)


def _resident(key: str) -> int:
    """Return a line of the status of this process, in bytes."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1_024
    raise ValueError(key)
