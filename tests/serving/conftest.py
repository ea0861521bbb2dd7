"""A data folder with two runs of the digits, and a server process for all tests that only ask it."""

from __future__ import annotations

import http.client
import json
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import netloom
from netloom.runs import TrainedRun
from tests.cli.command import environment
from tests.preloaded import PreloadedProcess, start_python

START_S = 120


@dataclass(frozen=True)
class Reply:
    """The answer of a server."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """`netloom serve` in a process of its own."""

    home: Path
    process: PreloadedProcess
    started: dict[str, Any]

    @property
    def address(self) -> str:
        return str(self.started["address"])

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 0

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of the access log."""
        return [json.loads(line) for line in Path(self.started["log"]).read_text(encoding="utf-8").splitlines()]

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """Send a request; a body that is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        with closing(connection):
            connection.request(method, path, sent, {"Content-Type": "application/json", **(headers or {})})
            with connection.getresponse() as answer:
                headers = {name.lower(): value for name, value in answer.getheaders()}
                return Reply(answer.status, headers, answer.read())

    def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        return self.ask("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def get(self, path: str) -> Reply:
        return self.ask("GET", path)

    def stop(self) -> int:
        """Stop the server as a service manager does. Returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def start_server(home: Path, *options: object) -> Server:
    """Start a server, and wait until it says where it is."""
    command, log = ("--home", home, "serve", *options, "--port", 0, "--json"), home / "serve.log"
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "started.json")
        output.touch()
        process = start_python("-m", "netloom.cli", *command, output=output, errors=log, environment=environment())
        end = time.monotonic() + START_S
        while not (text := output.read_text()).endswith("\n}\n"):  # the message is complete
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                raise AssertionError(f"The server did not start: {log.read_text()[-2000:]}")
            time.sleep(0.02)
    return Server(home, process, json.loads(text))


@dataclass(frozen=True)
class Runs:
    """A data folder with two runs of one document, and the first of them loaded."""

    home: Path
    first: str
    second: str
    trained: TrainedRun

    def row(self, number: int) -> dict[str, Any]:
        """A raw row as JSON."""
        return {"image": self.trained.data.row(number)["image"].tolist()}

    def answer(self, number: int) -> dict[str, Any]:
        """The answer of the app."""
        return netloom.predict(self.trained, [self.row(number)])[0]


@pytest.fixture(scope="package")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    home = tmp_path_factory.mktemp("serving")
    document = netloom.open_project("digits_mlp")
    first = netloom.train(document, epochs=1, seed=1, device="cpu", save=True, home=home)
    second = netloom.train(document, epochs=1, seed=2, device="cpu", save=True, home=home)
    assert first.run is not None
    assert second.run is not None
    return Runs(home, first.run.id, second.run.id, first)


@pytest.fixture(scope="package")
def server(runs: Runs) -> Iterator[Server]:
    """A server that tests ask, but do not change."""
    server = start_server(runs.home, runs.first, "--name", "digits")
    yield server
    server.process.kill()
    server.process.wait()
