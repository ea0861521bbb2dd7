"""Runs the server: binds, serves, and stops after the last answer."""

from __future__ import annotations

import asyncio
import math
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import uvicorn

from netloom.core import log
from netloom.core.errors import UsageError
from netloom.serving.access_log import AccessLog
from netloom.serving.connections import allow_files, http_protocol, report_file_limit
from netloom.serving.errors import RequestError
from netloom.serving.gateway import Gateway
from netloom.serving.keys import KeyRing
from netloom.serving.routes.models import check_replaceable
from netloom.serving.server_state import ServerState

_EXPIRE_EVERY_S = 600.0


def bind(host: str, port: int, *, needs_key: bool, keys: KeyRing) -> socket.socket:
    """Return a socket that listens; port 0 is any free one.

    Raises:
        UsageError: the port is taken, or others could reach the server, and there is no key.
    """
    if needs_key and not any(key.is_valid for key in keys.entries()):
        raise UsageError(
            f"Others can reach a server at {host}, so that it needs an API key; create one with netloom serve keys add "
            "NAME, or bind to 127.0.0.1."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only with the protocol, asyncio sets TCP_NODELAY; without that, each answer waits 40 ms for an acknowledgment
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"The server cannot listen at {host}:{port}: {error.strerror}; choose another --port."
        ) from None
    listener.set_inheritable(True)
    return listener


def run(server: ServerState, listener: socket.socket, access_log: AccessLog, on_start: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or SIGINT, then finish those that have begun. SIGHUP reloads the weights of all
    models. `on_start` is called when the server is ready."""
    allow_files(server.settings.limits)
    config = uvicorn_config(server, access_log)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:  # uvloop, if it is installed
        runner.run(_serve(_Server(config, server, on_start), server, listener))


def uvicorn_config(server: ServerState, access_log: AccessLog) -> uvicorn.Config:
    """Return the settings with which uvicorn serves the models."""
    limits = server.settings.limits
    return uvicorn.Config(
        Gateway(server, access_log),
        http=http_protocol(server.connections),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,
        ws="none",
        backlog=2048,
        timeout_keep_alive=math.ceil(limits.request_s),
        timeout_graceful_shutdown=int(server.settings.drain_s),
    )


class _Server(uvicorn.Server):
    """Tells health checks that it stops."""

    def __init__(self, config: uvicorn.Config, state: ServerState, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._state, self._on_start = state, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._state.is_ready = True
        self._on_start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT. Unlike uvicorn, do not raise them again afterwards: a server that has finished
        its requests ends with the exit code 0."""
        loop, signals = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
        try:
            for number in signals:
                loop.add_signal_handler(number, self.handle_exit, number, None)
        except NotImplementedError:  # Windows
            with super().capture_signals():
                yield
            return
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: FrameType | None = None) -> None:
        self._state.is_ready = False
        super().handle_exit(sig, frame)


async def _serve(uvicorn_server: _Server, server: ServerState, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[Any]] = set()

    def reload() -> None:
        task = loop.create_task(_reload_all(server))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def log_error(error: str) -> None:
        log.write_if_possible(server.home / log.ERRORS, "server", error=error)

    loop.set_exception_handler(report_file_limit(log_error))
    with suppress(NotImplementedError, AttributeError):  # Windows has no SIGHUP
        loop.add_signal_handler(signal.SIGHUP, reload)
    expiry = loop.create_task(_expire_logs(server))
    await uvicorn_server.serve([listener])
    expiry.cancel()
    for deployment in server.deployments.values():
        await deployment.finish()


async def _expire_logs(server: ServerState) -> None:
    """Delete old lines of the request logs now and then, also while no request comes."""
    while True:
        await asyncio.sleep(_EXPIRE_EVERY_S)
        for request_log in server.request_logs.values():
            try:
                await asyncio.to_thread(request_log.expire)
            except OSError as error:
                log.write_if_possible(server.home / log.ERRORS, "server", error=str(error))


async def _reload_all(server: ServerState) -> None:
    """Load the newest weights of each model; one that cannot be loaded is logged, and stays as it is."""
    for deployment in server.deployments.values():
        try:
            current = deployment.current.model
            model = await server.load(deployment.name, current.run_id, current.backend.file)
            check_replaceable(current, model)
            deployment.replace(model)
        except (ValueError, OSError, RequestError) as error:
            log.write_if_possible(server.home / log.ERRORS, "server", model=deployment.name, error=str(error))
