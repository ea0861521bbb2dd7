"""The parent's side of a confined process, which answers one request after the other.

The process is forked from a server that has imported everything that readers need, and killed if a request takes too
long.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from netloom.core.memory import memory
from netloom.core.processes import lower_priority, start_detached
from netloom.core.progress import ProgressCallback
from netloom.core.settings import settings
from netloom.core.text import size
from netloom.runs.forkserver import Forked, ForkServer, GoneError, possible
from netloom.sandbox import messages

GB = 2**30
MODULE = "netloom.sandbox.child"
# -P excludes the current folder from the import path, where a file could shadow a module.
COMMAND = (sys.executable, "-P", "-m", MODULE)
# The two servers: readers of data, and readers of models, which also need torch and its memory.
DATA, MODELS = "--data", "--models"
# The server for models ends after this time without a request.
MODELS_KEPT_S = 600.0
READY_S = 60.0
# The memory limit of a reader: a constant plus a multiple of the file size, up to a share of the memory of the machine.
# The time limit: a constant plus the time to read the file at this rate.
BASE_BYTES, TIMES, SHARE = 2 * GB, 8, 0.5
BASE_S, BYTES_PER_S = 60.0, 2**20
NICENESS = 5
# Parts of the names of environment variables that readers do not receive, as these can hold passwords and keys.
_SECRET = ("DATABASE", "PASSWORD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "PROXY")
_LIMITS = "NETLOOM_DATA_"

# Guards the two variables below.
_lock = threading.Lock()
_servers: dict[tuple[str, ...], ForkServer] = {}  # by their command
_model_server_timer: threading.Timer | None = None


class EndedError(Exception):
    """The process ended before it answered; the message is the reason, as the end of a sentence."""


class FaultError(RuntimeError):
    """Netloom's own code failed in the process; the message is the traceback there."""


def warm() -> None:
    """Start the server from which the next confined process is forked, so that its imports are done by then."""
    if possible():
        with _lock:
            _server(DATA)


def memory_limit(file_bytes: int) -> int:
    """Return the memory limit of a reader in bytes. NETLOOM_UPLOAD_MEMORY_GB overrides the default."""
    if settings.upload_memory_gb:
        return int(settings.upload_memory_gb * GB)
    return int(min(BASE_BYTES + TIMES * file_bytes, max(GB, SHARE * memory())))


def time_limit(file_bytes: int) -> float:
    """Return the time limit of a request in seconds."""
    return BASE_S + file_bytes / BYTES_PER_S


class Process:
    """A confined process for files of `file_bytes` bytes in total. It ends when this object is deleted.

    Raises:
        EndedError: the process could not be started.
    """

    def __init__(self, file_bytes: int, reads: str = DATA) -> None:
        self.memory_bytes, self.seconds = memory_limit(file_bytes), time_limit(file_bytes)
        self._channel, self._child = _start(reads)
        self.pid = self._child.pid
        lower_priority(self.pid, NICENESS)
        # A finalizer runs at most once: when called, at garbage collection, or at the end of the interpreter.
        self.close = weakref.finalize(self, _end, self._channel, self._child)
        variables = {name: value for name, value in os.environ.items() if name.startswith(_LIMITS)}
        try:
            messages.send(self._channel, {"memory": self.memory_bytes, "environment": variables})
        except messages.ClosedError:
            raise EndedError("the sandbox process could not be started") from None

    @property
    def alive(self) -> bool:
        return bool(self.close.alive)

    def ask(
        self, request: Mapping[str, Any], blobs: Sequence[bytes] = (), progress: ProgressCallback | None = None
    ) -> Any:
        """Return the answer to a request. `progress` receives the complete share and the current step.

        Raises:
            EndedError: the process took too much memory or time, or crashed.
            FaultError: the code of Netloom failed in the process.
            RefusedError: the process refuses the request; the message is the reason.
        """
        until = time.monotonic() + self.seconds
        try:
            self._channel.settimeout(self.seconds)
            messages.send(self._channel, request, blobs)
            while True:
                answer, _ = messages.receive(self._channel, until)
                if "progress" not in answer:
                    break
                if progress is not None:
                    share, step = answer["progress"]
                    progress(float(share), str(step))
        except TimeoutError:
            self.close()
            raise EndedError(f"reading took longer than {self.seconds:,.0f} seconds") from None
        except messages.InvalidError:
            raise EndedError(self._reason(0.0)) from None
        except messages.ClosedError:
            raise EndedError(self._reason(5.0)) from None
        if "fault" in answer:
            raise FaultError(str(answer["fault"]))
        if "refusal" in answer:
            raise RefusedError(str(answer["kind"]), str(answer["refusal"]))
        return answer.get("value")

    def _reason(self, wait_s: float) -> str:
        """Return why the process ended by itself, or is ended because it has not done so within `wait_s` seconds."""
        code: int | None = None
        with contextlib.suppress(ChildProcessError, subprocess.TimeoutExpired):
            code = self._child.wait(wait_s)
        self.close()
        memory = f"more than {size(self.memory_bytes)} of memory"
        # How processes end when an allocation fails: killed by the system, or ended by a library in native code.
        if code in (-signal.SIGKILL, -signal.SIGABRT, -signal.SIGTRAP):
            return f"reading needs {memory}"
        return f"the reader crashed; the file may be damaged, or reading it needs {memory}"


class RefusedError(Exception):
    """The process refuses a request. `kind` is the class name of the error in the process."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def _start(reads: str) -> tuple[socket.socket, Forked | subprocess.Popen[bytes]]:
    parent_end, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with child_end:
        if possible():
            # The lock is also held while waiting, as only one thread receives the message that the server is ready.
            with contextlib.suppress(GoneError), _lock:
                server = _server(reads)
                if server.ready(READY_S):
                    forked = server.fork(child_end)
                    forked.stdin.close()  # all messages use the channel
                    return parent_end, forked
        child = start_detached([*COMMAND, "--alone"], child_end.fileno(), _environment())
    return parent_end, child


def _server(reads: str) -> ForkServer:
    global _model_server_timer
    command = (*COMMAND, reads)
    server = _servers.get(command)
    if server is None or not server.alive():
        server = _servers[command] = ForkServer(command, _environment())
        lower_priority(server.pid, NICENESS)
    if reads == MODELS:  # torch occupies memory, and this server may not be needed again
        if _model_server_timer is not None:
            _model_server_timer.cancel()
        _model_server_timer = threading.Timer(MODELS_KEPT_S, _servers.pop, (command, None))
        _model_server_timer.daemon = True
        _model_server_timer.start()
    return server


def _environment() -> dict[str, str]:
    # Limits of data can change while the server runs, so each process receives them with its first message.
    left_out = (*_SECRET, _LIMITS)
    environment = {
        name: text for name, text in os.environ.items() if not any(part in name.upper() for part in left_out)
    }
    # One thread each: a fork does not copy the threads of a pool.
    return {**environment, **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}


def _end(channel: socket.socket, child: Forked | subprocess.Popen[bytes]) -> None:
    channel.close()
    with contextlib.suppress(OSError, ChildProcessError, subprocess.TimeoutExpired):
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
            child.wait(5)
