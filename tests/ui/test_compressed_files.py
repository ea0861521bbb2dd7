"""Scripts and styles reach the browser compressed, once per file."""

from __future__ import annotations

import asyncio
import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Message

from netloom.ui.shell import compressed_files
from netloom.ui.shell.compressed_files import CompressedFiles

SCRIPT = b"export const answer = 42;\n" * 400


@pytest.fixture
def app(tmp_path: Path) -> CompressedFiles:
    for name in ("app.js", "picture.png", "data.zip"):
        (tmp_path / name).write_bytes(SCRIPT)
    (tmp_path / "short.js").write_bytes(SCRIPT[:100])
    return CompressedFiles(Starlette(routes=[Mount("/static", StaticFiles(directory=tmp_path))]))


def get(app: CompressedFiles, path: str, method: str = "GET", **headers: str) -> tuple[int, Headers, bytes]:
    messages: list[Message] = []

    async def receive() -> Message:
        return await asyncio.Future()  # the browser stays connected

    async def send(message: Message) -> None:
        messages.append(message)

    sent = {"accept_encoding": "gzip, br", **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()]
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": raw, "query_string": b""}
    # In a thread of its own: a browser of other tests keeps an event loop running in this one
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, app(scope, receive, send)).result()
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return messages[0]["status"], Headers(raw=messages[0]["headers"]), body


def test_script_arrives_compressed_and_equal_after_decoding(app: CompressedFiles) -> None:
    status, headers, body = get(app, "/static/app.js")
    assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "Accept-Encoding")
    assert int(headers["content-length"]) == len(body) < len(SCRIPT) / 10
    assert gzip.decompress(body) == SCRIPT
    assert get(app, "/static/app.js", if_none_match=headers["etag"])[0] == 304


def test_script_is_compressed_once_until_it_changes(
    app: CompressedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    compress = gzip.compress

    def counted(body: bytes, *arguments: int, **named: int) -> bytes:
        sizes.append(len(body))
        return compress(body, *arguments, **named)

    monkeypatch.setattr(compressed_files, "gzip", SimpleNamespace(compress=counted))
    assert get(app, "/static/app.js")[2] == get(app, "/static/app.js")[2]
    (tmp_path / "app.js").write_bytes(SCRIPT * 2)
    assert gzip.decompress(get(app, "/static/app.js")[2]) == SCRIPT * 2
    assert sizes == [len(SCRIPT), 2 * len(SCRIPT)]


@pytest.mark.parametrize("coding", ["", "identity", "br", "gzip;q=0, br"])
def test_browser_without_gzip_receives_the_file_itself(app: CompressedFiles, coding: str) -> None:
    status, headers, body = get(app, "/static/app.js", accept_encoding=coding)
    assert (status, headers.get("content-encoding"), headers["vary"], body) == (200, None, "Accept-Encoding", SCRIPT)


@pytest.mark.parametrize("name", ["picture.png", "data.zip", "short.js"])
def test_images_archives_and_small_files_stay_uncompressed(app: CompressedFiles, name: str) -> None:
    status, headers, body = get(app, f"/static/{name}")
    assert (status, headers.get("content-encoding")) == (200, None)
    assert body == SCRIPT[: len(body)]


def test_parts_and_errors_pass_unchanged(app: CompressedFiles) -> None:
    status, headers, body = get(app, "/static/app.js", range="bytes=0-9")
    assert (status, headers.get("content-encoding"), body) == (206, None, SCRIPT[:10])
    assert get(app, "/static/none.js")[0] == 404
    status, headers, body = get(app, "/static/app.js", "HEAD")
    assert (status, headers["content-length"], body) == (200, str(len(SCRIPT)), b"")
