"""A server that is reached under a foreign name, or by a page of a foreign origin, answers nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from netloom.cli.bench.server import Server
from netloom.ui.shell.request_guard import host_name, is_known, is_same_origin, known_hosts

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETLOOM_HOSTS", "netloom.example, *.lab.example")
        found = Server(tmp_path_factory.mktemp("home"))
    yield found
    found.stop()


def asked(server: Server, request: str, *headers: str) -> tuple[int, dict[str, str], str]:
    """The status, headers and text that a request is answered with, sent as it is written."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall("\r\n".join([f"{request} HTTP/1.1", *headers, "", ""]).replace("PORT", str(server.port)).encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (part := line.recv(65_536)):
            answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        found = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines[1:])}
        while found.get("content-length") and len(body) < int(found["content-length"]) and (part := line.recv(65_536)):
            body += part
    return int(lines[0].split()[1]), found, body.decode(errors="replace")


def upgrade(server: Server, *headers: str) -> int:
    """The status of a WebSocket's handshake: 101 where it is opened."""
    wanted = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", KEY)
    return asked(server, "GET /_stcore/stream", *wanted, *headers)[0]


GOOD = ["127.0.0.1:PORT", "localhost:PORT", "LocalHost:PORT", "[::1]:PORT", "netloom.example", "a.lab.example:8443"]
EVIL = [
    "evil.example",
    "evil.example:PORT",
    "127.0.0.1.evil.example:PORT",
    "localhost.evil.example",
    "notnetloom.example",
    "lab.example.evil.example",
    "evil.example/localhost",
    "localhost@evil.example",
    "93.184.216.34:PORT",
    "",
]


@pytest.mark.parametrize("host", GOOD)
def test_a_known_host_is_answered(server: Server, host: str) -> None:
    assert asked(server, "GET /_stcore/health", f"Host: {host}")[0] == 200
    assert upgrade(server, f"Host: {host}", f"Origin: http://{host}") == 101


@pytest.mark.parametrize("host", EVIL)
def test_a_foreign_host_is_refused(server: Server, host: str) -> None:
    for path in ("/", "/_stcore/health", "/_stcore/host-config", "/static/none.js", "/media/none.png"):
        assert asked(server, f"GET {path}", f"Host: {host}")[0] in (400, 403)
    assert upgrade(server, f"Host: {host}", f"Origin: http://{host}") in (400, 403)
    assert upgrade(server, f"Host: {host}") in (400, 403)
    assert upgrade(server, f"Host: {host}", "Origin: http://127.0.0.1:PORT") in (400, 403)


def test_two_hosts_are_refused(server: Server) -> None:
    assert asked(server, "GET /", "Host: 127.0.0.1:PORT", "Host: evil.example")[0] in (400, 403)
    assert asked(server, "GET /", "Host: evil.example", "X-Forwarded-Host: 127.0.0.1:PORT")[0] == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost:PORT",  # another name than the one that is asked for, if of the same machine
        "http://127.0.0.1",
        "http://127.0.0.1:1",  # another server on this machine
        "http://127.0.0.1:PORT.evil.example",
        "ftp://127.0.0.1:PORT",
        "127.0.0.1:PORT",
        "null",
        "",
    ],
)
def test_a_page_of_another_origin_opens_no_socket_and_uploads_nothing(server: Server, origin: str) -> None:
    assert upgrade(server, "Host: 127.0.0.1:PORT", f"Origin: {origin}") == 403
    place = "/_stcore/upload_file/a/b"
    assert asked(server, f"PUT {place}", "Host: 127.0.0.1:PORT", f"Origin: {origin}", "Content-Length: 0")[0] == 403
    assert asked(server, f"DELETE {place}", "Host: 127.0.0.1:PORT", f"Origin: {origin}")[0] == 403


def test_the_refusal_says_what_to_do(server: Server) -> None:
    status, _, text = asked(server, "GET /", "Host: my.lan:PORT")
    assert status == 403
    assert "NETLOOM_HOSTS=my.lan" in text


def test_no_other_site_can_frame_the_app_and_no_page_loads_from_elsewhere(server: Server) -> None:
    for path in ("/", "/data", "/_stcore/health", "/_stcore/metrics"):
        _, headers, _ = asked(server, f"GET {path}", "Host: 127.0.0.1:PORT")
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'self'" in policy
        assert "img-src 'self' data: blob:;" in policy
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/_stcore/metrics", "/_stcore/metrics/", "/_stcore/metrics?a=b", "/_stcore/%6Detrics"]
)
def test_what_the_server_holds_in_memory_is_nobodys_business(server: Server, path: str) -> None:
    status, _, text = asked(server, f"GET {path}", "Host: 127.0.0.1:PORT")
    assert status == 404
    assert "cache_memory" not in text


def test_the_names_come_from_the_settings_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, object] = {
        "server.address": "192.0.2.7",
        "browser.serverAddress": "netloom.example",
        "server.allowedHosts": ["a.b"],
    }
    monkeypatch.setattr("streamlit.get_option", settings.get)
    monkeypatch.setenv("NETLOOM_HOSTS", " Other.Example. ,[2001:db8::1]")
    given = {"192.0.2.7", "netloom.example", "a.b", "other.example", "2001:db8::1"}
    assert known_hosts() == {"localhost", "127.0.0.1", "::1"} | given
    for everywhere in ("0.0.0.0", "::", None, "unix:///run/a"):
        settings["server.address"] = everywhere
        assert everywhere not in known_hosts()


def test_an_address_is_known_where_the_connection_arrived_at_it() -> None:
    # As the server does that listens at 0.0.0.0: a name can be rebound, the address that it is bound to cannot.
    assert is_known(host_name("192.0.2.7:8501"), (), "192.0.2.7")
    assert is_known(host_name("192.0.2.7:8501"), (), "::ffff:192.0.2.7")
    assert is_known(host_name("[2001:DB8::0:1]:8501"), (), "2001:db8::1")
    assert not is_known(host_name("192.0.2.8:8501"), (), "192.0.2.7")
    assert not is_known(host_name("evil.example"), (), "evil.example")
    assert is_known("anything.example", ("*",))


def test_an_origin_is_held_against_host_and_port() -> None:
    assert is_same_origin("https://netloom.example", "netloom.example")
    assert is_same_origin("http://[::1]:8501", "[::1]:8501")
    assert not is_same_origin("http://netloom.example:8501", "netloom.example")
