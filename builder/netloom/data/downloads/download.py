"""Downloads a file from a web address to disk, with limits on everything that the server controls."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import time
from pathlib import Path
from urllib.parse import SplitResult, unquote, urljoin

from netloom.core.progress import ProgressCallback
from netloom.core.settings import settings
from netloom.core.text import plain
from netloom.data.downloads.address import FetchError, refuse_unless_allowed, resolve, split

MAX_REDIRECTS = 5
# Timeouts in seconds: for the next bytes, and for the whole download.
SILENCE_S, WHOLE_S = 30.0, 3_600.0
_CHUNK = 2**18
_MOVED = (301, 302, 303, 307, 308)


def download(
    address: str,
    folder: Path,
    progress: ProgressCallback,
    *,
    server: bool,
    private: bool = False,
    max_bytes: int | None = None,
) -> Path:
    """Download a file into `folder`. Calls `progress` with the progress. `private` allows addresses in the network of
    this machine.

    Raises:
        FetchError: it is not allowed, not possible, or too large; nothing remains in the folder.
    """
    refuse_unless_allowed(server=server)
    private = private or settings.allow_private_downloads
    limit = max_bytes if max_bytes is not None else most()
    until = time.monotonic() + WHOLE_S
    parts = split(address)
    for _ in range(MAX_REDIRECTS + 1):
        connection = _connected(parts, private)
        try:
            response = _request(connection, parts)
            if response.status not in _MOVED:
                return _save(response, parts, folder, progress, limit, until)
            parts = _next(parts, response)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(parts, error) from None
        finally:
            connection.close()
    raise FetchError(f"{_shown(parts)} redirects more than {MAX_REDIRECTS} times; use the URL of the file itself.")


def most() -> int:
    """Return the size limit of a download in bytes, which NETLOOM_DOWNLOAD_MB overrides."""
    return int(settings.download_mb * 2**20)


def _connected(parts: SplitResult, private: bool) -> http.client.HTTPConnection:
    """Connect to the IP address that was checked, because a second lookup of the name can return another one (DNS
    rebinding)."""
    host = str(parts.hostname)
    secure = parts.scheme.lower() == "https"
    port = parts.port or (443 if secure else 80)
    numbers = resolve(host, port, private=private)
    reached: socket.socket | None = None
    problem: OSError | None = None
    for _, number in numbers:
        try:
            reached = socket.create_connection((number, port), timeout=SILENCE_S)
            break
        except OSError as error:
            problem = error
    if reached is None:
        raise _broken(parts, problem or OSError("it has no address"))
    connection = http.client.HTTPConnection(host, port, timeout=SILENCE_S)
    try:
        if secure:
            reached = ssl.create_default_context().wrap_socket(reached, server_hostname=host)
    except OSError as error:
        reached.close()
        raise _broken(parts, error) from None
    connection.sock = reached
    return connection


def _request(connection: http.client.HTTPConnection, parts: SplitResult) -> http.client.HTTPResponse:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    try:
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
    except (http.client.InvalidURL, UnicodeError):
        raise FetchError(
            f"{_shown(parts)} has characters that are not valid in a URL; copy it from the browser."
        ) from None
    for name, value in (("Host", host), ("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", "Netloom")):
        connection.putheader(name, value)
    connection.endheaders()
    return connection.getresponse()


def _next(parts: SplitResult, response: http.client.HTTPResponse) -> SplitResult:
    """Return the target of a redirect."""
    location = response.getheader("Location")
    if not location:
        raise FetchError(f"{_shown(parts)} redirects, but does not say where to; use the URL of the file itself.")
    target = split(urljoin(parts.geturl(), location))
    if parts.scheme.lower() == "https" and target.scheme.lower() != "https":
        raise FetchError(f"{_shown(parts)} redirects from https to http, which is not encrypted, so it was refused.")
    return target


def _save(
    response: http.client.HTTPResponse,
    parts: SplitResult,
    folder: Path,
    progress: ProgressCallback,
    limit: int,
    until: float,
) -> Path:
    if response.status != 200:
        raise FetchError(f"{_shown(parts)} answers {response.status} {plain(response.reason)[:60]}; check the URL.")
    declared = response.getheader("Content-Length", "")
    declared_bytes = int(declared) if declared.isdecimal() and len(declared) < 19 else 0
    if declared_bytes > limit:
        raise _too_large(parts, limit)
    path = folder / _name(parts)
    count = 0
    try:
        with path.open("xb") as file:
            while part := response.read1(_CHUNK):
                if not count and part.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
                    raise FetchError(f"{_shown(parts)} is a web page; use the URL of the file itself.")
                count += len(part)
                if count > limit:
                    raise _too_large(parts, limit)
                if time.monotonic() > until:
                    raise FetchError(
                        f"{_shown(parts)} was not complete after {WHOLE_S / 60:g} minutes, so the download ended; "
                        "try again later."
                    )
                file.write(part)
                progress(
                    min(count / declared_bytes, 1.0) if declared_bytes else 0.0,
                    f"Downloading: {count / 2**20:,.0f} MiB",
                )
        if declared_bytes and count < declared_bytes:
            raise FetchError(
                f"The download of {_shown(parts)} ended after {count:,} of {declared_bytes:,} bytes; try again."
            )
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _name(parts: SplitResult) -> str:
    """Return the name for the file, without characters that could form a path."""
    url_name = unquote(parts.path.rstrip("/").rpartition("/")[2])
    letters = "".join(letter for letter in plain(url_name) if letter.isalnum() or letter in "._- ()")[-100:].lstrip(
        ". "
    )
    return letters or "data"


def _too_large(parts: SplitResult, limit: int) -> FetchError:
    return FetchError(
        f"{_shown(parts)} has more than {limit / 2**20:,.0f} MiB, the limit of a download; "
        "NETLOOM_DOWNLOAD_MB sets another limit."
    )


def _broken(parts: SplitResult, error: BaseException) -> FetchError:
    if isinstance(error, FetchError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return FetchError(f"{_shown(parts)} has no valid TLS certificate ({plain(error.verify_message)[:100]}).")
    if isinstance(error, TimeoutError):
        return FetchError(
            f"{_shown(parts)} does not answer; try again later, or download the file elsewhere and add it."
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return FetchError("The disk is full; free some space and try again.")
    why = plain(getattr(error, "strerror", None) or str(error) or type(error).__name__)[:100]
    return FetchError(f"{_shown(parts)} cannot be reached ({why}); is this machine connected to the network?")


def _shown(parts: SplitResult) -> str:
    return plain(f"{parts.scheme}://{parts.netloc}{parts.path}")[:150]
