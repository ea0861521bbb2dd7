"""The processes that train runs: forked from one that has imported everything where that is possible, else new ones, of
which one waits for the next run."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import psutil

from netloom.core.settings import variable
from netloom.runs.forkserver import Forked, ForkServer, GoneError, possible, sibling
from netloom.runs.resources.capacity import gpus
from netloom.training.device import KEEP_MEMORY, threads

Worker: TypeAlias = subprocess.Popen[bytes] | Forked

MODULE = "netloom.runs.worker"
# With -P, as a file in the folder that Netloom was started in must not stand for a module of the same name.
COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", MODULE)
# The least of turns: an edit on the canvas takes 1.3 times as long beside a run. SCHED_IDLE would take 1.2, and leave a
# run on a busy machine no turn at all, not even to obey a stop.
NICENESS = 19
# What libraries read when they are loaded: how many threads to use.
COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# As long may a process take that has just been started until it has imported everything.
READY_S = 120.0

# By the command that starts them, as tests have workers of their own.
_servers: dict[tuple[str, ...], ForkServer] = {}
_spares: dict[Path, subprocess.Popen[bytes]] = {}
_lock = threading.Lock()


def warm(home: Path) -> None:
    """Have everything imported for the next worker of this data folder, in a process that waits."""
    with _lock:
        if forks():
            _server(home)
        elif (spare := _spares.get(home)) is None or spare.poll() is not None:
            _spares[home] = _new(home)


def forks() -> bool:
    """Whether workers are forked. Not where there is a GPU: its driver does not bear it once anybody has used it."""
    return possible() and not gpus()


def take(home: Path) -> Worker:
    """A worker of a data folder that waits to be told its run. It ends with this process if it is told none, and
    outlives it else."""
    with contextlib.suppress(GoneError):
        if forks():
            return _forked(home)
    with _lock:
        spare = _spares.pop(home, None)
    return _new(home) if spare is None or spare.poll() is not None else spare


def tell(child: Worker, message: dict[str, Any]) -> None:
    """Tell a worker what to do, which is all that it is told."""
    _say(child, message)
    forget(child)


def forget(child: Worker) -> None:
    """Tell a worker nothing, or nothing more."""
    with contextlib.suppress(BrokenPipeError):
        cast(IO[bytes], child.stdin).close()


def ended(child: Worker) -> bool:
    """Whether a worker that this process took has ended."""
    try:
        return child.poll() is not None
    except ChildProcessError:
        return not psutil.pid_exists(child.pid)


def spare(home: Path) -> subprocess.Popen[bytes] | None:
    """The process that waits for the next run of a data folder; None where workers are forked."""
    return _spares.get(home)


def end_group(home: Path, pid: int) -> None:
    """Kill a worker and what it started; each worker leads a group of its own. Since the worker began, the machine may
    have been restarted and its number given to others, so only those are touched that were started for this folder."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            mine = process.pid == pid if os.name == "nt" else os.getpgid(process.pid) == pid
            if mine and is_started_for(home, process):
                process.kill()


def is_started_for(home: Path, process: psutil.Process) -> bool:
    """Whether a process was started for a data folder, by its environment; that of a forked one is its server's, but it
    writes to a log in its run's folder."""
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
        # To wait for it takes no longer than to start a new worker. But the threads of a web server have to go on.
        if not server.ready(READY_S if threading.current_thread() is threading.main_thread() else 0):
            raise GoneError("It is not ready.") from None
        child = server.fork()
    _say(child, {"home": str(home), "environment": _environment(home)})
    return child


def _say(child: Worker, message: Any) -> None:
    with contextlib.suppress(BrokenPipeError):  # a dead one is found by who looks at it
        stdin = cast(IO[bytes], child.stdin)
        stdin.write(json.dumps(message).encode() + b"\n")
        stdin.flush()


def _server(home: Path) -> ForkServer:
    server = _servers.get(COMMAND)
    if server is None or not server.alive():
        # Without threads of its own, which would not be there in what is forked; torch is told there how many to use.
        server = _servers[COMMAND] = ForkServer(COMMAND, {**_environment(home), **dict.fromkeys(COUNTS, "1")})
        _give_way(server.pid)
    return server


def _new(home: Path) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [*COMMAND, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=_environment(home),
        start_new_session=True,
    )
    _give_way(child.pid)
    return child


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, **KEEP_MEMORY, **dict.fromkeys(COUNTS, str(threads())), variable("home"): str(home)}


def _give_way(pid: int) -> None:
    with contextlib.suppress(psutil.Error):
        psutil.Process(pid).nice(NICENESS)
