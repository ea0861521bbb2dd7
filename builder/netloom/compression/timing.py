"""What predictions of several networks cost on this machine: time, processor time and memory."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Network = Callable[[Sequence["torch.Tensor"]], "torch.Tensor"]
# Predictions that are not counted; a network is prepared by the first ones
WARMUP, BATCH_WARMUP = 10, 2
# Seconds between looks at whether threads still wait busily, and the number of looks
SLEEP_S, LOOKS = 0.01, 100
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
    drifts, and in a random order, because the caches depend on which network ran before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            rows = _milliseconds(networks, tensors, 1, WARMUP, repeats)
            count = max(1, round(BATCH_SHARE * repeats))
            batches = _milliseconds(networks, tensors, batch, BATCH_WARMUP, count)
            cpu_s = np.array([_processor_time(network, tensors, repeats) for network in networks])
    finally:
        torch.set_num_threads(before)
    return Times(rows, batches, cpu_s)


def _milliseconds(
    networks: Sequence[Network], tensors: Sequence[torch.Tensor], size: int, warmup: int, repeats: int
) -> np.ndarray:
    """Return the milliseconds of each prediction, (networks, repeats)."""
    milliseconds = np.zeros((len(networks), repeats))
    starts = max(1, len(tensors[0]) - size + 1)
    random = np.random.default_rng(0)
    for repeat in range(warmup + repeats):
        first = repeat * size % starts
        part = [tensor[first : first + size] for tensor in tensors]
        for index in random.permutation(len(networks)).tolist():
            begin = perf_counter()
            networks[index](part)
            elapsed = perf_counter() - begin
            if repeat >= warmup:
                milliseconds[index, repeat - warmup] = 1_000 * elapsed
    return milliseconds


def _processor_time(network: Network, tensors: Sequence[torch.Tensor], repeats: int) -> float:
    """Return the mean processor time of a single row in seconds.

    Networks are not interleaved here: ONNX Runtime threads busy-wait for a while after a prediction, which would be
    charged to the next network.
    """
    _wait_for_idle_threads()
    parts = [[tensor[row : row + 1] for tensor in tensors] for row in range(max(1, min(len(tensors[0]), repeats)))]
    for index in range(WARMUP):
        network(parts[index % len(parts)])
    begin = process_time()
    for index in range(repeats):
        network(parts[index % len(parts)])
    return (process_time() - begin) / max(1, repeats)


def _wait_for_idle_threads() -> None:
    """Sleep until this process uses hardly any processor time, but at most a second."""
    for _ in range(LOOKS):
        begin = process_time()
        sleep(SLEEP_S)
        if process_time() - begin < 0.1 * SLEEP_S:
            return


def peak_memory(works: Iterable[Callable[[], object]]) -> list[int | None]:
    """Return by how many bytes the peak of the memory of this process exceeds what it had before each of some works.
    The result of a work is part of it. None on systems other than Linux.

    https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
    """
    was_enabled = gc.isenabled()
    gc.disable()  # or a work could use the memory of older garbage; to collect all of it takes up to a second
    try:
        return [_peak_memory(work) for work in works]
    finally:
        if was_enabled:
            gc.enable()


def _peak_memory(work: Callable[[], object]) -> int | None:
    if not _RESET.exists():
        return None
    gc.collect(1)  # what the previous work left
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
