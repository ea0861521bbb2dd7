"""JSON schemas of the rows that a model reads and of its answers, from the declarations of modalities and tasks."""

from __future__ import annotations

from typing import Any

from netloom.modalities.row_field import JsonSchema
from netloom.serving.models.served_model import ServedModel

ERROR_SCHEMA: JsonSchema = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "request_id": {"type": "string"}},
    "required": ["error"],
}


def row_schema(model: ServedModel) -> JsonSchema:
    """Return the schema of a raw row, with a row of the test split as an example."""
    return {
        "type": "object",
        "properties": {field.name: dict(field.schema) for field in model.fields},
        "required": [field.name for field in model.fields if field.is_required],
        "examples": [model.example],
    }


def answer_schema(model: ServedModel) -> JsonSchema:
    """Return the schema of a prediction, with the keys that its calibration can add."""
    warnings = {
        name: {"type": "object", "additionalProperties": {"type": "string"}, "description": description}
        for name, description in (
            ("unknown", "Categories that the training rows did not have, by column"),
            ("unreadable", "Cells that cannot be read like the training data, and count as missing, by column"),
        )
    }
    return {
        "type": "object",
        "properties": {**{part.name: dict(part.schema) for part in model.all_parts}, **warnings},
        "required": [part.name for part in model.parts],
    }


def json_content(schema: Any, example: Any = None) -> JsonSchema:
    """Return the content of a JSON body."""
    return {"application/json": {"schema": schema, **({} if example is None else {"example": example})}}


def operation(body: JsonSchema | None, answer: JsonSchema, *, needs_body: bool = True) -> JsonSchema:
    """Return an operation with the content of its request body, and that of its answer."""
    refused = {
        "description": "The request cannot be answered; a sentence says why",
        "content": json_content(ERROR_SCHEMA),
    }
    request = {"requestBody": {"required": needs_body, "content": body}} if body else {}
    responses = {"200": {"description": "The answer", "content": answer}, "4XX": refused, "5XX": refused}
    return {**request, "responses": responses}


def object_content(**properties: Any) -> JsonSchema:
    """Return the content of a JSON object with these keys."""
    return json_content({"type": "object", "properties": properties})
