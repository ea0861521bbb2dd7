"""Tensors of the Open Inference Protocol v2 as raw rows, and answers as tensors.

https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md, and the
extension for binary data,
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from netloom.modalities.row_field import RowField
from netloom.serving.errors import RequestError
from netloom.serving.http import kind_of
from netloom.serving.models.served_model import Answer, Row, ServedModel
from netloom.tasks.answers import AnswerPart

DATATYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{bits}": np.dtype(f"<u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"<i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"<f{bits // 8}") for bits in (16, 32, 64)},
}
_BYTES = "BYTES"


@dataclass(frozen=True)
class _Tensor:
    """An input: its shape, and its values one after the other."""

    name: str
    shape: tuple[int, ...]
    values: Sequence[Any] | np.ndarray


def rows_of_tensors(inputs: Any, binary: bytes, model: ServedModel, max_rows: int) -> list[Row]:
    """Return the rows of the `inputs` of a request, whose binary data follows the JSON.

    Raises:
        RequestError: a tensor is invalid, or does not fit the model.
    """
    if not isinstance(inputs, list) or not inputs:
        raise RequestError("The key inputs must be a list with a tensor for each field.")
    tensors, offset = [], 0
    for entry in inputs:
        tensor, used = _read_tensor(entry, memoryview(binary)[offset:])
        offset += used
        tensors.append(tensor)
    if offset != len(binary):
        raise RequestError(f"The binary data has {len(binary):,} bytes, but the inputs describe {offset:,}.")
    counts = {tensor.shape[0] for tensor in tensors}
    if len(counts) != 1:
        raise RequestError(
            f"The first dimension, the number of rows, must be the same for all inputs, received {sorted(counts)[:10]}."
        )
    count = counts.pop()
    if not 1 <= count <= max_rows:
        raise RequestError(f"A request must have 1 to {max_rows:,} rows, received {count:,}.")
    fields = {field.name: field for field in model.fields}
    rows: list[Row] = [{} for _ in range(count)]
    for tensor in tensors:
        if tensor.name not in fields:
            names = ", ".join(map(repr, list(fields)[:30]))
            raise RequestError(f"The model {model.name!r} has no input {tensor.name[:60]!r}; it has {names}.")
        for row, value in zip(rows, _values_by_row(tensor, fields[tensor.name]), strict=True):
            row[tensor.name] = value
    return rows


def tensors_of_answers(
    answers: Sequence[Answer], parts: Sequence[AnswerPart], requested: Any
) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Return the outputs of a response, and the binary data that follows its JSON. `requested` are the `outputs` of the
    request, or None for all.

    Raises:
        RequestError: there is no such output.
    """
    by_name = {part.name: part for part in parts}
    outputs, blobs = [], []
    for name, is_binary in _requested(requested, by_name):
        part = by_name[name]
        output: dict[str, Any] = {"name": name, "datatype": part.datatype, "shape": [len(answers), *part.shape]}
        if part.labels:
            output["parameters"] = {"labels": list(part.labels)}
        elif part.datatype == _BYTES:
            output["parameters"] = {"content_type": "str" if part.is_text else "json"}
        values = part.flat(answers)
        if is_binary:
            blobs.append(_binary(values, part.datatype))
            output["parameters"] = {**output.get("parameters", {}), "binary_data_size": len(blobs[-1])}
        else:
            output["data"] = values
        outputs.append(output)
    return outputs, blobs


def _requested(requested: Any, by_name: Mapping[str, AnswerPart]) -> list[tuple[str, bool]]:
    """Return the names of the outputs, and whether each is sent as binary data."""
    if not requested:
        return [(name, False) for name in by_name]
    if not isinstance(requested, list) or not all(isinstance(entry, dict) for entry in requested):
        raise RequestError("The key outputs must be a list of objects with the name of an output.")
    chosen = []
    for entry in requested:
        name = entry.get("name")
        if not isinstance(name, str) or name not in by_name:
            raise RequestError(f"There is no output {str(name)[:60]!r}; choose from {', '.join(map(repr, by_name))}.")
        parameters = entry.get("parameters")
        chosen.append((name, isinstance(parameters, dict) and parameters.get("binary_data") is True))
    return chosen


def _read_tensor(entry: Any, binary: memoryview) -> tuple[_Tensor, int]:
    """Return a tensor, and the number of bytes of its binary data."""
    if not isinstance(entry, dict):
        raise RequestError(
            f"A tensor must be an object with name, shape, datatype and data, received {kind_of(entry)}."
        )
    name, shape, datatype = entry.get("name"), entry.get("shape"), entry.get("datatype")
    if not isinstance(name, str):
        raise RequestError("Each tensor needs the key name with a text.")
    if not isinstance(shape, list) or not shape or not all(type(size) is int and size >= 0 for size in shape):
        raise RequestError(f"The shape of {name[:60]!r} must be a list of whole numbers, the number of rows first.")
    if not isinstance(datatype, str) or (datatype != _BYTES and datatype not in DATATYPES):
        known = ", ".join((*DATATYPES, _BYTES))
        raise RequestError(f"The datatype of {name[:60]!r} must be one of {known}; received {str(datatype)[:40]!r}.")
    parameters = entry.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    count = prod(shape)
    if size is None:
        return _Tensor(name, tuple(shape), _json_values(name, entry.get("data"), datatype, count)), 0
    if type(size) is not int or not 0 <= size <= len(binary):
        raise RequestError(
            f"The binary data of {name[:60]!r} ends early: expected {size!r} bytes, received {len(binary):,}."
        )
    return _Tensor(name, tuple(shape), _binary_values(name, binary[:size], datatype, count)), size


def _json_values(name: str, data: Any, datatype: str, count: int) -> Sequence[Any] | np.ndarray:
    flat = _flatten(data)
    if len(flat) != count:
        raise RequestError(f"The data of {name[:60]!r} has {len(flat):,} values, but its shape needs {count:,}.")
    if datatype == _BYTES:
        if not all(isinstance(value, str) or value is None for value in flat):
            raise RequestError(f"The data of {name[:60]!r} with the datatype BYTES must consist of texts.")
        return flat
    if not all(isinstance(value, (int, float)) or value is None for value in flat):
        raise RequestError(f"The data of {name[:60]!r} with the datatype {datatype} must consist of numbers.")
    return flat


def _flatten(data: Any) -> list[Any]:
    """Return nested lists as one list; the protocol allows both."""
    if not isinstance(data, list):
        raise RequestError("Each tensor needs the key data with a list.")
    flat: list[Any] = data
    while any(isinstance(value, list) for value in flat):
        flat = [item for value in flat for item in (value if isinstance(value, list) else [value])]
    return flat


def _binary_values(name: str, data: memoryview, datatype: str, count: int) -> Sequence[Any] | np.ndarray:
    if datatype != _BYTES:
        if len(data) != count * DATATYPES[datatype].itemsize:
            raise RequestError(
                f"The binary data of {name[:60]!r} has {len(data):,} bytes, but its shape needs "
                f"{count * DATATYPES[datatype].itemsize:,}."
            )
        return np.frombuffer(data, DATATYPES[datatype])
    texts, offset = [], 0
    while offset + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, offset)
        texts.append(bytes(data[offset + 4 : offset + 4 + length]).decode(errors="replace"))
        offset += 4 + length
    if offset != len(data) or len(texts) != count:
        raise RequestError(f"The binary data of {name[:60]!r} has {len(texts):,} texts, but its shape needs {count:,}.")
    return texts


def _values_by_row(tensor: _Tensor, field: RowField) -> list[Any]:
    """Return the value of each row: a plain value for a field without a shape, an array for others."""
    count, shape = tensor.shape[0], tensor.shape[1:]
    if not field.shape:
        if shape not in ((), (1,)):
            expected = [count] if count else [-1]
            raise RequestError(
                f"The input {field.name!r} must have the shape {expected}, received {list(tensor.shape)}."
            )
        values: Sequence[Any] = tensor.values.tolist() if isinstance(tensor.values, np.ndarray) else tensor.values
        return [None if isinstance(value, float) and math.isnan(value) else value for value in values]
    if len(shape) != len(field.shape) or any(
        expected_size not in (-1, size) for expected_size, size in zip(field.shape, shape, strict=True)
    ):
        raise RequestError(
            f"The input {field.name!r} must have the shape {[-1, *field.shape]} with the rows first, received "
            f"{list(tensor.shape)}."
        )
    try:
        array = np.asarray(tensor.values, dtype=None if isinstance(tensor.values, np.ndarray) else np.float64)
    except (TypeError, ValueError, OverflowError):
        raise RequestError(f"The input {field.name!r} must consist of numbers.") from None
    by_row: np.ndarray = array.reshape(tensor.shape)
    return list(by_row)


def _binary(values: Sequence[Any], datatype: str) -> bytes:
    if datatype != _BYTES:
        return np.asarray(values, DATATYPES[datatype]).tobytes()
    texts = [value.encode() for value in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
