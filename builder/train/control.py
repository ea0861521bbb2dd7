"""Starting, steering and watching runs. A run is a process with a folder; whoever starts it may go away."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

import psutil

from builder.check import Analysis, analyse
from builder.compile import CompileError, source
from builder.data import schema
from builder.graph import Project, write, write_bytes
from builder.store import Run, Store
from builder.train.device import KEEP_MEMORY, threads
from builder.train.origin import freeze, looked_at, verified

ACTIVE = ("queued", "running", "paused", "stopping")
STARTING_S = 3.0
NICENESS = 15

# Workers that this process started, so that their exit codes can be read and no zombie stays.
_children: dict[str, subprocess.Popen[bytes]] = {}
_spares: dict[Path, subprocess.Popen[bytes]] = {}
_spare_lock = threading.Lock()


def start(store: Store, project_id: str, project: Project, *, title: str = "") -> str:
    """Freeze a project into a run's folder and start its worker. Returns the run's id.

    Raises:
        CompileError: the network has errors, or does not fit the data; `issues` lists them.
        DataError: the data cannot be read.
        StartError: the weights that it starts from are not there, or none of them fits.
    """
    analysis: Analysis = analyse(project, schema(project.data, store.home))
    if analysis.errors:
        raise CompileError(analysis.errors)
    text = source(project, analysis)
    looked_at(store, project, text)
    first = verified(store, project)
    run = store.create_run(project_id, project, title)
    folder = Path(store.run_folder(run.id))
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "project.json", project)
    write_bytes(folder / "model.py", text.encode())
    if first:
        freeze(first, folder)
    write_bytes(folder / "environment.json", json.dumps(_environment(), indent=1).encode())
    _spawn(store, run.id, folder)
    return run.id


def resume(store: Store, run_id: str) -> None:
    """Go on with a run that failed or was stopped, from its last checkpoint or else from the start.

    Raises:
        ValueError: the run is still going, or has finished.
    """
    run = refresh(store, run_id)
    if run.state not in ("failed", "stopped"):
        raise ValueError(f"This run is {run.state}; only a run that failed or was stopped can be resumed.")
    store.take_commands(run_id)  # what was asked of the worker that is gone
    _spawn(store, run_id, Path(store.run_folder(run_id)))


def pause(store: Store, run_id: str) -> None:
    """Ask the worker to save a checkpoint and wait."""
    store.command(run_id, "pause")


def proceed(store: Store, run_id: str) -> None:
    """Let a paused worker go on."""
    store.command(run_id, "resume")


def stop(store: Store, run_id: str) -> None:
    """Ask the worker to save a checkpoint and end."""
    store.command(run_id, "stop")


def set_learning_rate(store: Store, run_id: str, value: float) -> None:
    """Change the learning rate between two steps of a running worker.

    Raises:
        ValueError: the rate is not above 0 and at most 10.
    """
    if not 0 < value <= 10:
        raise ValueError(f"A learning rate is above 0 and at most 10, received {value:g}.")
    store.command(run_id, "learning_rate", value)


def refresh(store: Store, run_id: str) -> Run:
    """The run as it is now; where its worker is gone without a word, it is marked as failed with the reason."""
    run = store.run(run_id)
    if run.state not in ACTIVE:
        _reap(run_id)
        return run
    if _alive(run):
        return run
    again = store.run(run_id)  # it may have ended properly between the two looks
    if again.state in ACTIVE:
        reason = _death(store, run_id)
        store.update_run(run_id, state="failed", reason=reason, ended_at=datetime.now(UTC))
        again = store.run(run_id)
    return again


def wait(store: Store, run_id: str, timeout_s: float = 3600.0) -> Run:
    """Block until a run is no longer going.

    Raises:
        TimeoutError: it still is after `timeout_s`.
    """
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        run = refresh(store, run_id)
        if run.state not in ACTIVE:
            return run
        time.sleep(0.1)
    raise TimeoutError(f"Run {run_id} is still going after {timeout_s:g} s.")


def warm(store: Store) -> None:
    """Have a worker ready that has imported everything, so that the next run begins at once."""
    with _spare_lock:
        spare = _spares.get(store.home)
        if spare is None or spare.poll() is not None:
            _spares[store.home] = _process(store)


def _spawn(store: Store, run_id: str, folder: Path) -> None:
    with _spare_lock:
        child = _spares.pop(store.home, None)
    if child is None or child.poll() is not None:
        child = _process(store)
    _children[run_id] = child
    # Together: whoever looks between the two would take the run for one whose worker is gone.
    store.update_run(run_id, state="queued", pid=child.pid, reason="", ended_at=None)
    count = sum(1 for run in store.runs() if run.state in ACTIVE)
    message = json.dumps({"run": run_id, "threads": threads(count), "log": str(folder / "worker.log")})
    with contextlib.suppress(BrokenPipeError), cast(IO[bytes], child.stdin) as told:  # a dead one is found by refresh
        told.write(message.encode() + b"\n")


def _process(store: Store) -> subprocess.Popen[bytes]:
    """A worker that waits to be told its run. It ends with this process if it is told none, and outlives it else."""
    environment = {**os.environ, **KEEP_MEMORY, "NETLOOM_HOME": str(store.home)}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment[name] = str(threads())
    child = subprocess.Popen(
        [sys.executable, "-m", "builder.train.worker", str(store.home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    with contextlib.suppress(psutil.Error):
        psutil.Process(child.pid).nice(NICENESS)
    return child


def _alive(run: Run) -> bool:
    child = _children.get(run.id)
    if child is not None and child.pid == run.pid:
        return child.poll() is None
    if run.pid is None:
        return (datetime.now(UTC) - run.created_at).total_seconds() < STARTING_S
    try:
        process = psutil.Process(run.pid)
        return process.status() != psutil.STATUS_ZOMBIE and "builder.train.worker" in process.cmdline()
    except psutil.Error:
        return False


def _reap(run_id: str) -> None:
    child = _children.get(run_id)
    if child is not None and child.poll() is not None:
        del _children[run_id]


def _death(store: Store, run_id: str) -> str:
    """Why a worker is gone, from its exit code and the last line that it wrote."""
    child = _children.pop(run_id, None)
    code = child.returncode if child else None
    last = _last_line(Path(store.run_folder(run_id)) / "worker.log")
    if code == -9:
        return "The worker process was killed (signal 9), by someone or because the machine ran out of memory."
    if code is not None and code < 0:
        return f"The worker process was ended by signal {-code}.{last}"
    if code:
        return f"The worker process ended with exit code {code}.{last}"
    return f"The worker process is gone without a word; it was killed, or the machine was restarted.{last}"


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return f" Its last words: {lines[-1][:300]}" if lines else ""


def _environment() -> dict[str, str]:
    from importlib.metadata import version

    import torch

    packages = ("streamlit", "networkx", "captum", "numpy", "safetensors")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        **{name: version(name) for name in packages},
    }
