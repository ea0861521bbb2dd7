"""The processes of the pool: forked from a server that has imported everything, if possible."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from netloom.core.processes import lower_priority, start_detached
from netloom.runs.forkserver import Forked, ForkServer, GoneError
from netloom.runs.processes import COUNTS, forks
from netloom.sandbox import messages

MODULE = "netloom.jobs.workers.worker"
# -P excludes the current folder from the import path, where a file could shadow a module.
COMMAND = (sys.executable, "-P", "-m", MODULE)
READY_S = 120.0
# Users wait for these jobs, unlike for runs, so their priority is just below that of the pages.
NICENESS = 1

_lock = threading.Lock()
_server: ForkServer | None = None


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker receives before its first job: the number of threads, the priority, and the memory limit."""

    threads: int
    niceness: int
    memory_bytes: int


class WorkerProcess:
    """One worker. It ends with the process that holds this object."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.channel, self._child = _started()
        self.pid, self._sending = self._child.pid, threading.Lock()
        with contextlib.suppress(messages.ClosedError):  # the process has ended, which the first job detects
            messages.send(self.channel, asdict(settings))

    def send(self, message: Mapping[str, Any], *blobs: bytes) -> None:
        """Send a message, followed by `blobs`.

        Raises:
            ClosedError: the process has ended.
        """
        with self._sending:  # `forget` and `cancel` come from other threads than jobs; messages must not mix
            messages.send(self.channel, message, blobs)

    def is_alive(self) -> bool:
        """Return whether the process has not closed its end of the channel, as an ended process has."""
        waiting = select.poll()
        waiting.register(self.channel, 0)  # a hang-up is always reported
        return not waiting.poll(0)

    def end(self) -> int | None:
        """Kill the process if it is alive. Returns its exit code if it is known."""
        self.channel.close()
        with contextlib.suppress(OSError, ChildProcessError, subprocess.TimeoutExpired):
            if self._child.poll() is None:
                os.kill(self.pid, signal.SIGKILL)
            return self._child.wait(5)
        return None

    def exit_code(self) -> int | None:
        """Return its exit code if it ended by itself; None if it is unknown."""
        with contextlib.suppress(ChildProcessError, subprocess.TimeoutExpired):
            return self._child.wait(2)
        return None


def warm() -> None:
    """Let a waiting process import everything for the next worker."""
    if forks():
        with _lock:
            _running()


def is_warm(timeout: float) -> bool:
    """Return whether the next worker has its imports already, or does within `timeout` seconds."""
    if not forks():
        return True
    with _lock:
        server = _running()
    return server.ready(timeout)


def _started() -> tuple[socket.socket, Forked | subprocess.Popen[bytes]]:
    pool_end, worker_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with worker_end:
        if forks():
            with contextlib.suppress(GoneError):
                with _lock:  # also while waiting, as only one thread receives the message that the server is ready
                    server = _running()
                    ready = server.ready(READY_S)
                if ready:
                    forked = server.fork(worker_end)
                    forked.stdin.close()  # all messages use the channel
                    return pool_end, forked
        child = start_detached([*COMMAND, "--alone"], worker_end.fileno(), _environment())
        lower_priority(child.pid, NICENESS)
    return pool_end, child


def _running() -> ForkServer:
    global _server
    if _server is None or not _server.alive():
        # With one thread, because a fork does not copy threads; workers receive their number of threads later.
        _server = ForkServer(COMMAND, _environment())
        lower_priority(_server.pid, NICENESS)
    return _server


def _environment() -> dict[str, str]:
    return {**os.environ, **dict.fromkeys(COUNTS, "1")}
