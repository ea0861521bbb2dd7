"""Servers that are stopped, killed, reloaded and limited while clients use them."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from netloom.cli.bench.http_load import measure_load
from netloom.core.errors import UsageError
from netloom.monitoring.log_reader import read_log
from netloom.serving.keys import KeyRing
from tests.cli.conftest import called
from tests.serving.conftest import Reply, Runs, Server, start_server

Start = Callable[..., Server]


@pytest.fixture
def start(runs: Runs) -> Iterator[Start]:
    """Starts servers, which are killed at the end."""
    servers: list[Server] = []

    def started(*options: object) -> Server:
        servers.append(start_server(runs.home, runs.first, "--name", "digits", "--cache-mb", 0, *options))
        return servers[-1]

    yield started
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def versions(server: Server, runs: Runs, count: int) -> list[str]:
    return [server.post("/predict", runs.row(n)).headers["netloom-model"] for n in range(count)]


def comparison(server: Server) -> Any:
    """The comparison of the versions, after the shadow has answered the rows of all requests, each of one row."""
    deadline = time.monotonic() + 20
    while True:
        value = server.get("/comparison").value
        if value["shadow"]["rows"] + value["shadow"]["dropped_rows"] == value["current"]["requests"]:
            return value
        assert time.monotonic() < deadline, value
        time.sleep(0.05)


def test_sigterm_finishes_the_requests_that_have_begun(start: Start, runs: Runs) -> None:
    server = start("--max-wait", 1_500)
    with ThreadPoolExecutor(4) as clients:
        replies = [clients.submit(server.post, "/predict", runs.row(n)) for n in range(4)]
        time.sleep(0.5)  # they wait for the batch
        assert server.stop() == 0
        assert [reply.result().status for reply in replies] == [200] * 4


def test_a_killed_server_loses_no_line_of_an_answered_request(start: Start, runs: Runs) -> None:
    server = start("--log-requests", 1)
    answered: list[str] = []

    def ask() -> None:
        try:
            while True:
                answered.append(server.post("/predict", runs.row(1)).headers["x-request-id"])
        except (OSError, HTTPException):
            return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    server.process.send_signal(signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert answered
    assert set(answered) <= {line["id"] for line in server.log}
    logged = read_log(runs.home, "digits", runs.first, 100_000).rows
    assert set(answered) <= {row.id for row in logged}
    assert all(row.input == runs.row(1) for row in logged)


@pytest.mark.parametrize("seconds", [2.5, pytest.param(60.0, marks=pytest.mark.long)])
def test_a_reload_and_a_rollback_fail_no_request(start: Start, runs: Runs, tmp_path: Path, seconds: float) -> None:
    server, bodies = start(), tmp_path / "bodies.json"
    bodies.write_text(json.dumps([runs.row(n) for n in range(20)]))
    before = versions(server, runs, 1)[0]
    with ThreadPoolExecutor(1) as clients:
        load = clients.submit(measure_load, f"{server.address}/predict", bodies, 8, seconds)
        time.sleep(0.7)
        assert server.post("/reload", {"run": runs.second}).status == 200
        after = versions(server, runs, 1)[0]
        server.process.send_signal(signal.SIGHUP)  # loads the same weights again
        assert server.post("/models/digits/reload").status == 200
        assert server.post("/reload", {"run": runs.first}).status == 200
        assert server.post("/rollback").status == 200
        assert versions(server, runs, 1)[0] == after != before
    assert load.result().failed == 0
    assert {before, after} <= {line["model"] for line in server.log if line["route"] == "predict"}
    assert server.post("/reload", {"run": "ffffffff"}).status == 400
    assert versions(server, runs, 1)[0] == after


def test_a_canary_answers_its_share_and_is_compared(start: Start, runs: Runs) -> None:
    server = start("--canary", f"{runs.second}=25", "--shadow", runs.second)
    seen = versions(server, runs, 400)
    canary = server.get("/models").value[0]["canary"]["version"]
    share = sum(name.endswith(canary) for name in seen) / len(seen)
    assert 0.15 < share < 0.35  # ±4.6 standard deviations
    for number in range(60):
        reply = server.post("/predict", runs.row(number))
        right = reply.headers["netloom-model"].endswith(canary)
        outcome = server.post("/outcome", {"request_id": reply.headers["x-request-id"], "value": right})
        assert outcome.status == 200
    assert server.post("/outcome", {"request_id": "unknown", "value": 1}).status == 404
    value = comparison(server)
    assert value["canary"]["requests"] + value["current"]["requests"] == 460
    assert value["canary"]["outcome"]["difference"] == pytest.approx(1.0)
    assert value["canary"]["outcome"]["is_significant"] is True
    low, high = value["canary"]["error_share"]["interval"]
    assert low < 0 < high
    low, high = value["shadow"]["interval"]
    assert low <= value["shadow"]["agreement"] <= high
    assert server.post("/canary", {"run": None}).value["canary"] is None
    assert len(set(versions(server, runs, 30))) == 1


def test_keys_are_needed_beyond_this_machine_and_can_be_revoked(start: Start, runs: Runs) -> None:
    refused = called("--home", runs.home, "serve", runs.first, "--host", "0.0.0.0", "--port", 0)
    assert refused.code == 2
    assert "keys add" in refused.err
    key = called("--home", runs.home, "serve", "keys", "add", "phone", "--json").value["key"]
    assert key not in (runs.home / "serving" / "keys.json").read_text()
    server = start("--host", "0.0.0.0")

    def ask(token: str) -> Reply:
        return server.post("/predict", runs.row(0), Authorization=f"Bearer {token}")

    assert ask(key).status == 200
    assert server.log[-1]["key"] == "phone"
    assert server.post("/predict", runs.row(0), Authorization=f"bearer {key}").status == 200
    assert server.post("/predict", runs.row(0), X_API_Key=key).status == 200
    assert key not in Path(server.started["log"]).read_text()
    assert [ask(token).status for token in ("", "x", key[:-1], f"{key}x", "\u00e9")] == [401] * 5
    assert server.get("/metrics").status == 401
    assert server.get("/v2/health/live").status == 200
    assert "valid" in called("--home", runs.home, "serve", "keys", "list").out
    assert called("--home", runs.home, "serve", "keys", "revoke", "phone").code == 0
    time.sleep(0.6)
    assert ask(key).status == 401
    with pytest.raises(UsageError, match="no valid key"):
        KeyRing(runs.home).revoke("phone")


def test_requests_beyond_the_rate_are_told_when_to_return(start: Start, runs: Runs) -> None:
    server = start("--rate", 2, "--burst", 5)
    replies = [server.post("/predict", runs.row(n)) for n in range(12)]
    refused = [reply for reply in replies if reply.status == 429]
    assert [reply.status for reply in replies[:5]] == [200] * 5
    assert len(refused) >= 4
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
    time.sleep(1)
    assert server.post("/predict", runs.row(0)).status == 200


def test_exact_answers_equal_the_app_under_load(start: Start, runs: Runs) -> None:
    server = start("--exact")
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda n: server.post("/predict", runs.row(n)).value, range(60)))
    assert answers == [runs.answer(n) for n in range(60)]
