"""Serve the network in this folder over HTTP: python serve.py [--host HOST] [--port PORT]

POST /predict takes a row as JSON, a list of rows, JSON lines or CSV, and answers like predict.py. GET / shows an
example, GET /v2/health/live and /v2/health/ready are health checks, and GET /metrics has counters for Prometheus. Rows
of requests that arrive at the same time are computed together. Needs the packages of requirements.txt.

A server that others can reach needs an API key in the environment variable API_KEY; requests send it in the header
Authorization: Bearer KEY, or X-API-Key. On SIGTERM, the server finishes the requests in progress and exits.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import socket
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
import uvicorn
from batching import Batcher  # type: ignore[import-not-found]
from connections import (  # type: ignore[import-not-found]
    Connections,
    allow_files,
    http_protocol,
    report_file_limit,
)
from encoding.cells import EncodeError  # type: ignore[import-not-found]
from errors import RequestError  # type: ignore[import-not-found]
from metrics import Metrics  # type: ignore[import-not-found]
from network import FILE  # type: ignore[import-not-found]
from predict import load, predict  # type: ignore[import-not-found]
from raw_rows import RowFile  # type: ignore[import-not-found]
from row_file import FileError, read_rows  # type: ignore[import-not-found]
from server_settings import LOOPBACK, BatchSettings, Limits  # type: ignore[import-not-found]
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

HERE = Path(__file__).resolve().parent
DRAIN_S, BACKLOG = 30, 2_048
JSON = "application/json"
# The name that a body would have as a file, from which its format is read
FILES = {JSON: "body.json", "": "body.json", "application/x-ndjson": "body.jsonl", "text/csv": "body.csv"}
INVALID = (
    EncodeError, FileError, ValueError, TypeError, OverflowError, KeyError, AttributeError, IndexError, RecursionError,
)  # fmt: skip
Row = dict[str, Any]


class Network:
    """The network of a folder; computes batches of rows in one thread.

    Args:
        is_exact: compute each row by itself, so that answers do not depend on the other rows of a batch.
    """

    def __init__(self, folder: Path, *, is_exact: bool = False) -> None:
        self.network, self.preprocess = load(folder)
        self.example: Row = json.loads((folder / "example.json").read_text(encoding="utf-8"))
        self.name = str(json.loads((folder / "project.json").read_text(encoding="utf-8")).get("name", "")) or "model"
        self.version = hashlib.sha256((folder / FILE).read_bytes()).hexdigest()[:8]
        self.is_exact = is_exact

    def predict(self, rows: Sequence[Row]) -> list[Any]:
        """Return for each row its answer, or the error that says why it has none."""
        try:
            if self.is_exact:
                answers = [answer for row in rows for answer in predict(self.network, self.preprocess, [row])]
            else:
                answers = predict(self.network, self.preprocess, list(rows))
        except INVALID as error:
            if len(rows) == 1:
                return [self._refusal(error)]
            return [outcome for row in rows for outcome in self.predict([row])]
        return [self._checked(answer) for answer in answers]

    def read(self, body: bytes, name: str) -> RowFile:
        """Return the rows of a body, whose format is that of a file with this name.

        Raises:
            RequestError: it cannot be read.
        """
        try:
            return read_rows(body, name, self.preprocess)
        except INVALID as error:
            raise self._refusal(error) from None

    def _checked(self, answer: Any) -> Any:
        try:
            json.dumps(answer, allow_nan=False)
        except ValueError:  # JSON has neither NaN nor infinity
            return RequestError("The prediction for this row is not a finite number.", 422)
        return answer

    def _refusal(self, error: Exception) -> RequestError:
        if isinstance(error, (EncodeError, FileError)):
            return RequestError(str(error))
        return RequestError("The body does not have the rows of this network; GET / shows an example.")


class RequestLog:
    """Rows with their predictions, as lines of JSON in a file that only its owner can read.

    Args:
        path: the file; lines are appended to it.
        max_bytes: the size at which the file is renamed to the same name with .1, which replaces an earlier one.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path, self.max_bytes = path, max_bytes
        self._append(b"")  # an error is seen at the start

    def write(self, rows: Sequence[Row], answers: Sequence[Any]) -> None:
        at = round(time.time(), 3)
        lines = (json.dumps({"at": at, "input": row, **answer}) for row, answer in zip(rows, answers, strict=True))
        if self.path.stat().st_size >= self.max_bytes:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        self._append("".join(f"{line}\n" for line in lines).encode())

    def _append(self, lines: bytes) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, lines)
        finally:
            os.close(file)


class Server:
    """The routes. Everything but the computation runs in the event loop.

    Args:
        key: the API key of all requests but health checks; "" for none.
        is_local: whether only this machine can reach the server, so that other host names are refused.
        log: where rows and predictions are logged; None for nowhere.
    """

    def __init__(
        self,
        network: Network,
        batches: BatchSettings,
        limits: Limits,
        key: str,
        *,
        is_local: bool,
        log: RequestLog | None = None,
    ) -> None:
        self.log = log
        self.network, self.limits, self.key, self.is_local = network, limits, key, is_local
        self.metrics = Metrics()
        self.batcher = Batcher(network, batches, self.metrics)
        self.connections = Connections(limits)
        self._application = self._routes()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with self.connections.request(scope):
            await self._application(scope, receive, send)

    def _routes(self) -> Starlette:
        routes = [
            ("/", "GET", self.about),
            ("/predict", "POST", self.predict),
            ("/metrics", "GET", self.measurements),
            ("/v2/health/live", "GET", self.health),
            ("/v2/health/ready", "GET", self.health),
        ]
        return Starlette(routes=[Route(path, self._guarded(path, answer), methods=[m]) for path, m, answer in routes])

    async def about(self, request: Request) -> Response:
        names = {"model": self.network.name, "version": self.network.version}
        return _json({**names, "example": self.network.example, "predict": "POST /predict"})

    async def health(self, request: Request) -> Response:
        return _json({"status": "ok"})

    async def measurements(self, request: Request) -> Response:
        gauges = {"netloom_queued_rows": ("Rows that wait.", lambda: self.batcher.queued_rows)}
        return Response(self.metrics.text(gauges), media_type="text/plain; version=0.0.4")

    async def predict(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in FILES:
            raise RequestError(f"Send {', '.join(filter(None, FILES))}; received {kind[:60]!r}.", 415)
        body = await self._body(request)
        # Large files take a while to read
        file = await asyncio.to_thread(self.network.read, body, FILES[kind])
        rows = file.rows
        if len(rows) > self.limits.rows:
            raise RequestError(f"A request has at most {self.limits.rows:,} rows, received {len(rows):,}.", 413)
        try:
            async with asyncio.timeout(self.limits.answer_s):
                outcomes = await self.batcher.predict(rows)
        except TimeoutError:
            raise RequestError("The answer took too long; send fewer rows.", 503, self.limits.answer_s) from None
        for number, outcome in enumerate(outcomes, 1):
            if isinstance(outcome, RequestError):
                prefix = "" if file.is_single else f"Row {number}: "
                raise RequestError(f"{prefix}{outcome.message}", outcome.status)
        request.state.rows = len(rows)
        answers = file.annotated(outcomes)
        if self.log is not None:
            try:
                await asyncio.to_thread(self.log.write, rows, answers)
            except (OSError, ValueError, TypeError) as error:  # such as a full disk: the answer does not depend on it
                _print_line("not_logged", str(error))
        return _json(answers[0] if file.is_single else answers)

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.body_s):
                async for part in request.stream():
                    body += part
                    if len(body) > self.limits.body_bytes:
                        raise RequestError(f"A body has at most {self.limits.body_bytes:,} bytes.", 413)
        except TimeoutError:
            raise RequestError("The body did not arrive in time.", 408) from None
        return bytes(body)

    def _guarded(
        self, path: str, answer: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return a route that checks host and key, turns errors into answers, and writes a line of the log."""

        async def guarded(request: Request) -> Response:
            start = time.perf_counter()
            try:
                is_health = path.startswith("/v2/health")
                self._check(request, needs_key=not is_health)
                if not is_health:
                    self.connections.check_capacity()
                response = await answer(request)
            except RequestError as error:
                response = _json({"error": error.message}, error.status)
                if error.retry_after_s:
                    response.headers["retry-after"] = str(max(1, round(error.retry_after_s)))
            except ClientDisconnect:
                response = Response(status_code=499)
            except Exception:
                traceback.print_exc()
                response = _json({"error": "The server failed to answer; its log has the details."}, 500)
            rows, seconds = getattr(request.state, "rows", 0), time.perf_counter() - start
            self.metrics.observe_request(path, response.status_code, seconds, self.network.version, rows)
            line = {"time": round(time.time(), 3), "route": path, "status": response.status_code}
            print(json.dumps({**line, "ms": round(1000 * seconds, 2), "rows": rows}), flush=True)
            return response

        return guarded

    def _check(self, request: Request, *, needs_key: bool) -> None:
        """Raise an error for a request of another web page, or without the key."""
        try:
            host = urlsplit(f"//{request.headers.get('host', '')}").hostname
        except ValueError:
            host = None
        if self.is_local and host not in LOOPBACK:
            raise RequestError("This server answers requests to 127.0.0.1 only.", 403)
        if not self.key or not needs_key:
            return
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        sent = token.strip() if kind.lower() == "bearer" else request.headers.get("x-api-key", "")
        if not hmac.compare_digest(sent.encode(), self.key.encode()):
            raise RequestError("The request needs the API key: Authorization: Bearer KEY.", 401)


class QuietServer(uvicorn.Server):
    """Prints one line per minute, instead of thousands per second, while it may open no more files."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(report_file_limit(partial(_print_line, "error")))
        await super().startup(sockets)


def _print_line(name: str, text: str) -> None:
    """Print a line of the log, as JSON."""
    print(json.dumps({"time": round(time.time(), 3), name: text}), flush=True)


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type=JSON)  # in ASCII, since a text may have lone surrogates


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve the network in this folder over HTTP.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at; one that other machines can reach requires API_KEY"
    )
    parser.add_argument("--port", type=int, default=8800, help="port; 0 for any free one")
    parser.add_argument("--max-batch", type=int, default=64, help="largest number of rows in a batch")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch")
    parser.add_argument("--exact", action="store_true", help="compute each row by itself")
    parser.add_argument(
        "--log-requests", metavar="FILE", help="append the rows and predictions to a file as JSON lines"
    )
    parser.add_argument("--log-mib", type=int, default=256, help="size at which this file is replaced (default: 256)")
    return parser.parse_args()


def main() -> int:
    arguments, key = _arguments(), os.environ.get("API_KEY", "")
    is_local = arguments.host in LOOPBACK
    if not is_local and not key:
        print(
            f"Others can reach a server at {arguments.host}: set the environment variable API_KEY to a secret, such as "
            "the output of openssl rand -hex 32.",
            file=sys.stderr,
        )
        return 2
    torch.set_num_threads(arguments.threads)
    network = Network(HERE, is_exact=arguments.exact)
    batches = BatchSettings(max_rows=max(1, arguments.max_batch))
    log = None
    if arguments.log_requests:
        try:
            log = RequestLog(Path(arguments.log_requests), arguments.log_mib * 2**20)
        except OSError as error:
            print(f"Cannot write {arguments.log_requests}: {error.strerror}.", file=sys.stderr)
            return 2
    limits = Limits()
    allow_files(limits)
    server = Server(network, batches, limits, key, is_local=is_local, log=log)
    family = socket.AF_INET6 if ":" in arguments.host else socket.AF_INET
    # Only with the protocol, asyncio sets TCP_NODELAY; without that, each answer waits 40 ms for an acknowledgment
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((arguments.host, arguments.port))
            listener.listen(BACKLOG)  # from here on, clients can connect, and wait until the server is ready
        except OSError as error:
            print(f"Cannot listen at {arguments.host}:{arguments.port}: {error.strerror}.", file=sys.stderr)
            return 2
        address = f"http://{arguments.host}:{listener.getsockname()[1]}"
        print(json.dumps({"serving": network.name, "version": network.version, "address": address}), flush=True)
        config = uvicorn.Config(
            server, http=http_protocol(server.connections), log_config=None, access_log=False, lifespan="off",
            ws="none", server_header=False, date_header=False,
            timeout_keep_alive=int(limits.request_s), timeout_graceful_shutdown=DRAIN_S, backlog=BACKLOG,
        )  # fmt: skip
        QuietServer(config).run([listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
