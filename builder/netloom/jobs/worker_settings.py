"""The settings that a worker receives before its first job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerSettings:
    """How many threads it uses, how it gives way to other processes, and how much memory it may take."""

    threads: int
    niceness: int
    memory_bytes: int
