"""Finds the background processes of tests."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil


def sweep_processes(home: Path) -> list[int]:
    """The processes that run the sweeps of a data folder: those that write to its sweep log."""
    log, pids = str((home / "sweeps.log").resolve()), []
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):
            if os.readlink(f"/proc/{process.pid}/fd/2") == log:
                pids.append(process.pid)
    return pids
