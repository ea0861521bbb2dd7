"""Other processes of this machine, by their ids."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Mapping, Sequence

import psutil


def start_detached(
    command: Sequence[str], stdin: int, environment: Mapping[str, str], output: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that Ctrl+C in a terminal does not reach it.

    `stdin` is a file descriptor or `subprocess.PIPE`; `output` is a file descriptor for output and errors.
    """
    return subprocess.Popen(
        [*command],
        stdin=stdin,
        stdout=output,
        stderr=output,
        env=environment,
        start_new_session=True,
    )


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
