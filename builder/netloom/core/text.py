"""Text, sizes and times as people read them, on a page as on a terminal."""

from __future__ import annotations

import json
import re
from functools import lru_cache


def plain(text: str) -> str:
    """Text from people on one line, without the control characters that a terminal or a source file would obey."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def no_json(error: Exception) -> str:
    """Why a text is no JSON that can be read, of the error of `json.loads` and of what it was given to refuse."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} in line {error.lineno:,}, at character {error.colno:,}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    message = plain(str(error))
    return "an integer in it has too many digits" if "set_int_max_str_digits" in message else message.rstrip(". ")


@lru_cache(maxsize=16_384)
def natural(name: str) -> tuple[tuple[tuple[str, int], ...], str]:
    """A sort key under which linear_2 comes before linear_10, and no two names are equal."""
    return tuple((text, int(number or 0)) for text, number in re.findall(r"(\D+)(\d*)", name)), name


def number(value: float, digits: int = 4) -> str:
    """A number to so many digits; a larger one to the last before its point, and with no power of ten."""
    return f"{value:.0f}" if 10**digits - 0.5 <= abs(value) < 1e15 else f"{value:.{digits}g}"


def size(value: float) -> str:
    """A number of bytes."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if value >= 1024**power:
            return f"{value / 1024**power:.3g} {unit}"
    return f"{value:.0f} B"


def between(low: float, high: float) -> str:
    """A length of time that is known roughly, such as 3 min 20 s to 4 min 05 s; one where the two read alike."""
    short, long = duration(low), duration(high)
    return long if short == long or high < 10 else f"{short} to {long}"


def duration(seconds: float) -> str:
    """A length of time, such as 1 h 05 min, 3 min 20 s, or 12 s."""
    total = round(seconds)
    if total >= 3_600:
        return f"{total // 3_600} h {total % 3_600 // 60:02d} min"
    return f"{total // 60} min {total % 60:02d} s" if total >= 60 else f"{total} s"
