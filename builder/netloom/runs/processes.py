"""The worker processes of runs: forked from a server that has imported everything if possible; otherwise new
interpreters; one waits for the next run."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import psutil

from netloom.core.plain_json import JsonObject
from netloom.core.processes import lower_priority, start_detached
from netloom.core.settings import settings, variable
from netloom.runs.forkserver import Forked, ForkServer, GoneError, possible, sibling
from netloom.runs.resources.capacity import gpus
from netloom.training.speed.device import KEEP_MEMORY, threads

Worker: TypeAlias = subprocess.Popen[bytes] | Forked

MODULE = "netloom.runs.worker"
# -P excludes the current folder from the import path, where a file could shadow a module.
COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", MODULE)
# Variables with the number of threads, which libraries read when they are loaded.
COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# The time for a new process to import everything, in seconds.
READY_S = 120.0

# By command, because tests have workers of their own.
_servers: dict[tuple[str, ...], ForkServer] = {}
_spares: dict[Path, subprocess.Popen[bytes]] = {}
_lock = threading.Lock()
# The descriptors of what new interpreters write before they have the log of a run, such as the error of an import.
_early_outputs: weakref.WeakKeyDictionary[Worker, int] = weakref.WeakKeyDictionary()


def warm(home: Path) -> None:
    """Let a waiting process import everything for the next worker of this data folder."""
    with _lock:
        if forks():
            _server(home)
        elif (spare := _spares.get(home)) is None or spare.poll() is not None:
            _spares[home] = _new(home)


def forks() -> bool:
    """Return whether workers are forked. Not with a GPU: CUDA cannot be used in a forked process after it was
    initialized."""
    return possible() and not gpus()


def acquire_worker(home: Path) -> Worker:
    """Return a worker of a data folder that waits for its run. Until it receives one, it ends with this process;
    afterward, it outlives it."""
    with contextlib.suppress(GoneError):
        if forks():
            return _forked(home)
    with _lock:
        spare = _spares.pop(home, None)
    return _new(home) if spare is None or spare.poll() is not None else spare


def assign(child: Worker, message: JsonObject) -> None:
    """Send a worker its only message: what to do."""
    _say(child, message)
    forget(child)


def forget(child: Worker) -> None:
    """Close the channel to a worker without a message, or without another one."""
    with contextlib.suppress(BrokenPipeError):
        cast(IO[bytes], child.stdin).close()


def ended(child: Worker) -> bool:
    """Return whether a worker of this process has ended."""
    try:
        return child.poll() is not None
    except ChildProcessError:
        return not psutil.pid_exists(child.pid)


def early_output(child: Worker) -> str:
    """Return what a worker that has ended wrote before it received the log of its run; "" for a forked one."""
    descriptor = _early_outputs.get(child)
    if descriptor is None:
        return ""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 2**20).decode(errors="replace")


def spare(home: Path) -> subprocess.Popen[bytes] | None:
    """Return the process that waits for the next run of a data folder; None if workers are forked."""
    return _spares.get(home)


def end_group(home: Path, pid: int) -> None:
    """Kill a worker and the processes that it started; each worker leads a process group. After a restart of the
    machine, the id can belong to another process, so only processes of this data folder are killed."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            mine = process.pid == pid if os.name == "nt" else os.getpgid(process.pid) == pid
            if mine and is_started_for(home, process):
                process.kill()


def is_started_for(home: Path, process: psutil.Process) -> bool:
    """Return whether a process was started for a data folder, according to its environment. A forked process has the
    environment of its server, but writes to a log in the folder of its run."""
    with contextlib.suppress(OSError):
        if Path(os.readlink(f"/proc/{process.pid}/fd/2")).is_relative_to(home.resolve()):
            return True
    return process.environ().get(variable("home")) == str(home)


def _forked(home: Path) -> Forked:
    try:
        child = sibling()
    except GoneError:
        with _lock:
            server = _server(home)
        # Waiting takes no longer than starting a new worker, but would block the threads of a web server.
        if not server.ready(READY_S if threading.current_thread() is threading.main_thread() else 0):
            raise GoneError("It is not ready.") from None
        child = server.fork()
    lower_priority(child.pid, settings.run_niceness)  # the server can be older than the value of the setting
    _say(child, {"home": str(home), "environment": _environment(home)})
    return child


def _say(child: Worker, message: Any) -> None:
    with contextlib.suppress(BrokenPipeError):  # whoever monitors the run detects a dead worker
        stdin = cast(IO[bytes], child.stdin)
        stdin.write(json.dumps(message).encode() + b"\n")
        stdin.flush()


def _server(home: Path) -> ForkServer:
    server = _servers.get(COMMAND)
    if server is None or not server.alive():
        # With one thread, because a fork does not copy threads; workers receive their number of threads later.
        server = _servers[COMMAND] = ForkServer(COMMAND, {**_environment(home), **dict.fromkeys(COUNTS, "1")})
        lower_priority(server.pid, settings.run_niceness)
    return server


def _new(home: Path) -> subprocess.Popen[bytes]:
    with tempfile.TemporaryFile() as output:
        child = start_detached([*COMMAND, str(home)], subprocess.PIPE, _environment(home), output.fileno())
        _early_outputs[child] = descriptor = os.dup(output.fileno())
    weakref.finalize(child, os.close, descriptor)
    lower_priority(child.pid, settings.run_niceness)
    return child


def _environment(home: Path) -> dict[str, str]:
    # OMP_NUM_THREADS stays as it is, because workers obey that of the user.
    counts = dict.fromkeys(COUNTS, str(threads()))
    counts.pop(variable("omp_num_threads"))
    return {**os.environ, **KEEP_MEMORY, **counts, variable("home"): str(home)}
