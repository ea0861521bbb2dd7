"""The base class of routes. Every subclass in `routes/` registers itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from starlette.routing import compile_path

from netloom.core.registry import discover
from netloom.modalities.row_field import JsonSchema
from netloom.serving.errors import RequestError
from netloom.serving.http import JSON, Call, Reply
from netloom.serving.models.served_model import ServedModel
from netloom.serving.schemas import operation
from netloom.serving.server_state import ServerState


class ServerRoute(ABC):
    """A route of the server.

    Args:
        name: the name in the log, in metrics and in the OpenAPI document.
        paths: the paths, with parts such as `{name}`.
        method: the HTTP method.
        summary: what it does, as a sentence without a period.
        order: the position in lists.
        is_open: whether it needs no API key, such as a health check.
        media_type: that of its answer.
    """

    name: ClassVar[str]
    paths: ClassVar[tuple[str, ...]]
    method: ClassVar[str] = "POST"
    summary: ClassVar[str]
    order: ClassVar[int]
    is_open: ClassVar[bool] = False
    media_type: ClassVar[str] = JSON

    @abstractmethod
    async def answer(self, server: ServerState, call: Call) -> Reply:
        """Return the reply to a request.

        Raises:
            RequestError: the request cannot be answered.
        """

    def operation(self, model: ServedModel) -> JsonSchema:
        """Return the request body and the responses for the OpenAPI document at the path of a model."""
        return operation(None, {self.media_type: {}})


class RouteTable:
    """Finds the route of a path."""

    def __init__(self) -> None:
        self._static: dict[str, dict[str, ServerRoute]] = {}
        self._patterns: list[tuple[Any, ServerRoute]] = []
        for route in routes().values():
            for path in route.paths:
                if "{" in path:
                    self._patterns.append((compile_path(path)[0], route))
                else:
                    self._static.setdefault(path, {})[route.method] = route

    def find(self, method: str, path: str) -> tuple[ServerRoute, Mapping[str, str]]:
        """Return the route, and the parts of the path.

        Raises:
            RequestError: there is no such path, or it has another method.
        """
        methods = self._static.get(path, {})
        if method in methods:
            return methods[method], {}
        allowed = set(methods)
        for pattern, route in self._patterns:
            match = pattern.match(path)
            if match and route.method == method:
                return route, match.groupdict()
            if match:
                allowed.add(route.method)
        if allowed:
            raise RequestError(f"The path {path[:100]!r} takes {' or '.join(sorted(allowed))}, received {method}.", 405)
        raise RequestError(f"There is no path {path[:100]!r}; /docs lists all.", 404)


@cache
def routes() -> dict[str, ServerRoute]:
    """Return all routes by name, in the order of lists."""
    kinds = discover(ServerRoute, "netloom.serving.routes", order=lambda kind: kind.order)
    return {name: kind() for name, kind in kinds.items()}
