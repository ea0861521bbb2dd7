"""Requests that the server refuses, with a sentence and a status of 4xx."""

from __future__ import annotations

import json
import socket
from argparse import ArgumentParser
from pathlib import Path

import pytest

from netloom.cli.command import Context
from netloom.cli.commands.serve import Serve
from netloom.core.errors import UsageError
from netloom.core.log import ERRORS
from tests.serving.asgi import Application, run_apart
from tests.serving.conftest import Runs, Server


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "valid JSON"),
        (b"{", 400, "valid JSON"),
        (b"[" * 5_000, 400, "valid JSON"),
        (b'{"image": NaN}', 400, "finite"),
        (b"3", 400, "A row is an object"),
        (b"[]", 400, "no rows"),
        (b"{}", 400, "no column 'image'"),
        (b'{"image": "cat"}', 400, "rows of numbers"),
        (b'{"image": [[1e999]]}', 400, "finite"),
        (b'{"image": [[1, 2], [3]]}', 400, "equally long"),
        (b'{"image": {"a": 1}}', 400, "image"),
        (b"\xff\xfe", 400, "valid JSON"),
    ],
)
def test_bad_rows(server: Server, body: bytes, status: int, words: str) -> None:
    reply = server.post("/predict", body)
    assert reply.status == status
    assert words in reply.value["error"]
    assert "Traceback" not in reply.value["error"]


def test_a_bad_row_in_a_list_is_named(server: Server, runs: Runs) -> None:
    reply = server.post("/predict", [runs.row(0), {"image": 1}])
    assert reply.status == 400
    assert reply.value["error"].startswith("Row 2: ")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/predict", {}, 405),
        ("POST", "/nothing", {}, 404),
        ("POST", "/models/other/predict", {}, 404),
        ("GET", "/../../etc/passwd", {}, 404),
        ("GET", "/models/..%2f..%2fetc/comparison", {}, 404),
        ("POST", "/predict", {"Content-Type": "application/x-thing"}, 415),
        ("POST", "/predict", {"Content-Type": "audio/wav"}, 415),
        ("POST", "/predict", {"Content-Encoding": "gzip"}, 415),
        ("POST", "/predict", {"Host": "evil.example"}, 403),
        ("POST", "/predict", {"Host": "["}, 403),
        ("POST", "/predict", {"Origin": "https://evil.example"}, 403),
        ("POST", "/predict", {"Origin": "http://["}, 403),
        ("POST", "/rollback", {}, 409),
        ("POST", "/shadow", {}, 400),
        ("POST", "/canary", {}, 400),
        ("POST", "/reload", {}, 400),
        ("POST", "/reload", {"Origin": "null"}, 403),
    ],
)
def test_bad_requests(server: Server, method: str, path: str, headers: dict[str, str], status: int) -> None:
    reply = server.ask(method, path, b"{}" if method == "POST" else None, headers)
    assert (reply.status, set(reply.value)) == (status, {"error", "request_id"})


def test_a_body_above_the_limit_is_refused_before_it_is_read(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
        connection.sendall(head.encode())
        assert b" 413 " in connection.recv(200)


def test_a_request_cannot_forge_a_line_of_the_log_or_a_header(server: Server) -> None:
    path = "/x%0d%0aSet-Cookie:%20a=b%0a{%22status%22:200}"
    reply = server.ask("POST", path, b"{}", {"Content-Type": 'a"\u00e9'})
    assert reply.status == 404
    assert "set-cookie" not in reply.headers
    line = next(line for line in server.log if line["id"] == reply.headers["x-request-id"])
    assert line["status"] == 404
    assert "\r\nSet-Cookie" in line["path"]


def test_markup_in_a_request_is_not_a_page(server: Server) -> None:
    reply = server.get("/<script>alert(1)</script>")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--timeout", "0"], "above 0"),
        (["--max-wait", "nan"], "received nan"),
        (["--name", "a", "--name", "b"], "names: 2"),
        (["--name", ".."], "cannot be the name of a model"),
        (["--canary", "50"], "takes a run and a percentage"),
    ],
)
def test_options_without_a_meaning_are_refused(runs: Runs, options: list[str], words: str) -> None:
    command, parser = Serve(), ArgumentParser()
    command.add_arguments(parser)
    arguments = parser.parse_args([runs.first, "--port", "0", *options])
    with pytest.raises(UsageError, match=words):
        command.run(arguments, Context(runs.home, as_json=False))


def test_requests_are_answered_while_the_disk_is_full(runs: Runs, tmp_path: Path) -> None:
    application = Application(tmp_path, runs.trained, log=Path("/dev/full"))
    row = json.dumps(runs.row(0)).encode()
    assert application.post("/predict", row).status == 200
    assert run_apart(application.ask("GET", "/v2/health/live")).status == 200
    metrics = run_apart(application.ask("GET", "/metrics")).body.decode()
    assert "\nnetloom_access_log_lost_lines 2\n" in metrics
    (line,) = (tmp_path / ERRORS).read_text().splitlines()
    assert "The access log loses lines: No space left on device." in line


def test_errors_that_cannot_be_logged_do_not_stop_the_answers(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    application = Application(tmp_path, runs.trained, log=Path("/dev/full"))
    (tmp_path / ERRORS).symlink_to("/dev/full")
    assert run_apart(application.ask("GET", "/v2/health/live")).status == 200
    assert "The access log loses lines" in capsys.readouterr().err
