"""Writes the TypeScript types of the canvas's messages: `python -m netloom.ui.design.canvas.typescript`.

The types are generated from the JSON schema that pydantic derives from `messages.py`; a test compares both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from netloom.ui.design.canvas.messages import CanvasData, NetworkWish, Selection, Sync

TARGET = Path(__file__).parent / "frontend" / "src" / "core" / "generated.ts"
HEAD = "// Generated from messages.py by `python -m netloom.ui.design.canvas.typescript`. Do not edit.\n"
PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
Json = Mapping[str, Any]


class Messages(TypedDict):
    """All messages, for one schema."""

    data: CanvasData
    sync: Sync
    selection: Selection
    wish: NetworkWish


def typescript() -> str:
    """Return the types of all messages, with their docstrings as comments."""
    definitions = TypeAdapter(Messages).json_schema()["$defs"]
    return HEAD + "".join(_definition(name, definitions[name]) for name in sorted(definitions))


def _definition(name: str, schema: Json) -> str:
    return f"\n{_comment(schema)}export type {name} = {_type(schema)};\n"


def _comment(schema: Json, indent: str = "") -> str:
    text = " ".join(schema.get("description", "").split())
    return f"{indent}/** {text} */\n" if text else ""


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " | ".join(map(_type, schema[union]))
    if schema.get("type") == "object":
        return _object(schema)
    if schema.get("type") == "array":
        return _array(schema)
    return PLAIN.get(str(schema.get("type")), "unknown")


def _object(schema: Json) -> str:
    if "properties" not in schema:
        values = schema.get("additionalProperties", True)
        return f"Record<string, {'unknown' if values is True else _type(values)}>"
    required = schema.get("required", ())
    lines = (
        f"{_comment(field, '  ')}  {name}{'' if name in required else '?'}: {_type(field)};\n"
        for name, field in schema["properties"].items()
    )
    return f"{{\n{''.join(lines)}}}"


def _array(schema: Json) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(map(_type, schema['prefixItems']))}]"
    # In TypeScript, [] binds more tightly than |
    item = _type(schema["items"])
    return f"({item})[]" if "|" in item else f"{item}[]"


if __name__ == "__main__":
    TARGET.write_text(typescript(), encoding="utf-8")
