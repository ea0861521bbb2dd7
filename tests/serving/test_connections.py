"""Connections that send no request, and more requests than the server answers at a time."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from netloom.serving.server_settings import Limits, ServerSettings
from netloom.serving.server_state import ServerState
from tests.serving.asgi import listening
from tests.serving.conftest import Reply

HEALTH = "/v2/health/live"
HEAD = "POST /models/x/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"


def state(home: Path, limits: Limits) -> ServerState:
    """A server without models."""
    return ServerState(ServerSettings(limits=limits), home)


def ask(port: int, path: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def connect(stack: ExitStack, port: int) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends a connection without an answer."""
    with suppress(ConnectionError):
        return connection.recv(1) == b""
    return True


def test_connections_without_a_request_do_not_block_the_server(tmp_path: Path) -> None:
    with listening(state(tmp_path, Limits(connections=8))) as port, ExitStack() as stack:
        idle = [connect(stack, port) for _ in range(24)]
        assert ask(port, HEALTH).value == {"live": True}
        assert ask(port, "/metrics").status == 200
        assert all(is_closed(connection) for connection in idle[:16])  # the oldest make room
        values = dict(line.split() for line in ask(port, "/metrics").body.decode().splitlines() if line[:1] == "n")
        assert int(values["netloom_connections"]) <= 9
        assert int(values["netloom_closed_connections"]) >= 16


def test_a_low_limit_of_open_files_leaves_room_for_new_connections(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (240, hard))
    try:
        with listening(state(tmp_path, Limits())) as port, ExitStack() as stack:
            idle = [connect(stack, port) for _ in range(60)]
            assert all(is_closed(connection) for connection in idle[:20])
            assert ask(port, HEALTH).status == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_connection_has_to_send_a_request_in_time(tmp_path: Path) -> None:
    with listening(state(tmp_path, Limits(request_s=0.3))) as port, ExitStack() as stack:
        idle, slow, busy = (connect(stack, port) for _ in range(3))
        busy.sendall(HEAD.encode())  # a request that has begun is not cut off
        with suppress(ConnectionError):
            for letter in HEAD[:-1] * 2:  # a byte now and then is not a request
                slow.sendall(letter.encode())
                time.sleep(0.05)
        assert is_closed(idle)
        assert is_closed(slow)
        busy.sendall(b"{}")
        assert busy.recv(100).startswith(b"HTTP/1.1 404 ")


def test_more_requests_than_the_server_answers_are_told_when_to_return(tmp_path: Path) -> None:
    with listening(state(tmp_path, Limits(connections=2))) as port, ExitStack() as stack:
        busy = [connect(stack, port) for _ in range(2)]
        for connection in busy:
            connection.sendall(HEAD.encode())
        time.sleep(0.2)
        refused = ask(port, "/metrics")
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert refused.value["error"] == "The server is processing 2 other requests; try again later."
        assert ask(port, HEALTH).status == 200
        lines = [json.loads(line) for line in (tmp_path / "access.jsonl").read_text().splitlines()]
        assert [line["status"] for line in lines] == [503, 200]
        for connection in busy:
            connection.sendall(b"{}")
            assert connection.recv(100).startswith(b"HTTP/1.1 404 ")
