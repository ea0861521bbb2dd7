"""Requests with a foreign host name, or from a page of a foreign origin, are rejected."""

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
        instance = Server(tmp_path_factory.mktemp("home"))
    yield instance
    instance.stop()


def send_request(server: Server, request: str, *headers: str) -> tuple[int, dict[str, str], str]:
    """Send a request verbatim. Returns the status, headers and text of the response."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            "\r\n".join([f"{request} HTTP/1.1", *headers, "", ""]).replace("PORT", str(server.port)).encode()
        )
        response = b""
        while b"\r\n\r\n" not in response and (part := connection.recv(65_536)):
            response += part
        head, _, body = response.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        response_headers = {
            name.lower(): value.strip() for name, _, value in (header.partition(":") for header in lines[1:])
        }
        while (
            response_headers.get("content-length")
            and len(body) < int(response_headers["content-length"])
            and (part := connection.recv(65_536))
        ):
            body += part
    return int(lines[0].split()[1]), response_headers, body.decode(errors="replace")


def websocket_status(server: Server, *headers: str) -> int:
    """The status of a WebSocket handshake: 101 if it is accepted."""
    upgrade_headers = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", KEY)
    return send_request(server, "GET /_stcore/stream", *upgrade_headers, *headers)[0]


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
def test_known_host_is_accepted(server: Server, host: str) -> None:
    assert send_request(server, "GET /_stcore/health", f"Host: {host}")[0] == 200
    assert websocket_status(server, f"Host: {host}", f"Origin: http://{host}") == 101


@pytest.mark.parametrize("host", EVIL)
def test_foreign_host_is_rejected(server: Server, host: str) -> None:
    for path in ("/", "/_stcore/health", "/_stcore/host-config", "/static/none.js", "/media/none.png"):
        assert send_request(server, f"GET {path}", f"Host: {host}")[0] in (400, 403)
    assert websocket_status(server, f"Host: {host}", f"Origin: http://{host}") in (400, 403)
    assert websocket_status(server, f"Host: {host}") in (400, 403)
    assert websocket_status(server, f"Host: {host}", "Origin: http://127.0.0.1:PORT") in (400, 403)


def test_conflicting_hosts_are_rejected(server: Server) -> None:
    assert send_request(server, "GET /", "Host: 127.0.0.1:PORT", "Host: evil.example")[0] in (400, 403)
    assert send_request(server, "GET /", "Host: evil.example", "X-Forwarded-Host: 127.0.0.1:PORT")[0] == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost:PORT",  # another name of the same machine
        "http://127.0.0.1",
        "http://127.0.0.1:1",  # another server on this machine
        "http://127.0.0.1:PORT.evil.example",
        "ftp://127.0.0.1:PORT",
        "127.0.0.1:PORT",
        "null",
        "",
    ],
)
def test_foreign_origin_cannot_open_sockets_or_upload(server: Server, origin: str) -> None:
    assert websocket_status(server, "Host: 127.0.0.1:PORT", f"Origin: {origin}") == 403
    place = "/_stcore/upload_file/a/b"
    assert (
        send_request(server, f"PUT {place}", "Host: 127.0.0.1:PORT", f"Origin: {origin}", "Content-Length: 0")[0] == 403
    )
    assert send_request(server, f"DELETE {place}", "Host: 127.0.0.1:PORT", f"Origin: {origin}")[0] == 403


def test_rejection_names_the_hosts_setting(server: Server) -> None:
    status, _, text = send_request(server, "GET /", "Host: my.lan:PORT")
    assert status == 403
    assert "NETLOOM_HOSTS=my.lan" in text


def test_security_headers_prevent_framing_and_foreign_content(server: Server) -> None:
    for path in ("/", "/data", "/_stcore/health", "/_stcore/metrics"):
        _, headers, _ = send_request(server, f"GET {path}", "Host: 127.0.0.1:PORT")
        policy = headers["content-security-policy"]
        assert "frame-ancestors 'self'" in policy
        assert "img-src 'self' data: blob:;" in policy
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert headers["x-content-type-options"] == "nosniff"


def test_scripts_of_the_pages_are_compressed(server: Server) -> None:
    _, _, page = send_request(server, "GET /", "Host: 127.0.0.1:PORT")
    script = page.partition('src="./static/js/')[2].partition('"')[0]
    address = f"GET /static/js/{script}"
    plain, small = (
        send_request(server, address, "Host: 127.0.0.1:PORT", *more)[1] for more in ([], ["Accept-Encoding: gzip"])
    )
    assert small["content-encoding"] == "gzip"
    assert int(small["content-length"]) < 0.4 * int(plain["content-length"])


@pytest.mark.parametrize(
    "path", ["/_stcore/metrics", "/_stcore/metrics/", "/_stcore/metrics?a=b", "/_stcore/%6Detrics"]
)
def test_metrics_endpoint_is_hidden(server: Server, path: str) -> None:
    status, _, text = send_request(server, f"GET {path}", "Host: 127.0.0.1:PORT")
    assert status == 404
    assert "cache_memory" not in text


def test_known_hosts_come_from_settings_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, object] = {
        "server.address": "192.0.2.7",
        "browser.serverAddress": "netloom.example",
        "server.allowedHosts": ["a.b"],
    }
    monkeypatch.setattr("streamlit.get_option", settings.get)
    monkeypatch.setenv("NETLOOM_HOSTS", " Other.Example. ,[2001:db8::1]")
    configured = {"192.0.2.7", "netloom.example", "a.b", "other.example", "2001:db8::1"}
    assert known_hosts() == {"localhost", "127.0.0.1", "::1"} | configured
    for everywhere in ("0.0.0.0", "::", None, "unix:///run/a"):
        settings["server.address"] = everywhere
        assert everywhere not in known_hosts()


def test_address_of_the_connection_is_a_known_host() -> None:
    # For a server that listens on 0.0.0.0: DNS can rebind a name, but not the address of the connection.
    assert is_known(host_name("192.0.2.7:8501"), (), "192.0.2.7")
    assert is_known(host_name("192.0.2.7:8501"), (), "::ffff:192.0.2.7")
    assert is_known(host_name("[2001:DB8::0:1]:8501"), (), "2001:db8::1")
    assert not is_known(host_name("192.0.2.8:8501"), (), "192.0.2.7")
    assert not is_known(host_name("evil.example"), (), "evil.example")
    assert is_known("anything.example", ("*",))


def test_origin_must_match_host_and_port() -> None:
    assert is_same_origin("https://netloom.example", "netloom.example")
    assert is_same_origin("http://[::1]:8501", "[::1]:8501")
    assert not is_same_origin("http://netloom.example:8501", "netloom.example")
