"""The OpenAPI document of a server, from its routes and models. https://spec.openapis.org/oas/v3.1.0"""

from __future__ import annotations

import re
from typing import Any

from netloom.core.plain_json import JsonObject
from netloom.serving.route import routes
from netloom.serving.server_state import ServerState


def openapi(server: ServerState) -> JsonObject:
    """Return the document. The schemas of rows are those of the first model."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes().values():
        for place, path in enumerate(route.paths):
            operation: dict[str, Any] = {
                "operationId": route.name if not place else f"{route.name}_{place + 1}",
                "summary": route.summary,
                **route.operation(server),
            }
            names = re.findall(r"\{(\w+)\}", path)
            if names:
                operation["parameters"] = [_parameter(name, server) for name in names]
            if route.is_open:
                operation["security"] = []
            paths.setdefault(path, {})[route.method.lower()] = operation
    value: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": f"Netloom: {', '.join(server.deployments)}", "version": server.version},
        "paths": paths,
    }
    if server.settings.needs_key:
        value["components"] = {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}
        value["security"] = [{"key": []}]
    return value


def _parameter(name: str, server: ServerState) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if name == "name":
        schema["enum"] = list(server.deployments)
    return {"name": name, "in": "path", "required": True, "schema": schema}
