"""From raw rows to arrays, with the numbers that were fitted on the training split.

This one file is used in training and in prediction, and it travels with an exported network: it needs numpy alone.

A raw row is a dict. An image stands under its field's name as rows of pixels, (H, W), (H, W, C) or (C, H, W); a text or
series under its field's name; the columns of a table under their own names. A column that was made from a date may
also be given by that date, as ISO text.
"""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import numpy as np

PAD, UNKNOWN, START, END = 0, 1, 2, 3  # the last two only where an answer is written token by token
IGNORE = -100  # a place that has no target, as cross-entropy in PyTorch leaves it out
_LARGEST = 1e30  # well within float32: a number far outside of what was seen in training must not become infinite
_MISSING = {"", "na", "n/a", "nan", "nat", "null", "none", "#n/a"}
_DAY = 86_400
_MONTH = re.compile(r"\d{4}-\d{2}")
_WORD = re.compile(r"\w+(?:'\w+)?|[^\w\s]")


class EncodeError(ValueError):
    """A row that does not fit; the message is one sentence."""


def words(text: str) -> list[str]:
    """The words and punctuation marks of a text, in lower case."""
    return _WORD.findall(str(text).lower().replace("’", "'"))


def encode(preprocess: dict[str, Any], row: dict[str, Any]) -> dict[str, np.ndarray]:
    """One raw row as arrays (1, …), by field."""
    return encode_rows(preprocess, [row])


def encode_rows(preprocess: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Raw rows as arrays (N, …), by field: float32, or int64 for tokens."""
    encoders = {
        "table": _table,
        "image": _image,
        "series": _series,
        "words": _words,
        "characters": _characters,
        "categories": _categories,
        "begun": _begun,
    }
    return {field["name"]: encoders[field["encoding"]](field, rows) for field in preprocess["fields"]}


def _table(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    return np.concatenate([_column(column, rows) for column in field["columns"]], axis=1).astype(np.float32)


def _column(column: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    if column["type"] == "number":
        numbers = _numbers(column, rows)
        numbers = np.where(np.isnan(numbers), column["median"], numbers)
        with np.errstate(over="ignore"):
            scaled: np.ndarray = (numbers - column["mean"]) / column["std"]
        np.clip(scaled, -_LARGEST, _LARGEST, out=scaled)
        return scaled[:, None]
    values = [_value(row, column["name"]) for row in rows]
    places = {value: place for place, value in enumerate(column["values"])}
    hot = np.zeros((len(rows), len(places) + 1))  # the last place is for all other values
    for index, value in enumerate(values):
        hot[index, places.get(_category(value), len(places))] = 1.0
    return hot


def _value(row: dict[str, Any], name: str) -> Any:
    if name not in row:
        raise EncodeError(f"The row has no column {name!r}; it has {', '.join(map(repr, list(row)[:20]))}.")
    return row[name]


def _numbers(column: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    """A column's numbers in all rows; not a number where one is missing."""
    with suppress(KeyError, TypeError, ValueError, OverflowError):
        numbers = np.array([row[column["name"]] for row in rows], dtype=np.float64)
        if numbers.ndim == 1 and not np.isinf(numbers).any():
            return numbers  # what is nothing but numbers is read many times as fast
    # Cell by cell, then, which also finds the words for what is wrong.
    return np.array([_cell(row, column) for row in rows], dtype=np.float64)


def _cell(row: dict[str, Any], column: dict[str, Any]) -> float:
    """A column's number in a row; not a number where it is missing."""
    date = column.get("date")
    if date is not None and column["name"] not in row and date in row:
        return date_part(row[date], column["part"], date)
    return _number(_value(row, column["name"]), column)


def date_part(value: Any, part: str, name: str) -> float:
    """The `days` since 1970, the `month` or the `weekday` (Monday is 0) of a date or time in ISO form.

    It is taken as UTC if it names no zone.
    """
    text = str(value).strip()
    if value is None or text.lower() in _MISSING:
        return math.nan
    try:
        moment = datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)
    except ValueError:
        raise EncodeError(f"The column {name!r} takes dates such as 2024-05-31, received {text[:60]!r}.") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    parts = {"weekday": moment.weekday(), "month": moment.month}
    return float(parts[part]) if part in parts else moment.timestamp() / _DAY


def _number(value: Any, column: dict[str, Any]) -> float:
    if isinstance(value, str):
        text = value.strip().lower()
        value = None if text in _MISSING else {"true": 1.0, "false": 0.0}.get(text, value)
    if value is None:
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise EncodeError(f"The column {column['name']!r} takes numbers, received {str(value)[:60]!r}.") from None
    if math.isinf(number):
        raise EncodeError(f"The column {column['name']!r} takes finite numbers, received {number}.")
    return number


def _category(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _categories(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    """The number of each column's value (N, F), from 1; 0 stands for one that was not seen in training."""
    numbers = np.zeros((len(rows), len(field["columns"])), dtype=np.int64)
    for place, column in enumerate(field["columns"]):
        known = {value: number for number, value in enumerate(column["values"], 1)}
        for index, row in enumerate(rows):
            numbers[index, place] = known.get(_category(_value(row, column["name"])), 0)
    return numbers


def _image(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    channels, height, width = field["shape"]
    pictures = []
    for row in rows:
        pixels = _array(row, field["name"], np.float32)
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
        values = _array(row, field["name"], np.float64)
        values = values[:, None] if values.ndim == 1 else values
        if values.shape != (steps, width):
            raise EncodeError(f"A series has {steps} steps of {width} values, received {values.shape}.")
        series.append((values - field["mean"]) / field["std"])
    return np.stack(series).clip(-_LARGEST, _LARGEST).astype(np.float32)


def _array(row: dict[str, Any], name: str, dtype: Any) -> np.ndarray:
    """A cell that holds rows of finite numbers."""
    try:
        array = np.asarray(_value(row, name), dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, EncodeError):
            raise
        raise EncodeError(f"{name!r} takes rows of numbers that are equally long, received something else.") from None
    if not np.isfinite(array).all():
        raise EncodeError(f"{name!r} takes finite numbers, received some that are missing or infinite.")
    return array


def _words(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    return _tokens(field, [words(_value(row, field["name"])) for row in rows])


def _characters(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    # What comes next depends most on what came last, so the end of a long text is kept.
    return _tokens(field, [list(str(_value(row, field["name"])))[-field["length"] :] for row in rows])


def _begun(field: dict[str, Any], rows: list[dict[str, Any]]) -> np.ndarray:
    """What is already written of an answer, behind the mark that starts it; nothing is, where a row does not say."""
    texts = [list(_category(row.get(field["name"]))) for row in rows]
    numbers = _tokens({**field, "length": field["length"] - 1}, texts)
    return np.concatenate([np.full((len(rows), 1), START, dtype=np.int64), numbers], axis=1)


def write(length: int, rows: int, scores: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The tokens (N, length) of answers, each the one that scores highest after those before it; padded after the end.

    `scores` gives (N, length, vocabulary) for what is written so far (N, length), which begins with the start mark.
    """
    begun = np.full((rows, length + 1), PAD, dtype=np.int64)
    begun[:, 0] = START
    ended = np.zeros(rows, dtype=bool)
    for place in range(length):
        begun[:, place + 1] = np.where(ended, PAD, scores(begun[:, :-1])[:, place].argmax(1))
        ended |= begun[:, place + 1] == END
        if ended.all():
            break
    return begun[:, 1:]


def written(field: dict[str, Any], tokens: list[int]) -> str:
    """The text of an answer, up to the mark that ends it."""
    tokens = tokens[: tokens.index(END)] if END in tokens else tokens
    return "".join("" if token == START else field["vocabulary"][token] for token in tokens)


def restore_rows(field: dict[str, Any], values: np.ndarray) -> list[Any]:
    """Rows of a field as a network gives them back (N, …), in the data's own units: nested lists, or for a table a
    value by column."""
    if field["encoding"] == "table":
        return [_restore_columns(field["columns"], row) for row in values.astype(np.float64)]
    restored = values.astype(np.float64) * np.array(field["std"]) + np.array(field["mean"])
    found: list[Any] = (restored / field.get("scale", 1.0)).tolist()
    return found


def _restore_columns(columns: list[dict[str, Any]], row: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {}
    place = 0
    for column in columns:
        if column["type"] == "number":
            found[column["name"]] = float(row[place] * column["std"] + column["mean"])
            place += 1
            continue
        names = [*column["values"], "(other)"]
        found[column["name"]] = names[int(row[place : place + len(names)].argmax())]
        place += len(names)
    return found


def spans(tags: list[str]) -> list[tuple[int, int, str]]:
    """The entities that BIO tags mark, as (first word, last word, kind), in order.

    An I- tag that follows no tag of its kind begins an entity, as in CoNLL's own scorer.
    """
    found: list[tuple[int, int, str]] = []
    for place, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        goes_on = mark == "I" and bool(found) and found[-1][1:] == (place - 1, kind)
        if goes_on:
            found[-1] = (found[-1][0], place, kind)
        elif mark in ("B", "I"):
            found.append((place, place, kind))
    return found


def last_places(tokens: np.ndarray) -> np.ndarray:
    """Where each row's last token stands in (N, T), as texts are padded behind; 0 for an empty text."""
    places: np.ndarray = np.maximum((tokens != PAD).sum(1) - 1, 0)
    return places


def _tokens(field: dict[str, Any], texts: list[list[str]]) -> np.ndarray:
    """Token numbers (N, T), cut or padded behind to the field's length."""
    places = {token: place for place, token in enumerate(field["vocabulary"])}
    length = field["length"]
    numbers = np.full((len(texts), length), PAD, dtype=np.int64)
    for index, tokens in enumerate(texts):
        for place, token in enumerate(tokens[:length]):
            numbers[index, place] = places.get(token, UNKNOWN)
    return numbers
