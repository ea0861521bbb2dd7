"""The Open Inference Protocol v2, which Triton, MLServer, KServe and their clients speak.

https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from netloom.modalities.row_field import JsonSchema
from netloom.serving.errors import RequestError
from netloom.serving.http import Call, Reply, json_reply, read_json
from netloom.serving.models.row_parser import read_records
from netloom.serving.models.served_model import ServedModel
from netloom.serving.models.tensors import rows_of_tensors, tensors_of_answers
from netloom.serving.route import ServerRoute
from netloom.serving.schemas import json_content, operation
from netloom.serving.server_state import ServerState

_JSON_SIZE = "inference-header-content-length"
_MODEL = "/v2/models/{name}"
_VERSION = "/v2/models/{name}/versions/{version}"


class ServerMetadata(ServerRoute):
    name, paths, method = "v2", ("/v2",), "GET"
    summary, order = "Describe the server", 40

    async def answer(self, server: ServerState, call: Call) -> Reply:
        return json_reply({"name": "netloom", "version": server.version, "extensions": ["binary_tensor_data"]})


class Live(ServerRoute):
    name, paths, method = "live", ("/v2/health/live",), "GET"
    summary, order, is_open = "Whether the server runs", 41, True

    async def answer(self, server: ServerState, call: Call) -> Reply:
        return json_reply({"live": True})


class Ready(ServerRoute):
    name, paths, method = "ready", ("/v2/health/ready",), "GET"
    summary, order, is_open = "Whether the server takes requests; false while it stops", 42, True

    async def answer(self, server: ServerState, call: Call) -> Reply:
        return json_reply({"ready": server.is_ready}, 200 if server.is_ready else 503)


class ModelReady(ServerRoute):
    name, paths, method = "model_ready", (f"{_MODEL}/ready", f"{_VERSION}/ready"), "GET"
    summary, order = "Whether a model takes requests", 43

    async def answer(self, server: ServerState, call: Call) -> Reply:
        deployment = server.deployment(call)
        deployment.choose(call.params.get("version", ""))
        return json_reply({"name": deployment.name, "ready": server.is_ready}, 200 if server.is_ready else 503)


class ModelMetadata(ServerRoute):
    name, paths, method = "model", (_MODEL, _VERSION), "GET"
    summary, order = "Describe the tensors of a model", 44

    async def answer(self, server: ServerState, call: Call) -> Reply:
        deployment = server.deployment(call)
        model = (
            deployment.choose(call.params["version"]).model if "version" in call.params else deployment.current.model
        )
        versions = [served.model.version for served in deployment.versions]
        platform = model.backend.platform
        return json_reply({"name": model.name, "versions": versions, "platform": platform, **_tensors(model)})


class Infer(ServerRoute):
    """Takes a tensor for each field of a raw row, with the rows along the first dimension."""

    name, paths = "infer", (f"{_MODEL}/infer", f"{_VERSION}/infer")
    summary, order = "Predict tensors with the Open Inference Protocol", 20

    async def answer(self, server: ServerState, call: Call) -> Reply:
        deployment, served = server.choose(call)
        body, binary = _parts(call)
        rows = rows_of_tensors(body.get("inputs"), binary, served.model, server.settings.limits.rows)
        file = await read_records(call, rows, served.model)
        answers = await server.predict(call, deployment, served, file)
        outputs, blobs = tensors_of_answers(answers, served.model.all_parts, body.get("outputs"))
        value: dict[str, Any] = {"model_name": served.model.name, "model_version": served.model.version}
        value |= {"id": body["id"]} if isinstance(body.get("id"), str) else {}
        value["outputs"] = outputs
        if not blobs:
            return json_reply(value)
        head = to_json(value, inf_nan_mode="null")
        headers = ((_JSON_SIZE, str(len(head))),)
        return Reply(b"".join((head, *blobs)), content_type="application/octet-stream", headers=headers)

    def operation(self, model: ServedModel) -> JsonSchema:
        tensors = _tensors(model)
        tensor = {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "shape": {"type": "array", "items": {"type": "integer"}},
                "datatype": {"type": "string"},
                "data": {"type": "array"},
            },
            "required": ["name", "shape", "datatype"],
        }
        request = {
            "type": "object",
            "properties": {"inputs": {"type": "array", "items": tensor}},
            "required": ["inputs"],
        }
        names = {"inputs": [entry["name"] for entry in tensors["inputs"]]}
        answer = {"type": "object", "properties": {"outputs": {"type": "array", "items": tensor}}}
        return {**operation(json_content(request), json_content(answer)), "x-tensors": {**tensors, **names}}


def _parts(call: Call) -> tuple[dict[str, Any], bytes]:
    """Return the JSON of a request, and the binary data behind it."""
    size = call.headers.get(_JSON_SIZE)
    if size is None:
        return call.json_object(allow_nan=True), b""
    if not size.isdecimal() or int(size[:20]) > len(call.body):
        raise RequestError(f"The header {_JSON_SIZE} is the size of the JSON in bytes, received {size[:40]!r}.")
    body = read_json(call.body[: int(size)], allow_nan=True)
    if not isinstance(body, dict):
        raise RequestError("The JSON of the request must be an object.")
    return body, call.body[int(size) :]


def _tensors(model: ServedModel) -> dict[str, list[dict[str, Any]]]:
    """Return the names, data types and shapes of the inputs and outputs; -1 is any size."""
    return {
        "inputs": [
            {"name": field.name, "datatype": field.datatype, "shape": [-1, *field.shape]} for field in model.fields
        ],
        "outputs": [
            {"name": part.name, "datatype": part.datatype, "shape": [-1, *part.shape]} for part in model.all_parts
        ],
    }
