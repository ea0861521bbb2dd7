"""From raw rows to arrays, with the numbers that were fitted on the training split.

This one file is used in training and in prediction, and it travels with an exported network: it needs numpy alone.

A raw row is a dict. An image stands under its field's name as rows of pixels, (H, W), (H, W, C) or (C, H, W); a text or
series under its field's name; the columns of a table under their own names.
"""

import math
import re
from typing import Any

import numpy as np

PAD, UNKNOWN = 0, 1
_WORD = re.compile(r"\w+(?:'\w+)?|[^\w\s]")


class EncodeError(ValueError):
    """A row that does not fit; the message is one sentence."""


def words(text: str) -> list[str]:
    """The words and punctuation marks of a text, in lower case."""
    return _WORD.findall(str(text).lower())


def encode(preprocess: dict[str, Any], row: dict[str, Any]) -> dict[str, np.ndarray]:
    """One raw row as arrays (1, …), by field."""
    return encode_rows(preprocess, [row])


def encode_rows(preprocess: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Raw rows as arrays (N, …), by field: float32, or int64 for tokens."""
    encoders = {"table": _table, "image": _image, "series": _series, "words": _words, "characters": _characters}
    return {field["name"]: encoders[field["encoding"]](field, rows) for field in preprocess["fields"]}


def _table(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    return np.concatenate([_column(column, rows) for column in field["columns"]], axis=1).astype(np.float32)


def _column(column: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    values = [_value(row, column["name"]) for row in rows]
    if column["type"] == "number":
        numbers = np.array([_number(value, column) for value in values], dtype=np.float64)
        numbers = np.where(np.isnan(numbers), column["median"], numbers)
        scaled: np.ndarray = (numbers - column["mean"]) / column["std"]
        return scaled[:, None]
    places = {value: place for place, value in enumerate(column["values"])}
    hot = np.zeros((len(rows), len(places) + 1))  # the last place is for all other values
    for index, value in enumerate(values):
        hot[index, places.get(_category(value), len(places))] = 1.0
    return hot


def _value(row: dict[str, Any], name: str) -> Any:
    if name not in row:
        raise EncodeError(f"The row has no column {name!r}; it has {', '.join(map(repr, list(row)[:20]))}.")
    return row[name]


def _number(value: Any, column: dict[str, Any]) -> float:
    if value is None or value == "":
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise EncodeError(f"The column {column['name']!r} takes numbers, received {str(value)[:60]!r}.") from None
    if math.isinf(number):
        raise EncodeError(f"The column {column['name']!r} takes finite numbers, received {number}.")
    return number


def _category(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _image(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    channels, height, width = field["shape"]
    pictures = []
    for row in rows:
        pixels = np.asarray(_value(row, field["name"]), dtype=np.float32)
        if pixels.ndim == 2:
            pixels = pixels[None]
        elif pixels.ndim == 3 and pixels.shape != (channels, height, width) and pixels.shape[2] == channels:
            pixels = pixels.transpose(2, 0, 1)
        if pixels.shape != (channels, height, width):
            raise EncodeError(f"An image is {height}×{width} with {channels} channels, received {pixels.shape}.")
        pictures.append(pixels)
    return (np.stack(pictures) * np.float32(field["scale"]) - np.float32(field["mean"])) / np.float32(field["std"])


def _series(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    steps, width = field["shape"]
    series = []
    for row in rows:
        values = np.asarray(_value(row, field["name"]), dtype=np.float64)
        values = values[:, None] if values.ndim == 1 else values
        if values.shape != (steps, width):
            raise EncodeError(f"A series has {steps} steps of {width} values, received {values.shape}.")
        series.append((values - field["mean"]) / field["std"])
    return np.stack(series).astype(np.float32)


def _words(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    return _tokens(field, [words(_value(row, field["name"])) for row in rows])


def _characters(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    return _tokens(field, [list(str(_value(row, field["name"]))) for row in rows])


def _tokens(field: dict[str, Any], texts: list[list[str]]) -> np.ndarray:
    """Token numbers (N, T), cut or padded behind to the field's length."""
    places = {token: place for place, token in enumerate(field["vocabulary"])}
    length = field["length"]
    numbers = np.full((len(texts), length), PAD, dtype=np.int64)
    for index, tokens in enumerate(texts):
        for place, token in enumerate(tokens[:length]):
            numbers[index, place] = places.get(token, UNKNOWN)
    return numbers
