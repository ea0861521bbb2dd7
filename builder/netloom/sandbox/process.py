"""The parent's side of a confined process: it is forked from a server that has imported what readers need, answers one
request after the other, and is killed where it takes too long."""

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

import psutil

from netloom.core.progress import ProgressCallback
from netloom.core.settings import settings
from netloom.runs.forkserver import Forked, ForkServer, GoneError, possible
from netloom.runs.resources.limits import memory, size
from netloom.sandbox import messages

GB = 2**30
MODULE = "netloom.sandbox.child"
# With -P, as a file in the folder that Netloom was started in must not stand for a module of the same name.
COMMAND = (sys.executable, "-P", "-m", MODULE)
# What a server has imported: what reads data, or what reads models, which takes torch and its memory.
DATA, MODELS = "--data", "--models"
MODELS_KEPT_S = 600.0
READY_S = 60.0
# What a reader may take: so much however small the file is, and so many times its size, within a part of the memory.
BASE_BYTES, TIMES, SHARE = 2 * GB, 8, 0.5
BASE_S, BYTES_PER_S = 60.0, 2**20
NICENESS = 5
# Passwords and keys of whoever runs Netloom are nothing that a reader of files needs.
_SECRET = ("DATABASE", "PASSWORD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "PROXY")
_LIMITS = "NETLOOM_DATA_"


_lock = threading.Lock()
_servers: dict[str, ForkServer] = {}
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
    """How much memory the reader of a file may take. NETLOOM_UPLOAD_MEMORY_GB says otherwise."""
    if settings.upload_memory_gb:
        return int(settings.upload_memory_gb * GB)
    return int(min(BASE_BYTES + TIMES * file_bytes, max(GB, SHARE * memory())))


def time_limit(file_bytes: int) -> float:
    """How many seconds a reader may take to answer."""
    return BASE_S + file_bytes / BYTES_PER_S


class Process:
    """One confined process, for files of so many bytes. It ends with whoever holds this."""

    def __init__(self, file_bytes: int, reads: str = DATA) -> None:
        self.memory_bytes, self.seconds = memory_limit(file_bytes), time_limit(file_bytes)
        self._channel, self._child = _start(reads)
        self.pid = self._child.pid
        with contextlib.suppress(psutil.Error):
            psutil.Process(self.pid).nice(NICENESS)
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
        """What it answers; `progress` hears how far it is.

        Raises:
            EndedError: it took too much memory or time, or has crashed.
            FaultError: Netloom itself failed.
            RefusedError: it says why not.
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
        except messages.ClosedError:
            raise EndedError(self._reason()) from None
        if "fault" in answer:
            raise FaultError(str(answer["fault"]))
        if "refusal" in answer:
            raise RefusedError(str(answer["kind"]), str(answer["refusal"]))
        return answer.get("value")

    def _reason(self) -> str:
        """Why the process ended by itself."""
        code: int | None = None
        with contextlib.suppress(ChildProcessError, subprocess.TimeoutExpired):
            code = self._child.wait(5)
        self.close()
        memory = f"more than {size(self.memory_bytes)} of memory"
        if code in (-signal.SIGKILL, -signal.SIGABRT, -signal.SIGTRAP):
            return f"reading needs {memory}"
        return f"the reader crashed; the file may be damaged, or reading it needs {memory}"


class RefusedError(Exception):
    """The process refuses what it was asked. `kind` names the class of the error there."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def _start(reads: str) -> tuple[socket.socket, Forked | subprocess.Popen[bytes]]:
    own_end, child_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with child_end:
        if possible():
            with contextlib.suppress(GoneError), _lock:
                server = _server(reads)
                if server.ready(READY_S):
                    forked = server.fork(child_end)
                    forked.stdin.close()  # it is told everything through the channel
                    return own_end, forked
        child = subprocess.Popen(
            [*COMMAND, "--alone"],
            stdin=child_end.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
    return own_end, child


def _server(reads: str) -> ForkServer:
    global _model_server_timer
    server = _servers.get(reads)
    if server is None or not server.alive():
        server = _servers[reads] = ForkServer([*COMMAND, reads], _environment())
        with contextlib.suppress(psutil.Error):
            psutil.Process(server.pid).nice(NICENESS)
    if reads == MODELS:  # it keeps torch in memory, and may not be needed again
        if _model_server_timer is not None:
            _model_server_timer.cancel()
        _model_server_timer = threading.Timer(MODELS_KEPT_S, _servers.pop, (MODELS, None))
        _model_server_timer.daemon = True
        _model_server_timer.start()
    return server


def _environment() -> dict[str, str]:
    # The limits of data are sent with the first message instead, as they may change while the server runs.
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
