"""The fields of a raw row, as programs send them: their JSON schema, and their tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Literal, TypeAlias

# A JSON schema, or a part of an OpenAPI document; their standards define the keys.
JsonSchema: TypeAlias = dict[str, Any]
# The data types of the Open Inference Protocol, https://github.com/open-inference/open-inference-protocol
RowDatatype = Literal["BYTES", "BOOL", "FP32", "FP64"]


class FileKind(Enum):
    """A kind of file that can hold the whole value of a field."""

    PICTURE = auto()
    SOUND = auto()
    TEXT = auto()


@dataclass(frozen=True)
class RowField:
    """One key of a raw row.

    Args:
        name: the key.
        schema: the JSON schema of its value.
        datatype: the data type of its tensor; other numeric types are accepted, too.
        shape: the shape of its tensor without the dimension of rows; -1 for a dimension of any size.
        is_required: whether a row needs it.
    """

    name: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    datatype: RowDatatype = "BYTES"
    shape: tuple[int, ...] = ()
    is_required: bool = True


def array_schema(shape: tuple[int, ...], description: str) -> JsonSchema:
    """Return the JSON schema of nested lists of numbers; -1 is a dimension of any size."""
    schema: dict[str, Any] = {"type": "number"}
    for size in reversed(shape):
        sizes = {} if size < 0 else {"minItems": size, "maxItems": size}
        schema = {"type": "array", "items": schema, **sizes}
    return {**schema, "description": description}
