"""The versions of models: list, reload, roll back, canary, shadow, and their comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netloom.core.errors import DataError, UsageError
from netloom.modalities.row_field import JsonSchema
from netloom.serving.deployment import Deployment
from netloom.serving.errors import RequestError
from netloom.serving.http import Call, Reply, json_reply
from netloom.serving.models.served_model import ServedModel
from netloom.serving.route import ServerRoute
from netloom.serving.schemas import json_content, object_content, operation
from netloom.serving.server_state import ServerState
from netloom.training.weights.weight_files import CheckpointError

_RUN = {"type": ["string", "null"], "description": "The id of a run, or its beginning; null ends it"}


class Models(ServerRoute):
    name, paths, method = "models", ("/models",), "GET"
    summary, order = "List the models with their versions", 60

    async def answer(self, server: ServerState, call: Call) -> Reply:
        return json_reply([describe(deployment) for deployment in server.deployments.values()])


class Comparison(ServerRoute):
    """The counts of the current version, the canary and the shadow, with confidence intervals."""

    name, paths, method = "comparison", ("/comparison", "/models/{name}/comparison"), "GET"
    summary, order = "Compare the current version with the canary and the shadow", 61

    async def answer(self, server: ServerState, call: Call) -> Reply:
        return json_reply(server.deployment(call).comparison())


class Reload(ServerRoute):
    """Takes `{"run": RUN}`; without a body, the current run is loaded again, with its newest weights."""

    name, paths = "reload", ("/reload", "/models/{name}/reload")
    summary, order = "Load another run, or newer weights, and let it answer", 62

    async def answer(self, server: ServerState, call: Call) -> Reply:
        deployment = server.deployment(call)
        current = deployment.current.model
        run, file = (_run(call), None) if call.body else (current.run_id, current.backend.file)
        if run is None:
            raise RequestError("Leave out the body to load the current run again, or give the id of a run as run.")
        deployment.replace(await _load(server, deployment, run, file))
        return json_reply(describe(deployment))

    def operation(self, model: ServedModel) -> JsonSchema:
        body = object_content(run={"type": "string", "description": "The id of a run, or its beginning"})
        return operation(body, json_content({"type": "object"}), needs_body=False)


class Rollback(ServerRoute):
    name, paths = "rollback", ("/rollback", "/models/{name}/rollback")
    summary, order = "Return to the version before the last reload", 63

    async def answer(self, server: ServerState, call: Call) -> Reply:
        deployment = server.deployment(call)
        deployment.rollback()
        return json_reply(describe(deployment))


class Canary(ServerRoute):
    """Takes `{"run": RUN, "percent": 10}`, or `{"run": null}` to end it."""

    name, paths = "canary", ("/canary", "/models/{name}/canary")
    summary, order = "Let another run answer a share of the requests", 64

    async def answer(self, server: ServerState, call: Call) -> Reply:
        deployment, run = server.deployment(call), _run(call, "percent")
        percent = call.json_object().get("percent", 10) if run else 0
        if isinstance(percent, bool) or not isinstance(percent, (int, float)) or not 0 <= percent <= 100:
            raise RequestError("The key percent must be a number from 0 to 100.")
        deployment.set_canary(await _load(server, deployment, run) if run else None, percent / 100)
        return json_reply(describe(deployment))

    def operation(self, model: ServedModel) -> JsonSchema:
        percent = {"type": "number", "minimum": 0, "maximum": 100, "default": 10}
        return operation(object_content(run=_RUN, percent=percent), json_content({"type": "object"}))


class Shadow(ServerRoute):
    """Takes `{"run": RUN}`, or `{"run": null}` to end it."""

    name, paths = "shadow", ("/shadow", "/models/{name}/shadow")
    summary, order = "Let another run compute the requests without answering them", 65

    async def answer(self, server: ServerState, call: Call) -> Reply:
        deployment, run = server.deployment(call), _run(call)
        deployment.set_shadow(await _load(server, deployment, run) if run else None)
        return json_reply(describe(deployment))

    def operation(self, model: ServedModel) -> JsonSchema:
        return operation(object_content(run=_RUN), json_content({"type": "object"}))


class Outcome(ServerRoute):
    """Takes `{"request_id": ID, "value": 1}`: whether a prediction was right, or how much it earned."""

    name, paths = "outcome", ("/outcome", "/models/{name}/outcome")
    summary, order = "Report how good an earlier answer was, for the comparison with the canary", 66

    async def answer(self, server: ServerState, call: Call) -> Reply:
        body = call.json_object("request_id", "value")
        request_id, value = body.get("request_id"), body.get("value")
        if not isinstance(request_id, str):
            raise RequestError("The key request_id must be the header X-Request-Id of an earlier answer.")
        if not isinstance(value, (bool, int, float)) or not math.isfinite(value) or abs(value) > 1e12:
            raise RequestError("The key value must be a number, such as 1 for a right and 0 for a wrong prediction.")
        return json_reply({"version": server.deployment(call).report_outcome(request_id, float(value))})

    def operation(self, model: ServedModel) -> JsonSchema:
        body = object_content(request_id={"type": "string"}, value={"type": ["number", "boolean"]})
        return operation(body, object_content(version={"type": "string"}))


def describe(deployment: Deployment) -> dict[str, Any]:
    """Return a model with its versions as plain JSON."""

    def version(served: Any) -> dict[str, Any] | None:
        if served is None:
            return None
        model: ServedModel = served.model
        return {
            "version": model.version,
            "run": model.run_id,
            "task": model.trained.project.training.objective,
            "is_exact": model.is_exact,
            "batch_difference": model.difference,
            "backend": model.backend.as_json(),
        }

    return {
        "name": deployment.name,
        "current": version(deployment.current),
        "previous": version(deployment.previous),
        "canary": version(deployment.canary),
        "canary_percent": 100 * deployment.canary_share,
        "shadow": version(deployment.shadow),
    }


def _run(call: Call, *further_keys: str) -> str | None:
    """Return the key run of the body, which can have further keys.

    Raises:
        RequestError: there is none, or an unknown key.
    """
    body = call.json_object("run", *further_keys)
    run = body.get("run", 0)  # a forgotten key must not be read as null
    if run is not None and not isinstance(run, str):
        raise RequestError(
            'The body needs the key run with the id of a run, or its beginning, such as {"run": "1a2b"}.'
        )
    return run


async def _load(server: ServerState, deployment: Deployment, run: str, file: Path | None = None) -> ServedModel:
    """Load a run that can take the place of the current one.

    Raises:
        RequestError: it does not exist, or reads other fields.
    """
    try:
        model = await server.load(deployment.name, run, file)
    except (UsageError, DataError, CheckpointError, FileNotFoundError) as error:
        raise RequestError(f"The run {run[:60]!r} cannot be loaded: {error}") from None
    check_replaceable(deployment.current.model, model)
    return model


def check_replaceable(current: ServedModel, replacement: ServedModel) -> None:
    """Check that the clients of one model can use another one.

    Raises:
        RequestError: its fields have other names or shapes, or its answers other names or classes.
    """
    values: dict[str, list[dict[str, tuple[Any, ...]]]] = {
        "reads": [{field.name: field.shape for field in model.fields} for model in (current, replacement)],
        "answers": [{part.name: part.labels for part in model.parts} for model in (current, replacement)],
    }
    for verb, (before, after) in values.items():
        if before != after:
            raise RequestError(
                f"The run {replacement.run_id[:8]} {verb} other values than {current.name!r}, as clients expect them: "
                f"{_differences(before, after)}. Serve it under another name.",
                409,
            )


def _differences(before: Mapping[str, tuple[Any, ...]], after: Mapping[str, tuple[Any, ...]]) -> str:
    """Return the differences of fields or parts of answers, by name with their shape or labels."""
    words = [
        f"{word} {', '.join(map(repr, names[:10]))}{f' and {len(names) - 10} more' if len(names) > 10 else ''}"
        for word, names in (
            ("without", [name for name in before if name not in after]),
            ("with", [name for name in after if name not in before]),
        )
        if names
    ]
    changed = [
        f"{name!r} is {str(after[name])[:200]} instead of {str(value)[:200]}"
        for name, value in before.items()
        if after.get(name, value) != value
    ]
    return "; ".join([*words, *changed[:3]])
