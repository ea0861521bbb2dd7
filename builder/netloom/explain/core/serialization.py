"""Serialization of dataclasses, numbers, text and arrays as .npz with JSON, without pickle."""

from __future__ import annotations

import io
import json
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints
from zipfile import BadZipFile

import numpy as np

T = TypeVar("T")
# Exceptions that reading a damaged file, or one of another version, raises.
UNREADABLE = (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError)


def dumps(value: Any, *, compressed: bool = False) -> bytes:
    """Serialize a value to the bytes of an .npz file; equal values give equal bytes."""
    arrays: dict[str, np.ndarray] = {}
    # The order of keys is part of a value: probabilities are listed in descending order.
    text = json.dumps(_written(value, arrays), sort_keys=False)
    # np.savez stores arrays only, so the JSON becomes an array of its UTF-8 bytes.
    buffer = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(buffer, json=np.frombuffer(text.encode(), dtype=np.uint8), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def loads(kind: type[T], content: bytes | io.BufferedIOBase) -> T:
    """Deserialize a value of a type from the result of `dumps`.

    Raises:
        UNREADABLE: The content is damaged, or has another type.
    """
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    with np.load(file, allow_pickle=False) as entries:
        arrays = {name: entries[name] for name in entries.files}
    value: T = _read(kind, json.loads(bytes(arrays.pop("json")).decode()), arrays)
    return value


def _written(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return JSON values, with the arrays moved to `arrays` by name."""
    # An array of objects would need pickle, so it is left to `json.dumps`, which rejects it.
    if isinstance(value, np.ndarray) and value.dtype != object:
        arrays[f"a{len(arrays)}"] = value
        return {"array": f"a{len(arrays) - 1}"}
    if is_dataclass(value) and not isinstance(value, type):
        return {entry.name: _written(getattr(value, entry.name), arrays) for entry in fields(value)}
    if isinstance(value, dict):
        return {str(name): _written(item, arrays) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written(item, arrays) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _read(kind: Any, value: Any, arrays: dict[str, np.ndarray]) -> Any:
    # A dictionary of the value itself may have the key "array", too, but not the name of a stored array.
    if isinstance(value, dict) and value.keys() == {"array"} and value["array"] in arrays:
        return arrays[value["array"]]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else _read(_option(arguments, value), value, arrays)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{name: _read(hints[name], item, arrays) for name, item in value.items()})
    if isinstance(value, dict):
        inner = arguments[1] if origin is dict else Any
        return {name: _read(inner, item, arrays) for name, item in value.items()}
    if isinstance(value, list):
        if origin is tuple:
            kinds = arguments if arguments[-1:] != (...,) else arguments[:1] * len(value)
            return tuple(_read(inner, item, arrays) for inner, item in zip(kinds, value, strict=True))
        inner = arguments[0] if origin is list else Any
        return [_read(inner, item, arrays) for item in value]
    return value


def _option(options: tuple[Any, ...], value: Any) -> Any:
    """Return the member of a union that matches a value."""
    candidates = [option for option in options if option is not NoneType]
    if isinstance(value, dict):
        candidates = [
            candidate
            for candidate in candidates
            if is_dataclass(candidate) or get_origin(candidate) is dict or candidate is Any
        ] or [Any]
    elif isinstance(value, list):
        candidates = [
            candidate for candidate in candidates if get_origin(candidate) in (tuple, list) or candidate is Any
        ] or [Any]
    elif any(
        get_origin(candidate) is not Literal and isinstance(candidate, type) and isinstance(value, candidate)
        for candidate in candidates
    ):
        return Any
    return candidates[0]
