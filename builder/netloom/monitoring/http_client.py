"""Requests to a user-supplied address: HTTP and HTTPS only, with a time limit, and without redirections."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from netloom.core.text import plain

_MAX_ANSWER = 4 * 2**20


@dataclass(frozen=True)
class Answer:
    """The answer to a request: its status, 0 without one; its JSON, or None; and why the request failed, or ""."""

    status: int
    value: Any = None
    problem: str = ""


def is_http_address(url: str) -> bool:
    """Return whether a text is an address with http or https and a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def ask(url: str, body: Any = None, *, headers: Mapping[str, str] | None = None, timeout_s: float = 5.0) -> Answer:
    """Send JSON with POST, or GET without a body. A status of 300 and more is a problem."""
    sent = None if body is None else json.dumps(body).encode()
    every = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, sent, every, method="GET" if body is None else "POST")
    try:
        with _opener().open(request, timeout=timeout_s) as answer:
            return Answer(int(answer.status), _json(answer.read(_MAX_ANSWER)))
    except urllib.error.HTTPError as error:
        with error:
            value = _json(error.read(_MAX_ANSWER))
        detail = f": {value['error']}" if isinstance(value, dict) and "error" in value else ""
        return Answer(error.code, value, f"it answered with the status {error.code}{detail}")
    except (OSError, HTTPException, ValueError) as error:
        return Answer(0, None, _failure(error, timeout_s))


def _failure(error: Exception, timeout_s: float) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"it did not answer within {timeout_s:g} s"
    why = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return f"it cannot be reached ({plain(why)[:200]})"


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for HTTP alone: redirections, which could lead to files or other hosts, are errors."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
