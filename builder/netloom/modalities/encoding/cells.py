"""Reads the values of raw rows and the text of cells, for all encoders."""

import ast
import json
import math
import re
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np

# A raw row: a value by the name of its column or field, as a file or a program gives it.
RawRow: TypeAlias = dict[str, Any]
LARGEST_ENCODED = 1e30  # well within float32: a number far outside of the training data must not become infinite
# Text of a missing number, date or boolean, in lower case. The marks are missing values only beside such values: they
# can be categories.
MARKS = frozenset({
    "?", "-", "--", "\u2013", "\u2014", "*", ".", "na", "n.a.", "missing", "#div/0!", "#value!", "#ref!", "#num!",
    "#name?",
})  # fmt: skip
NOTHING = frozenset({"", "n/a", "nan", "nat", "null", "none", "#n/a", *MARKS})
_DAY_SECONDS = 86_400
_MONTH = re.compile(r"\d{4}-\d{2}")
_YES, _NO = {"true", "yes", "y", "t", "on", "1", "1.0"}, {"false", "no", "n", "f", "off", "0", "0.0"}


class EncodeError(ValueError):
    """A row does not match the fitted state; the message is one sentence."""


def value_of(row: RawRow, name: str) -> Any:
    """Return the value of a column in a row.

    Raises:
        EncodeError: the row does not have the column.
    """
    if name not in row:
        raise EncodeError(f"The row has no column {name!r}; it has {', '.join(map(repr, list(row)[:20]))}.")
    return row[name]


def as_text(value: Any) -> Any:
    """Return a text, empty if it is missing; a list of words is joined by spaces, other values are unchanged."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else value


def text_of(value: Any) -> str:
    """Return a value as text, empty if it is missing; a list or an object as JSON, as on import."""
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def items_of(text: str) -> list[str] | None:
    """Return the items of a list in a cell, as JSON or pandas write it; None for another text."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of backslashes such as those in ['\d']
            items = read(text)
            if isinstance(items, list) and not any(isinstance(item, list | tuple | dict | set) for item in items):
                return [str(item) for item in items if item is not None]
    return None


def array_of(row: RawRow, name: str, dtype: Any, *, has_gaps: bool = False) -> np.ndarray:
    """Return a value that consists of nested lists of finite numbers, as an array; with `has_gaps`, some can be missing
    and are NaN.

    Raises:
        EncodeError: it is missing, ragged, or contains other values.
    """
    try:
        with np.errstate(over="ignore"):  # the check below refuses what became infinite
            array = np.asarray(value_of(row, name), dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        # It derives from ValueError, and names the missing column
        if isinstance(error, EncodeError):
            raise
        raise EncodeError(f"{name!r} takes rows of numbers that are equally long, received something else.") from None
    if not np.isfinite(array[~np.isnan(array)] if has_gaps else array).all():
        raise EncodeError(f"{name!r} takes finite numbers, received some that are missing or infinite.")
    return array


def boolean(value: Any, name: str) -> float:
    """Return 1 for yes, 0 for no, NaN for a missing value.

    Raises:
        EncodeError: the value is neither.
    """
    text = "" if value is None else str(value).strip().lower()
    if text in NOTHING:
        return math.nan
    if text in _YES or text in _NO:
        return float(text in _YES)
    raise EncodeError(f"The column {name!r} takes yes or no, received {str(value)[:60]!r}.")


def iso_moment(text: str) -> datetime | None:
    """Return a date or time in ISO format, converted to UTC; None for other text. Without a zone, UTC is assumed."""
    try:
        moment = datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def date_part(value: Any, part: str, name: str) -> float:
    """Return a part of a date or time in ISO format, in UTC; NaN if it is missing.

    The part is `days` since 1970-01-01 with fractions, `year`, `quarter`, `month`, `day`, `yearday`, `weekday` (Monday
    is 0), `hour` or `minute`.

    Raises:
        EncodeError: the value is not such a date.
    """
    text = str(value).strip()
    if value is None or text.lower() in NOTHING:
        return math.nan
    moment = iso_moment(text)
    if moment is None:
        raise EncodeError(f"The column {name!r} takes dates such as 2024-05-31, received {text[:60]!r}.")
    if part in ("year", "month", "day", "hour", "minute"):
        return float(getattr(moment, part))
    parts = {"weekday": moment.weekday(), "quarter": (moment.month + 2) // 3, "yearday": moment.timetuple().tm_yday}
    return float(parts[part]) if part in parts else moment.timestamp() / _DAY_SECONDS


def logical(text: str) -> str:
    """Return true and false as True and False; other text unchanged."""
    return {"true": "True", "false": "False"}.get(text.strip().lower(), text)


def numeral(text: str) -> str:
    """Return the category name of a number: 3 for 3, 3.0 and " 3 "; other text unchanged."""
    if text.strip().lower() in NOTHING:
        return ""
    try:
        number = float({"true": "1", "false": "0"}.get(text.strip().lower(), text))
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else repr(number)


def row_digest(row: RawRow) -> bytes:
    """Return a digest that is equal for equal raw rows, however their numbers are stored."""
    digest = blake2b(digest_size=16)
    for name, value in sorted(row.items()):
        array = np.asarray(value) if value is not None else None
        if array is not None and array.dtype.kind in "biuf":
            digest.update(f"{name!r} {array.shape}".encode())
            digest.update(array.astype(np.float64).tobytes())
        else:
            digest.update(f"{name!r} {value!s}".encode())
    return digest.digest()
