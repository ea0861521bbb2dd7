"""Servers that were started without a terminal, such as by the Deploy page.

Each is a process in a session of its own, so that it outlives what started it. A record and its output are in the data
folder, from which any page or command finds it again. Such servers listen at 127.0.0.1 only.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import FileLock

from netloom.core.errors import UsageError
from netloom.core.processes import is_running, start_detached
from netloom.document import write_bytes
from netloom.serving.server_settings import DEFAULT_BACKEND, STOPPED

MAX_SERVERS = 4  # of a data folder; each keeps a network and PyTorch in memory
FIRST_PORT = 8800
HOST = "127.0.0.1"
_MODULE, _SHOWN_BYTES, _TRIED_PORTS = "netloom.cli", 6_000, 100
_READY = "\nDocumentation: "  # which `netloom serve` writes when it answers
_children: dict[int, subprocess.Popen[bytes]] = {}  # those of this process, which has to collect them


@dataclass(frozen=True)
class LaunchOptions:
    """How a server serves its run: by a backend, or by an ONNX file `model`, such as a smaller variant of the run.
    With `logs_requests`, it logs all rows and answers."""

    backend: str = DEFAULT_BACKEND
    logs_requests: bool = False
    model: str = ""

    @property
    def arguments(self) -> list[str]:
        """The options of `netloom serve` that differ from the defaults."""
        chosen = [] if self.backend == DEFAULT_BACKEND else ["--backend", self.backend]
        chosen = ["--model", self.model] if self.model else chosen  # a file has its own backend
        return [*chosen, *(["--log-requests", "1"] if self.logs_requests else [])]


DEFAULT_OPTIONS = LaunchOptions()


@dataclass(frozen=True)
class LaunchedServer:
    """A server as it was started, with the run that it uses now; `started` is a time in UTC. `folder` has its record
    and its output."""

    folder: Path
    run_id: str
    port: int
    pid: int
    started: str

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether the process runs, not another one with the same id after a restart of the machine."""
        child = _children.get(self.pid)
        if child is not None:  # its command line is empty for a moment at first
            return child.poll() is None
        return is_running(self.pid, _MODULE) and is_running(self.pid, str(self.port))

    @property
    def is_ready(self) -> bool:
        """Whether it has announced its address."""
        return _READY in self.output()

    @property
    def has_failed(self) -> bool:
        """Whether it has ended otherwise than by a signal to stop."""
        return not self.is_running and STOPPED not in self.output()

    def output(self) -> str:
        """Return the end of what the server has written."""
        with suppress(OSError), (self.folder / f"{self.port}.log").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _SHOWN_BYTES))
            return file.read().decode(errors="replace")
        return ""

    def stop(self) -> None:
        """Ask the server to end when it has answered the requests that have begun."""
        if not self.is_running:
            return
        if not self.is_ready:  # it does not write this itself before it listens
            with suppress(OSError), (self.folder / f"{self.port}.log").open("a", encoding="utf-8") as file:
                file.write(f"{STOPPED}\n")
        with suppress(psutil.Error):
            psutil.Process(self.pid).terminate()


def launched(home: Path, run_id: str = "") -> list[LaunchedServer]:
    """Return the servers that were started for a run, or for all runs, also those that have ended, by their ports."""
    return sorted(
        (server for server in _records(_folder(home)) if run_id in ("", server.run_id)), key=lambda server: server.port
    )


def free_port(home: Path) -> int:
    """Return the first port from 8800 at which no server listens, or is about to."""
    used_ports = {server.port for server in launched(home) if server.is_running}
    ports = range(FIRST_PORT, FIRST_PORT + _TRIED_PORTS)
    return next((port for port in ports if port not in used_ports and _is_free(port)), FIRST_PORT)


def launch(home: Path, run_id: str, name: str, port: int, options: LaunchOptions = DEFAULT_OPTIONS) -> LaunchedServer:
    """Start a server for a run; `name` is that of its model.

    Raises:
        UsageError: the port is taken, or too many servers run.
    """
    folder = _folder(home)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):  # two pages may start a server at the same time
        running = [server for server in launched(home) if server.is_running]
        if len(running) >= MAX_SERVERS:
            ports = ", ".join(str(server.port) for server in running)
            raise UsageError(f"{MAX_SERVERS} servers run already, at the ports {ports}; stop one of them first.")
        if not _is_free(port) or any(server.port == port for server in running):
            raise UsageError(f"The port {port} is taken; choose another port, such as {free_port(home)}.")
        words = ["--home", str(home), "serve", run_id, "--name", name, "--port", str(port), *options.arguments]
        command = [sys.executable, "-P", "-m", _MODULE, *words]
        with (folder / f"{port}.log").open("wb") as output:
            child = start_detached(command, subprocess.DEVNULL, os.environ, output.fileno())
        _children[child.pid] = child
        server = LaunchedServer(folder, run_id, port, child.pid, datetime.now(UTC).isoformat(timespec="seconds"))
        _write_record(server)
    return server


def record_run(home: Path, address: str, run_id: str) -> None:
    """Record that the default model of a launched server uses another run now, so that pages list it for that run.
    Nothing happens for an address of another server."""
    folder = _folder(home)
    if not folder.is_dir():
        return
    with FileLock(folder / "lock"):
        for server in launched(home):
            if server.address == address and server.is_running and server.run_id != run_id:
                _write_record(replace(server, run_id=run_id))


def _write_record(server: LaunchedServer) -> None:
    values = {key: value for key, value in asdict(server).items() if key != "folder"}
    write_bytes(server.folder / f"{server.port}.json", json.dumps(values).encode())


def _folder(home: Path) -> Path:
    return home / "serving" / "launched"


def _records(folder: Path) -> Iterator[LaunchedServer]:
    for file in folder.glob("*.json"):
        with suppress(OSError, ValueError, TypeError):  # a record that is being written, or damaged
            yield LaunchedServer(folder, **json.loads(file.read_text(encoding="utf-8")))


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
