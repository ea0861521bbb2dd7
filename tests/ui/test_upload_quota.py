"""Uploads of a session are counted, rejected beyond its quota, and released when its browser disconnects."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from netloom.cli.bench.server import Server

APP = """
from streamlit.starlette import App
from netloom.ui.shell.request_guard import middleware
app = App("page.py", middleware=middleware())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETLOOM_UPLOAD_QUOTA_MB", "1")
        patch.setenv("NETLOOM_UPLOAD_TOTAL_MB", "2")
        patch.setenv("STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL", "1")
        home = tmp_path_factory.mktemp("home")
        (home / "page.py").write_text("import streamlit as st\nst.file_uploader('A file')\n")
        (home / "app.py").write_text(APP)  # the middleware of the app, with a page that imports nothing
        instance = Server(home, home / "app.py")
    yield instance
    instance.stop()


@contextmanager
def session(server: Server) -> Iterator[str]:
    """A session, started as a browser does. Yields its ID."""
    address = f"ws://127.0.0.1:{server.port}/_stcore/stream"
    with connect(address, origin=Origin(server.url), subprotocols=[Subprotocol("streamlit")], max_size=None) as socket:
        request = BackMsg()
        request.rerun_script.query_string = ""
        socket.send(request.SerializeToString())
        while True:
            message = ForwardMsg.FromString(socket.recv(60))
            if message.WhichOneof("type") == "new_session":
                break
        yield message.new_session.initialize.session_id


def upload_status(server: Server, session: str, name: str, size: int) -> int:
    """Upload a file of the given size. Returns the status of the response."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/_stcore/host-config")
    connection.getresponse().read()
    connection.request("GET", "/_stcore/health")
    response = connection.getresponse()
    response.read()
    cookie = response.headers.get("Set-Cookie", "").partition(";")[0]
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + bytes(size) + b"\r\n--x--\r\n"
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Cookie": cookie,
        "X-Xsrftoken": cookie.partition("=")[2],
        "Origin": server.url,
    }
    connection.request("PUT", f"/_stcore/upload_file/{session}/{name}", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_session_quota_is_enforced_and_released(server: Server) -> None:
    with session(server) as second:
        with session(server) as first:
            assert upload_status(server, first, "a", 600_000) == 204
            assert upload_status(server, first, "b", 600_000) == 413
            assert upload_status(server, first, "c", 400_000) == 204
            assert upload_status(server, first, "d", 300_000) == 413
            assert upload_status(server, second, "a", 900_000) == 204  # the quota of the second is its own
            with session(server) as third:
                assert upload_status(server, third, "a", 900_000) == 413  # but they count toward the total
        end = time.monotonic() + 20
        with session(server) as fourth:
            while (status := upload_status(server, fourth, "a", 900_000)) == 413 and time.monotonic() < end:
                time.sleep(0.2)
            assert status == 204  # the browsers of the first and the third have disconnected
            assert upload_status(server, second, "b", 100_000) == 204


def test_upload_without_content_length_is_rejected(server: Server) -> None:
    with session(server) as session_id:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("PUT", f"/_stcore/upload_file/{session_id}/a", iter([b"x" * 10]), {"Origin": server.url})
        assert connection.getresponse().status == 411
        connection.close()
