"""The scoring protocol of MLflow.

https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netloom.data.tables.raw_rows import RowFile
from netloom.modalities.row_field import JsonSchema
from netloom.serving.errors import RequestError
from netloom.serving.http import JSON, Call, Reply, json_reply, kind_of
from netloom.serving.models.row_parser import read_records, rows_of
from netloom.serving.models.served_model import ServedModel
from netloom.serving.route import ServerRoute
from netloom.serving.schemas import answer_schema, json_content, operation, row_schema
from netloom.serving.server_state import ServerState


class Invocations(ServerRoute):
    """Takes `dataframe_split`, `dataframe_records`, `instances`, `inputs` or CSV."""

    name = "invocations"
    paths = ("/invocations", "/models/{name}/invocations")
    summary = "Predict rows in the formats of MLflow"
    order = 30

    async def answer(self, server: ServerState, call: Call) -> Reply:
        deployment, served = server.choose(call)
        if call.content_type == "text/csv":
            file = await rows_of(call, served.model)
        elif call.content_type in (JSON, ""):
            file = await _read(call, served.model)
        else:
            raise RequestError(f"MLflow sends {JSON} or text/csv, received {call.content_type[:60]!r}.", 415)
        return json_reply({"predictions": await server.predict(call, deployment, served, file)})

    def operation(self, model: ServedModel) -> JsonSchema:
        records = {"type": "array", "items": row_schema(model)}
        body = {"type": "object", "properties": {"dataframe_records": records}}
        answers = {"type": "array", "items": answer_schema(model)}
        answer = {"type": "object", "properties": {"predictions": answers}}
        return operation(json_content(body, {"dataframe_records": [model.example]}), json_content(answer))


async def _read(call: Call, model: ServedModel) -> RowFile:
    body = call.json_object(allow_nan=True)
    formats = [name for name in _FORMATS if name in body]
    if len(formats) != 1:
        raise RequestError(
            f"The body needs exactly one of the keys {', '.join(_FORMATS)}; it has {len(formats)} of them."
        )
    return await read_records(call, _FORMATS[formats[0]](body[formats[0]], model), model)


def _split_rows(value: Any, model: ServedModel) -> list[Any]:
    """Return the rows of `{"columns": [...], "data": [[...], ...]}`."""
    columns = value.get("columns") if isinstance(value, dict) else None
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(columns, list) or not isinstance(data, list):
        raise RequestError("dataframe_split must be an object with the lists columns and data.")
    if not all(isinstance(cells, list) and len(cells) == len(columns) for cells in data):
        raise RequestError(f"Each row of dataframe_split.data must be a list of {len(columns)} cells, one per column.")
    return [dict(zip(map(str, columns), cells, strict=True)) for cells in data]


def _list_rows(value: Any, model: ServedModel) -> list[Any]:
    """Return rows that are objects, or the values of the only field of the model."""
    if not isinstance(value, list):
        raise RequestError(f"The rows must be a list, received {kind_of(value)}.")
    return [_named(row, model) for row in value]


def _input_rows(value: Any, model: ServedModel) -> list[Any]:
    """Return the rows of a list, or of an object with a list of values for each field."""
    if not isinstance(value, Mapping):
        return _list_rows(value, model)
    lists = list(value.values())
    if not lists or not all(isinstance(values, list) and len(values) == len(lists[0]) for values in lists):
        raise RequestError("inputs must be a list of rows, or an object with an equally long list for each field.")
    return [dict(zip(value, cells, strict=True)) for cells in zip(*lists, strict=True)]


def _named(row: Any, model: ServedModel) -> Any:
    """Return a value of the only field of the model as a row; others unchanged."""
    required = [field.name for field in model.fields if field.is_required]
    return {required[0]: row} if len(required) == 1 and not isinstance(row, dict) else row


_FORMATS: Mapping[str, Callable[[Any, ServedModel], list[Any]]] = {
    "dataframe_split": _split_rows,
    "dataframe_records": _list_rows,
    "instances": _list_rows,
    "inputs": _input_rows,
}
