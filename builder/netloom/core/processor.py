"""The processor cores that this process can use: their number, and how many of them others keep busy."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

# The limits of a control group, in microseconds of processor time per period: version 2, and version 1.
# https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
_GROUPS = Path("/sys/fs/cgroup")
_PROCESS_GROUP_FILE = Path("/proc/self/cgroup")
# The system counts in steps of 10 ms, so that a shorter measurement would be off by more than a twentieth of a core.
SHORTEST_S = 0.25


def cores() -> int:
    """Return the number of processor cores that this process can use at the same time."""
    limit = quota_cores(_GROUPS, _PROCESS_GROUP_FILE)
    return len(_cpus()) if limit is None else max(1, min(len(_cpus()), int(limit)))


class OtherLoad:
    """Measures from its creation on how many of the cores of this process others keep busy, without `excluded`
    processes."""

    def __init__(self, excluded: Iterable[int] = ()) -> None:
        self._excluded = [os.getpid(), *excluded]
        self._start = self._used()

    def busy_cores(self) -> float:
        """Return the mean number of busy cores so far; waits until at least `SHORTEST_S` were measured."""
        start_s, busy_s, excluded_s = self._start
        time.sleep(max(0.0, start_s + SHORTEST_S - time.monotonic()))
        end_s, end_busy_s, end_excluded_s = self._used()
        excluded_busy_s = sum(max(0.0, end_excluded_s.get(pid, used) - used) for pid, used in excluded_s.items())
        return max(0.0, (end_busy_s - busy_s - excluded_busy_s) / (end_s - start_s))

    def _used(self) -> tuple[float, float, dict[int, float]]:
        """Return the time, the busy seconds of the cores, and those of each excluded process."""
        busy = [_busy(cpu) for cpu in psutil.cpu_times(percpu=True)]
        seconds: dict[int, float] = {}
        for pid in self._excluded:
            with contextlib.suppress(psutil.Error):  # it has ended
                times = psutil.Process(pid).cpu_times()
                seconds[pid] = times.user + times.system
        return time.monotonic(), sum(busy[cpu] for cpu in _cpus() if cpu < len(busy)), seconds


def _busy(cpu: Any) -> float:
    # The time of virtual machines on it is part of that of users.
    idle = ("idle", "iowait", "guest", "guest_nice")
    busy: float = sum(cpu) - sum(getattr(cpu, name, 0.0) for name in idle)
    return busy


def _cpus() -> list[int]:
    # `cpu_count` includes cores that `taskset` or a CPU set excludes; macOS and Windows have only that.
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [*range(os.cpu_count() or 1)]


def quota_cores(groups: Path, group_file: Path) -> float | None:
    """Return the cores that the control groups of this process allow it on average; None if they are not limited.

    A container sees its own group as the root; otherwise the limit of each group around applies.
    """
    try:
        names = [line.partition("::")[2] for line in group_file.read_text().splitlines() if line.startswith("0::")]
    except OSError:
        names = []
    group_folder = groups / names[0].strip("/") if names and ".." not in names[0] else groups
    around = [group_folder, *(folder for folder in group_folder.parents if folder.is_relative_to(groups))]
    limits = [limit for folder in around if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _limit(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = (
                (folder / "cpu" / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period")
            )
        except OSError:
            return None
    # "max" and -1: no limit
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None
