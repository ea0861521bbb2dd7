"""Downloads from a real local server, and what the downloader rejects."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

from netloom.data.downloads import FetchError, allowed, download, fetch_dataset, fetch_model, remote_source
from netloom.data.downloads.address import public, resolve
from netloom.data.downloads.hub import class_folders, fetch_error
from tests.cli.conftest import Console
from tests.cli.conftest import console as console

TABLE = b"height,width,kind\n" + b"".join(b"%d,%d,%s\n" % (i, i * 7 % 5, b"ab"[i % 2 : i % 2 + 1]) for i in range(60))


class Handler(BaseHTTPRequestHandler):
    """Answers by path; `seen` holds the requested paths and headers."""

    seen: list[tuple[str, dict[str, str]]] = []  # noqa: RUF012
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.seen.append((self.path, dict(self.headers)))
        name = self.path.partition("?")[0].removeprefix("/")
        getattr(self, f"_{name.partition('.')[0].partition('/')[0]}", self._missing)()

    def log_message(self, *_: object) -> None:
        return

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _table(self) -> None:
        self._send(200, TABLE)

    def _chunked(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(TABLE), 100):
            part = TABLE[start : start + 100]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def _short(self) -> None:
        self._send(200, TABLE, Content_Length=str(len(TABLE) + 50))
        self.close_connection = True

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for _ in range(1_000):
                self.wfile.write(b"x" * 65_536)
        except OSError:
            self.close_connection = True

    def _moved(self) -> None:
        self._send(302, Location="/table.csv")

    def _round(self) -> None:
        self._send(302, Location="/round")

    def _away(self) -> None:
        self._send(302, Location="file:///etc/passwd")

    def _inside(self) -> None:
        self._send(302, Location="http://169.254.169.254/latest/meta-data")

    def _page(self) -> None:
        self._send(200, b"<!doctype html><html><body>Sign in</body></html>")

    def _missing(self) -> None:
        self._send(404)


@pytest.fixture
def server() -> Iterator[str]:
    Handler.seen.clear()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def downloaded(address: str, folder: Path, **options: int) -> Path:
    return download(address, folder, lambda share, message: None, server=False, private=True, **options)


@pytest.mark.parametrize("path", ["table.csv", "table.csv?of=2020&x=%2F..", "chunked", "moved"])
def test_download_matches_the_served_file(server: str, tmp_path: Path, path: str) -> None:
    shares: list[float] = []
    downloaded_path = download(
        f"{server}/{path}", tmp_path, lambda share, message: shares.append(share), server=False, private=True
    )
    assert downloaded_path.read_bytes() == TABLE
    assert downloaded_path.parent == tmp_path
    assert shares
    assert shares[-1] == (0.0 if path == "chunked" else 1.0)  # a chunked response has no total size


def test_downloaded_table_is_added_as_a_dataset(server: str, console: Console) -> None:
    value = console("data", "add", f"{server}/table.csv", "--allow-private", "--json").value
    assert (value["title"], value["rows"], value["task"]) == ("table", 60, "classification")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing", "answers 404"),
        ("short", "ended after"),
        ("endless", "has more than"),
        ("round", "redirects more than"),
        ("away", "only http:// and https://"),
        ("page", "is a web page"),
    ],
)
def test_failed_download_is_reported_and_leaves_no_file(server: str, tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(FetchError, match=message):
        downloaded(f"{server}/{path}", tmp_path, max_bytes=1_000_000)
    assert not list(tmp_path.iterdir())


def test_oversized_content_length_is_rejected(server: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="NETLOOM_DOWNLOAD_MB"):
        downloaded(f"{server}/table.csv", tmp_path, max_bytes=100)


def test_private_addresses_are_never_contacted(server: str, tmp_path: Path) -> None:
    port = server.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"):
        with pytest.raises(FetchError, match=r"private network|cannot be found|no address"):
            download(f"http://{host}:{port}/table.csv", tmp_path, lambda share, message: None, server=False)
    assert Handler.seen == []


def test_redirect_to_a_private_address_is_rejected(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 127.0.0.1 counts as a public address here; the redirect target does not.
    original = public
    monkeypatch.setattr(
        "netloom.data.downloads.address.public", lambda number: number == "127.0.0.1" or original(number)
    )
    with pytest.raises(FetchError, match=r"169\.254\.169\.254"):
        download(f"{server}/inside", tmp_path, lambda share, message: None, server=False)
    assert [path for path, _ in Handler.seen] == ["/inside"]


@pytest.mark.parametrize(
    ("number", "open_to_all"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_public_ip_addresses_are_recognized(number: str, open_to_all: bool) -> None:
    assert public(number) is open_to_all


def test_every_resolved_address_must_be_public(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, 80)) for number in ("8.8.8.8", "10.0.0.5")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: records)
    with pytest.raises(FetchError, match=r"10\.0\.0\.5"):
        resolve("two.example", 80, private=False)
    assert ipaddress.ip_address(resolve("two.example", 80, private=True)[1][1])


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://example.org/a", "http://", "http://a:b@example.org/x", "http://x:99999/"]
)
def test_invalid_url_is_rejected(address: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError):
        downloaded(address, tmp_path)


def test_unresolvable_host_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="Check the URL and the network connection"):
        downloaded("https://nobody.invalid/table.csv", tmp_path)


def test_unreachable_port_is_reported(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(FetchError, match="cannot be reached"):
            downloaded(f"http://127.0.0.1:{unused.getsockname()[1]}/a", tmp_path)


def test_servers_download_only_when_allowed(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (allowed(server=True), allowed(server=False)) == (False, True)
    for fetch in (fetch_dataset, fetch_model, download):
        with pytest.raises(FetchError, match="NETLOOM_ALLOW_DOWNLOADS=1"):
            fetch("https://example.org", tmp_path, lambda share, message: None, server=True)
    monkeypatch.setenv("NETLOOM_ALLOW_DOWNLOADS", "1")
    downloaded_path = download(f"{server}/table.csv", tmp_path, lambda share, message: None, server=True, private=True)
    assert downloaded_path.read_bytes() == TABLE
    monkeypatch.setenv("NETLOOM_ALLOW_DOWNLOADS", "0")
    assert not allowed(server=False)


def test_remote_sources_are_recognized() -> None:
    kinds = {
        text: remote_source(text) for text in ("a.csv", "hf:a/b", "https://x/y", "C:\\a.csv", "./hf:x", "file:///a")
    }
    recognized = {text: source.kind for text, source in kinds.items() if source}
    assert recognized == {"hf:a/b": "hub", "https://x/y": "address", "file:///a": "address"}


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b/c", "a/b:c:d", "a/..", "http://x"])
def test_invalid_hub_name_is_rejected(name: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="not a name of the Hub"):
        fetch_dataset(name, tmp_path, lambda share, message: None, server=False)


def test_hub_errors_are_rephrased_for_users() -> None:
    message = str(fetch_error("a/b", ConnectionError("Couldn't reach 'a/b' on the Hub (LocalEntryNotFoundError)")))
    assert message.startswith("The Hugging Face Hub cannot be reached, so a/b was not downloaded. Check the network")
    assert "Error" not in message
    assert "did not return a/b (it is gated)." in str(fetch_error("a/b", ValueError("it is gated.")))


def test_each_class_of_the_hub_has_a_folder_of_its_own() -> None:
    names = ["C_ 2", "C+", "C#", "c_", "../..", "unlabeled", "spam/ad"]
    assert class_folders(names) == ["C_ 2", "C_", "C_ 3", "c_ 4", "_", "unlabeled 2", "spam_ad"]


@pytest.mark.skipif(find_spec("datasets") is None, reason="needs the extra hub")
def test_hub_dataset_is_stored_as_files(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = """
import io, sys
from pathlib import Path
import datasets
from PIL import Image
from netloom.data import add_file
from netloom.data.downloads.hub import class_folders, keep
home = Path(sys.argv[1])
silent = lambda share, what: None
names = datasets.ClassLabel(names=["ham", "spam/ad"])
kinds = datasets.Features({"text": datasets.Value("string"), "label": names})
rows = {"text": [f"word {i % 7} and {i}" for i in range(40)], "label": [i % 2 for i in range(40)]}
found = keep(datasets.Dataset.from_dict(rows, features=kinds), home, silent)
info = add_file(found, found.name, home, target="label")
print(info.rows, info.task)
def png(level):
    stream = io.BytesIO()
    Image.new("L", (9, 9), level).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}
kinds = datasets.Features({"image": datasets.Image(), "label": names})
rows = {"image": [png(i * 5) for i in range(44)], "label": [i % 2 for i in range(40)] + [-1] * 4}
found = keep(datasets.Dataset.from_dict(rows, features=kinds), home, silent)
print(sorted(path.name for path in found.iterdir()), len(list(found.glob("*/*"))))
info = add_file(found, found.name, home)
print(info.rows, info.kind, info.task)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.splitlines() == [
        "40 classification",
        "['ham', 'spam_ad', 'unlabeled'] 44",
        "40 image classification",
    ], done.stderr
