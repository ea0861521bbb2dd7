"""Labels that arrive after the predictions."""

from __future__ import annotations

from typing import Any

from netloom.core.errors import DataError
from netloom.modalities.row_field import JsonSchema
from netloom.monitoring.request_log import RequestLog
from netloom.serving.errors import RequestError
from netloom.serving.http import Call, Reply, json_reply
from netloom.serving.models.served_model import ServedModel
from netloom.serving.route import ServerRoute
from netloom.serving.schemas import object_content, operation
from netloom.serving.server_state import ServerState


class Feedback(ServerRoute):
    """Takes `{"request_id": ID, "label": …}`, with the number of the row, from 1, if the request had several."""

    name, paths = "feedback", ("/feedback", "/models/{name}/feedback")
    summary, order = "Report the true label of an earlier answer, for monitoring", 67

    async def answer(self, server: ServerState, call: Call) -> Reply:
        body = call.json_object("request_id", "label", "row")
        request_id = body.get("request_id")
        if not isinstance(request_id, str):
            raise RequestError("The key request_id must be the header X-Request-Id of an earlier answer.")
        if "label" not in body:
            raise RequestError("The body needs the key label with the true label, such as one of the classes.")
        name, request_log = _find(server, call, request_id)
        row = _row(body, request_log.rows_of(request_id))
        true_label = server.deployments[name].current.model.true_label
        if true_label is None:
            raise RequestError(
                f"A label does not measure the predictions of the model {name!r}: they are neither a class, labels, "
                "tags, a mask, objects, a text, numbers nor a forecast.",
                409,
            )
        try:
            label = true_label.check(body["label"])
        except DataError as error:
            raise RequestError(str(error), 422) from None
        try:
            is_added = request_log.add_label(request_id, row, label)
        except OSError as error:
            raise RequestError(f"The label could not be written: {error.strerror}.", 503, 60.0) from None
        if not is_added:
            raise RequestError(f"The request {request_id[:60]!r} has too many labels already.", 409)
        return json_reply({"request_id": request_id, "row": row, "label": label})

    def operation(self, model: ServedModel) -> JsonSchema:
        true_label = model.true_label
        label: dict[str, Any] = {} if true_label is None else dict(true_label.schema)
        row = {"type": "integer", "minimum": 1, "description": "The number of the row, if the request had several"}
        body = object_content(request_id={"type": "string"}, label=label, row=row)
        return operation(body, object_content(request_id={"type": "string"}, row=row, label=label))


def _find(server: ServerState, call: Call, request_id: str) -> tuple[str, RequestLog]:
    """Return the model whose log has a request, and its log: the model of the path, or any of the server."""
    names = [server.deployment(call).name] if "name" in call.params else list(server.deployments)
    logs = {name: server.request_logs[name] for name in names if name in server.request_logs}
    if not logs:
        raise RequestError("This server does not log requests; start it with --log-requests 1.", 409)
    for name, request_log in logs.items():
        if request_log.rows_of(request_id):
            return name, request_log
    raise RequestError(
        f"The request {request_id[:60]!r} is not in the log: it does not exist, was not sampled, or is too old.", 404
    )


def _row(body: dict[str, Any], rows: int) -> int:
    """Return the number of the row that a label is for."""
    row = body.get("row", 1 if rows == 1 else None)
    if isinstance(row, bool) or not isinstance(row, int) or not 1 <= row <= rows:
        count = "1 row" if rows == 1 else f"{rows:,} rows"
        received = f", received {row!r:.40}" if "row" in body else ""
        raise RequestError(f"The request has {count}; the key row is the number of one of them, from 1{received}.")
    return row
