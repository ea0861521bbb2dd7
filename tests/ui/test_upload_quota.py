"""What a session sends is counted, refused beyond its quota, and given back once its browser is gone."""

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
        (home / "app.py").write_text(APP)  # all that stands before a page, with a page that imports nothing
        found = Server(home, home / "app.py")
    yield found
    found.stop()


@contextmanager
def session(server: Server) -> Iterator[str]:
    """A session as a browser begins it; its id."""
    address = f"ws://127.0.0.1:{server.port}/_stcore/stream"
    with connect(address, origin=Origin(server.url), subprotocols=[Subprotocol("streamlit")], max_size=None) as line:
        asked = BackMsg()
        asked.rerun_script.query_string = ""
        line.send(asked.SerializeToString())
        while True:
            message = ForwardMsg.FromString(line.recv(60))
            if message.WhichOneof("type") == "new_session":
                break
        yield message.new_session.initialize.session_id


def sent(server: Server, session: str, name: str, size: int) -> int:
    """The status that a file of so many bytes is answered with."""
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    line.request("GET", "/_stcore/host-config")
    line.getresponse().read()
    line.request("GET", "/_stcore/health")
    answer = line.getresponse()
    answer.read()
    cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + bytes(size) + b"\r\n--x--\r\n"
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Cookie": cookie,
        "X-Xsrftoken": cookie.partition("=")[2],
        "Origin": server.url,
    }
    line.request("PUT", f"/_stcore/upload_file/{session}/{name}", body, headers)
    status = line.getresponse().status
    line.close()
    return status


def test_a_session_holds_no_more_than_its_quota_and_gives_it_back(server: Server) -> None:
    with session(server) as second:
        with session(server) as first:
            assert sent(server, first, "a", 600_000) == 204
            assert sent(server, first, "b", 600_000) == 413
            assert sent(server, first, "c", 400_000) == 204
            assert sent(server, first, "d", 300_000) == 413
            assert sent(server, second, "a", 900_000) == 204  # what the first holds does not count for the second
            with session(server) as third:
                assert sent(server, third, "a", 900_000) == 413  # but for all together it does
        end = time.monotonic() + 20
        with session(server) as fourth:
            while (status := sent(server, fourth, "a", 900_000)) == 413 and time.monotonic() < end:
                time.sleep(0.2)
            assert status == 204  # the browsers of the first and the third are gone
            assert sent(server, second, "b", 100_000) == 204


def test_a_file_without_a_length_is_refused(server: Server) -> None:
    with session(server) as known:
        line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        line.request("PUT", f"/_stcore/upload_file/{known}/a", iter([b"x" * 10]), {"Origin": server.url})
        assert line.getresponse().status == 411
        line.close()
