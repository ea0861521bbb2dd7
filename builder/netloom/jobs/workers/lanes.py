"""The lanes of jobs: their processes and limits."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.core.memory import memory
from netloom.core.processor import cores
from netloom.core.settings import settings
from netloom.jobs.request import Lane
from netloom.jobs.workers.processes import NICENESS
from netloom.runs.resources.limits import GB

# Measuring the layers of a network takes milliseconds; only Python code in a document can take longer.
LAYERS_S = 60.0


@dataclass(frozen=True)
class LaneSettings:
    """The settings of a lane: its minimum and maximum number of processes, their priority, and the time limit of a job
    in seconds."""

    least: int
    most: int
    niceness: int
    wall_s: float


def lanes() -> dict[Lane, LaneSettings]:
    """Return the settings of lanes. NETLOOM_JOB_WORKERS is the limit of processes per lane, NETLOOM_JOB_HOURS the time
    limit of a job."""
    most = settings.job_workers or min(4, max(2, cores()))
    wall_s = settings.job_hours * 3600
    return {
        "interactive": LaneSettings(min(2, most), most, NICENESS, wall_s),
        "long": LaneSettings(0, most, 15, wall_s),
        "data": LaneSettings(1, most, NICENESS, wall_s),
        "layers": LaneSettings(1, 2, NICENESS, LAYERS_S),
    }


def memory_limit() -> int:
    """Return the memory limit of a job in bytes: NETLOOM_JOB_MEMORY_GB, or half of the memory."""
    return int((settings.job_memory_gb or 0) * GB) or max(GB, memory() // 2)
