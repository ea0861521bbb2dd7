"""Other processes of this machine, by their ids."""

from __future__ import annotations

import contextlib

import psutil


def is_running(pid: int, module: str) -> bool:
    """Return whether a process runs that was started as `python -m module`.

    A zombie has ended. After a restart of the machine, the id can belong to another process, hence the command line.
    """
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and module in process.cmdline()
    except psutil.Error:
        return False


def lower_priority(pid: int, niceness: int) -> None:
    """Set the niceness of a process, unless it has ended."""
    with contextlib.suppress(psutil.Error):
        psutil.Process(pid).nice(niceness)
