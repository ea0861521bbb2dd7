"""Parameters of networks whose uses differ only in numbers: the choice of the numbers, and the names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from netloom.document import is_identifier


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def without_numbers(value: Any, numbers: list[Any]) -> Any:
    """The parameters with each number replaced by its type; the numbers are appended to `numbers`."""
    if _is_number(value):
        numbers.append(value)
        return f"?{type(value).__name__}"
    if isinstance(value, list):
        return [without_numbers(part, numbers) for part in value]
    if isinstance(value, dict):
        # Sorted, so that corresponding numbers have the same index in all uses
        return {key: without_numbers(part, numbers) for key, part in sorted(value.items())}
    return value


def with_names(value: Any, numbers: Iterator[int], names: Mapping[int, str]) -> Any:
    """The parameters with some numbers replaced by names, by their index in the order of `without_numbers`."""
    if _is_number(value):
        return names.get(next(numbers), value)
    if isinstance(value, list):
        return [with_names(part, numbers, names) for part in value]
    if isinstance(value, dict):
        return {key: with_names(part, numbers, names) for key, part in sorted(value.items())}
    return value


def parameters_of(
    nodes: Sequence[Mapping[str, Any]], columns: list[tuple[Any, ...]]
) -> tuple[dict[str, int], dict[int, str]]:
    """The parameters of a network by the index of their number, and the name for the index of each replaced number.

    `nodes` holds the parameters of its nodes; `columns` holds the values of each number in all uses.
    """
    titles: list[str] = []
    for params in nodes:
        for key, value in sorted(params.items()):
            numbers: list[Any] = []
            without_numbers(value, numbers)
            value_names = sorted(value) if key == "values" and isinstance(value, dict) else []
            key = {"repeat": "repeats"}.get(key, key)  # `repeat` is a field of Subnetwork itself
            titles += value_names if len(value_names) == len(numbers) and value_names else [key] * len(numbers)
    parameters: dict[str, int] = {}
    names: dict[int, str] = {}
    name_of: dict[tuple[Any, ...], str] = {}
    for position, column in enumerate(columns):
        if len(set(column)) == 1:
            continue
        # Numbers that are equal in all uses and have the same meaning become one parameter.
        column_key = (column, titles[position])
        if column_key not in name_of:
            name_of[column_key] = unused_name(titles[position], parameters)
            parameters[name_of[column_key]] = position
        names[position] = name_of[column_key]
    return parameters, names


def unused_name(base: str, existing: Mapping[str, Any]) -> str:
    """A name as a valid id that does not exist yet."""
    text = re.sub(r"[^a-z0-9]+", "_", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", base).lower()).strip("_")[:48].strip("_")
    if not text or not text[0].isalpha():
        text = f"block_{text}".rstrip("_")
    for number in count(1):
        name = text if number == 1 else f"{text}_{number}"
        if name not in existing and is_identifier(name):
            return name
    raise AssertionError("there is always a number left")
