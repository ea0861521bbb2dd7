"""The JSON Schema of documents (https://json-schema.org/draft/2020-12), for editors and other programs."""

from __future__ import annotations

from typing import Any

from netloom.document import Project
from netloom.layers import registry
from netloom.layers.catalogue import numeric
from netloom.modalities.row_field import JsonSchema
from netloom.tasks import tasks

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ANNOTATIONS = ("title", "description", "default")
_EXPRESSION = {"type": "string", "description": "An expression over parameters, such as width * 4"}


def document_schema() -> JsonSchema:
    """Return the JSON Schema of a document, with the parameters of each type of layer.

    It describes what a document can hold. `netloom check` also knows whether the network fits together and fits its
    data.
    """
    schema = Project.model_json_schema()
    properties, definitions = schema["properties"], schema["$defs"]
    properties["$schema"] = {"type": "string", "description": "The address of this schema, which Netloom ignores"}
    definitions["Training"]["properties"]["objective"]["examples"] = list(tasks())
    node = definitions["Node"]
    # The id of a node is its key, so a document does not repeat it.
    node["required"] = ["type"]
    node["properties"]["type"]["examples"] = list(registry())
    node["allOf"] = [_layer(name) for name in registry()]
    definitions |= {_definition(name): _parameters(name) for name in registry()}
    return {"$schema": DIALECT, **schema, "title": "Netloom document"}


def _definition(name: str) -> str:
    return f"layer.{name}"


def _layer(name: str) -> dict[str, Any]:
    """Return the rule that a node of this type has the parameters of the layer."""
    return {
        "if": {"properties": {"type": {"const": name}}},
        "then": {"properties": {"params": {"$ref": f"#/$defs/{_definition(name)}"}}},
    }


def _parameters(name: str) -> dict[str, Any]:
    """Return the schema of the parameters of a layer; numbers can be expressions."""
    layer = registry()[name]
    schema = layer.model_json_schema(ref_template=f"#/$defs/{_definition(name)}/$defs/{{model}}")
    schema |= {"title": layer.title, "description": layer.summary}
    for parameter in numeric([name])[name]:
        schema["properties"][parameter] = _with_expressions(schema["properties"][parameter])
    return schema


def _with_expressions(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of numbers, or of lists or mappings of numbers, in which each number can be an expression."""
    changed = dict(schema)
    if "anyOf" in schema:
        changed["anyOf"] = [_with_expressions(part) for part in schema["anyOf"]]
        return changed
    if "$ref" in schema or schema.get("type") == "null":
        return changed
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            changed[key] = _with_expressions(schema[key])
    if "prefixItems" in schema:
        changed["prefixItems"] = [_with_expressions(part) for part in schema["prefixItems"]]
    if schema.get("type") not in ("integer", "number"):
        return changed
    number = {key: value for key, value in changed.items() if key not in _ANNOTATIONS}
    annotations = {key: value for key, value in changed.items() if key in _ANNOTATIONS}
    return {**annotations, "anyOf": [number, _EXPRESSION]}
