"""The settings that a worker receives before its first job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerSettings:
    """The number of threads, the priority, and the memory limit of a worker."""

    threads: int
    niceness: int
    memory_bytes: int
