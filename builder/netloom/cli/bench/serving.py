"""The model server beside other servers for the same network, under the same load."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from netloom.cli.bench.http_load import Load, measure_load
from netloom.cli.bench.ratio import Ratio, ratio
from netloom.cli.bench.serving_peers import PEERS

CLIENTS = 64
TEMPLATES = ("digits_mlp", "digits_cnn")
_SECONDS = 3.0
_ROWS = 500
_NETLOOM = {"netloom serve": (), "netloom serve --exact": ("--exact",)}


@dataclass(frozen=True)
class Measured:
    """A server with a network: requests per second and latency beside ours, and the processor time of a request.

    Attributes:
        faster: how many times as many requests per second `netloom serve` answers.
        p99: the 99th percentile of our latency relative to that of this server.
        cpu_ms: processor time of the server per request.
        cheaper: how many times as much processor time this server takes for a request. Other load on the machine
            changes it less than the requests per second.
    """

    network: str
    server: str
    per_second: float
    p99_ms: float
    cpu_ms: float
    faster: Ratio
    p99: Ratio
    cheaper: Ratio


def measure_serving(repeats: int) -> list[Measured]:
    """Measure all installed servers in turns, so that each has the same load on the machine.

    Raises:
        RuntimeError: a server does not start, or fails to answer a request.
    """
    results: list[Measured] = []
    for template in TEMPLATES:
        with tempfile.TemporaryDirectory() as folder:
            results += _measure(template, Path(folder), repeats)
    return results


def missing_peers() -> list[str]:
    """Return the packages of servers that are not installed."""
    return sorted({package for peer in PEERS.values() for package in peer.packages if find_spec(package) is None})


def _measure(template: str, home: Path, repeats: int) -> list[Measured]:
    run_id, bodies = _trained(template, home)
    loads: dict[str, list[Load]] = {}
    cpu_s: dict[str, list[float]] = {}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(server) for name, server in _servers(home, run_id, bodies).items()}
        for _ in range(repeats):
            for name, (port, process) in servers.items():
                before = _cpu_s(process)
                load = measure_load(f"http://127.0.0.1:{port}/predict", bodies, CLIENTS, _SECONDS)
                if load.failed:
                    raise RuntimeError(f"{name} failed to answer {load.failed} requests: {load.statuses}.")
                loads.setdefault(name, []).append(load)
                cpu_s.setdefault(name, []).append((_cpu_s(process) - before) / sum(load.statuses.values()))
    first = next(iter(_NETLOOM))
    netloom_loads = loads[first]
    return [
        Measured(
            template,
            name,
            sum(load.per_second for load in measured) / len(measured),
            1000 * sum(load.p99_s for load in measured) / len(measured),
            1000 * sum(cpu_s[name]) / len(measured),
            ratio([load.per_second for load in netloom_loads], [load.per_second for load in measured]),
            ratio([load.p99_s for load in netloom_loads], [load.p99_s for load in measured]),
            ratio(cpu_s[name], cpu_s[first]),
        )
        for name, measured in loads.items()
    ]


def _trained(template: str, home: Path) -> tuple[str, Path]:
    """Train a template for an epoch. Returns the run, and the file with its rows as bodies of requests."""
    from netloom.api import open_project, train

    run = train(open_project(template), epochs=1, seed=0, device="cpu", save=True, home=home)
    if run.run is None:
        raise RuntimeError("The run was not saved.")
    field = run.fields[0]
    rows = [{field: run.data.row(number)[field].tolist()} for number in range(_ROWS)]
    bodies = home / "bodies.json"
    bodies.write_text(json.dumps(rows))
    return run.run.id, bodies


def _servers(home: Path, run_id: str, bodies: Path) -> Mapping[str, Any]:
    """Return the servers by title, as contexts that start them."""
    row = json.dumps(json.loads(bodies.read_text())[0]).encode()
    servers = {}
    for title, options in _NETLOOM.items():
        command = ["-m", "netloom.cli", "--home", str(home), "serve", run_id, "--cache-mb", "0", *options, "--port"]
        servers[title] = _started(command, row)
    for name, peer in PEERS.items():
        if all(find_spec(package) for package in peer.packages):
            command = ["-m", "netloom.cli.bench.serving_peers", name, str(home), run_id]
            servers[peer.title] = _started(command, row)
    return servers


@contextmanager
def _started(command: list[str], row: bytes) -> Iterator[tuple[int, psutil.Process]]:
    """Start a server at a free port, the last argument of its command, and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen([sys.executable, *command, str(port)], stdout=log, stderr=subprocess.STDOUT)
        try:
            if not _answers(port, row, server):
                log.seek(0)
                raise RuntimeError(f"A server did not start: {log.read().decode(errors='replace')[-1000:]}")
            yield port, psutil.Process(server.pid)
        finally:
            children = psutil.Process(server.pid).children(recursive=True) if server.poll() is None else []
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
            for child in children:
                if child.is_running():
                    child.kill()


def _answers(port: int, row: bytes, server: subprocess.Popen[bytes]) -> bool:
    """Wait for the first prediction, at most five minutes."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict", row, {"Content-Type": "application/json"}, method="POST"
    )
    end = time.monotonic() + 300
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.2)
    return False


def _cpu_s(process: psutil.Process) -> float:
    """Return the processor time of a server with its processes in seconds."""
    times = [member.cpu_times() for member in (process, *process.children(recursive=True))]
    return sum(item.user + item.system for item in times)
