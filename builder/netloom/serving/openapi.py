"""The OpenAPI document of a server, from its routes and models. https://spec.openapis.org/oas/v3.1.0"""

from __future__ import annotations

import re
from typing import Any

from netloom.core.plain_json import JsonObject
from netloom.serving.route import routes
from netloom.serving.server_state import ServerState

_MODEL = "{name}"  # the part of a path that names a model


def openapi(server: ServerState) -> JsonObject:
    """Return the document. A path that names a model is one path for each model, with the schemas of its rows; other
    paths belong to the first model."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes().values():
        for index, path in enumerate(route.paths):
            number = f"_{index + 1}" if index else ""
            for name, deployment in server.deployments.items() if _MODEL in path else [("", server.default)]:
                operation: dict[str, Any] = {
                    "operationId": f"{route.name}{number}{f'_{name}' if name else ''}",
                    "summary": route.summary,
                    **route.operation(deployment.current.model),
                }
                full_path = path.replace(_MODEL, name)
                if parameters := [_parameter(part) for part in re.findall(r"\{(\w+)\}", full_path)]:
                    operation["parameters"] = parameters
                if route.is_open:
                    operation["security"] = []
                paths.setdefault(full_path, {})[route.method.lower()] = operation
    value: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": f"Netloom: {', '.join(server.deployments)}", "version": server.version},
        "paths": paths,
    }
    if server.settings.needs_key:
        value["components"] = {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}
        value["security"] = [{"key": []}]
    return value


def _parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
