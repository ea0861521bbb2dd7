"""The memory of this machine."""

from __future__ import annotations

from pathlib import Path

import psutil

_CONTAINER = Path("/sys/fs/cgroup/memory.max")


def memory() -> int:
    """Return the memory of this machine, or of the container if there is one, in bytes."""
    total = psutil.virtual_memory().total
    try:
        return min(total, int(_CONTAINER.read_text()))
    except (OSError, ValueError):  # no container, or no limit ("max")
        return total
