"""The processes of the pool as it sees them: forked from one that has imported everything, where that is possible."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import psutil

from netloom.jobs.worker_settings import WorkerSettings
from netloom.runs.forkserver import Forked, ForkServer, GoneError
from netloom.runs.processes import COUNTS, forks
from netloom.sandbox import messages

MODULE = "netloom.jobs.worker"
# With -P, as a file in the folder that Netloom was started in must not stand for a module of the same name.
COMMAND = (sys.executable, "-P", "-m", MODULE)
READY_S = 120.0
# A person waits for these jobs, unlike for a run: hardly behind the pages.
NICENESS = 1

_lock = threading.Lock()
_server: ForkServer | None = None


class WorkerProcess:
    """One worker. It ends with whoever holds this."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.channel, self._child = _started()
        self.pid, self._sending = self._child.pid, threading.Lock()
        with contextlib.suppress(messages.ClosedError):  # which the first job finds out
            messages.send(self.channel, asdict(settings))

    def send(self, message: Mapping[str, Any], *blobs: bytes) -> None:
        """Raises:
        ClosedError: it is gone.
        """
        with self._sending:
            messages.send(self.channel, message, blobs)

    def end(self) -> int | None:
        """Kill it where it still lives. Returns its exit code, where that is known."""
        self.channel.close()
        with contextlib.suppress(OSError, ChildProcessError, subprocess.TimeoutExpired):
            if self._child.poll() is None:
                os.kill(self.pid, signal.SIGKILL)
            return self._child.wait(5)
        return None

    def exit_code(self) -> int | None:
        """How it has ended by itself; None where nobody knows."""
        with contextlib.suppress(ChildProcessError, subprocess.TimeoutExpired):
            return self._child.wait(2)
        return None


def warm() -> None:
    """Have everything imported for the next worker, in a process that waits."""
    if forks():
        with _lock:
            _running()


def _started() -> tuple[socket.socket, Forked | subprocess.Popen[bytes]]:
    pool_end, worker_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with worker_end:
        if forks():
            with contextlib.suppress(GoneError):
                with _lock:  # also to wait, as only one thread hears that the server is ready
                    server = _running()
                    ready = server.ready(READY_S)
                if ready:
                    forked = server.fork(worker_end)
                    forked.stdin.close()  # it is told everything through the channel
                    return pool_end, forked
        child = subprocess.Popen(
            [*COMMAND, "--alone"],
            stdin=worker_end.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
        _give_way(child.pid)
    return pool_end, child


def _running() -> ForkServer:
    global _server
    if _server is None or not _server.alive():
        # Without threads of its own, which would not be there in what is forked; a worker is told how many to use.
        _server = ForkServer(COMMAND, _environment())
        _give_way(_server.pid)
    return _server


def _environment() -> dict[str, str]:
    return {**os.environ, **dict.fromkeys(COUNTS, "1")}


def _give_way(pid: int) -> None:
    with contextlib.suppress(psutil.Error):
        psutil.Process(pid).nice(NICENESS)
