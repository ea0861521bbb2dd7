"""The server in this process: its application without a network, or at a port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from netloom.runs import TrainedRun
from netloom.serving.access_log import AccessLog
from netloom.serving.deployment import Deployment
from netloom.serving.gateway import Gateway
from netloom.serving.keys import KeyRing
from netloom.serving.models.served_model import ServedModel
from netloom.serving.server import bind, uvicorn_config
from netloom.serving.server_settings import ServerSettings
from netloom.serving.server_state import ServerState
from tests.serving.conftest import Reply

T = TypeVar("T")


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread of its own: tests in a browser leave a running event loop in the main thread."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


@contextmanager
def listening(state: ServerState) -> Iterator[int]:
    """Serve models at a free port by a thread of this process; the port."""
    with bind("127.0.0.1", 0, needs_key=False, keys=KeyRing(state.home)) as listener:
        server = uvicorn.Server(uvicorn_config(state, AccessLog(state.home / "access.jsonl")))
        thread = threading.Thread(target=run_apart, args=[server.serve([listener])])
        listener.listen()  # connections wait until the thread accepts them
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


class Application:
    """A server with one model in this process."""

    def __init__(
        self,
        home: Path,
        trained: TrainedRun,
        settings: ServerSettings | None = None,
        log: Path | None = None,
    ) -> None:
        self.settings = settings or ServerSettings(cache_bytes=0)
        self.state = ServerState(self.settings, home, "test", is_ready=True)
        self.model = ServedModel("model", trained, max_rows=self.settings.batches.max_rows)
        self.state.deployments["model"] = Deployment(self.model, self.settings.batches, self.state.metrics)
        self.gateway = Gateway(self.state, AccessLog(log or home / "access.jsonl"))

    async def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """Send a request as an ASGI server does."""
        sent: list[dict[str, Any]] = []
        given = {"host": "localhost", "content-type": "application/json", **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "client": ("127.0.0.1", 1),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given.items()],
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.gateway(scope, receive, send)
        names = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], names, sent[1]["body"])

    def post(self, path: str, body: bytes, **headers: str) -> Reply:
        """Send one request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return run_apart(self.ask("POST", path, body, named))
