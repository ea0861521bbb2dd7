"""Formats text, sizes and times for display on pages and in terminals."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

# Where an invisible letter breaks an address, which Markdown would make a link even if it is escaped.
_WITHIN_ADDRESS = re.compile(r"(?<=www)(?=\.)|(?<=:)(?=//)|(?<=@)", re.IGNORECASE)


def plain(text: str) -> str:
    """Return text from users on one line, without control characters, which a terminal or a source file would
    interpret."""
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())


def escape(text: str) -> str:
    """Return text escaped for Markdown, on one line, with no addresses that Markdown makes links."""
    special = "\\`*_{}[]()<>#+-.!|~$:&"
    line = break_addresses(" ".join(text.split()))
    return "".join(f"\\{letter}" if letter in special else letter for letter in line)


def break_addresses(text: str) -> str:
    """Return text in which addresses contain an invisible letter, so that Markdown does not make them links."""
    return _WITHIN_ADDRESS.sub("\u2060", text)


def cut(text: str, letters: int) -> str:
    """Return a text of at most `letters` characters; a longer one ends with an ellipsis, after a word if it can."""
    if len(text) <= letters:
        return text
    beginning = text[: letters - 1]
    words = beginning[: beginning.rfind(" ") + 1]
    return f"{(words if 3 * len(words) > 2 * letters else beginning).rstrip(' ,;…')}…"


def distinct(names: Sequence[str], letters: int) -> list[str]:
    """Return names for an axis of a chart, on which equal names would share a position: longer ones are cut in their
    middle to `letters` characters, and numbered if they are equal then."""
    end = letters // 2
    short = [name if len(name) <= letters else f"{name[: letters - 1 - end]}…{name[-end:]}" for name in names]
    equal = Counter(short)
    return [name if equal[name] == 1 else f"{name} ({number})" for number, name in enumerate(short, 1)]


def without_markup(text: str) -> str:
    """Return text in which Plotly finds no HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def counted(count: int, singular: str, plural: str = "") -> str:
    """Return a count with its noun: 1 row, 2 rows."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def file_stem(name: str) -> str:
    """Return a name for a file of a project, without a suffix: lowercase ASCII letters, digits and hyphens."""
    # NFKD separates letters from their accents, so that ASCII keeps the letters.
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")[:60].strip("-") or "network"


def first_line(error: BaseException, letters: int = 200) -> str:
    """Return the first line of an error's message, of at most `letters` characters; its type if it has no message."""
    lines = str(error).strip().splitlines()
    return plain(lines[0])[:letters] if lines else type(error).__name__


def no_json(error: Exception) -> str:
    """Return why a text is not valid JSON, from the error of `json.loads`."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} in line {error.lineno:,}, at character {error.colno:,}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    message = plain(str(error))
    # Python limits the digits of int(str) against quadratic running time; its message names a Python function.
    return "an integer in it has too many digits" if "set_int_max_str_digits" in message else message.rstrip(". ")


@lru_cache(maxsize=16_384)
@lru_cache(maxsize=65_536)
def natural(name: str) -> tuple[tuple[tuple[str, int], ...], str]:
    """Return a sort key under which linear_2 precedes linear_10, and no two names are equal."""
    # The name itself comes last: a_1 and a_01 have equal parts.
    return tuple((text, int(number or 0)) for text, number in re.findall(r"(\D+)(\d*)", name)), name


def number(value: float, digits: int = 4, *, signed: bool = False) -> str:
    """Return a number with this many significant digits; a larger one as an integer, without an exponent. `signed`
    numbers that are not negative begin with +."""
    sign = "+" if signed else ""
    # From 10**digits − 0.5 on, the format `g` would round up to a power of ten and switch to an exponent.
    return f"{value:{sign}.0f}" if 10**digits - 0.5 <= abs(value) < 1e15 else f"{value:{sign}.{digits}g}"


def value_text(value: Any) -> str:
    """Return a prediction or a label in words: a number, a name, several of them, or one for each target."""
    if isinstance(value, Mapping):
        separator = "; " if any(isinstance(part, (list, tuple)) for part in value.values()) else ", "
        return separator.join(f"{name}: {value_text(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(value_text, value))
    return number(value) if isinstance(value, float) else str(value)


def in_sentence(title: str) -> str:
    """Return a title for use within a sentence; abbreviations such as EMA stay in upper case."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def size(value: float) -> str:
    """Return a number of bytes as text."""
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if value >= 1024**power:
            number = value / 1024**power
            return f"{number:.0f} {unit}" if number >= 1_000 else f"{number:.3g} {unit}"
    return f"{value:.0f} B"


def between(low: float, high: float) -> str:
    """Return a range of durations, such as 3 min 20 s to 4 min 05 s; a single one if both have the same text."""
    short, long = duration(low), duration(high)
    return long if short == long or high < 10 else f"{short} to {long}"


def duration(seconds: float) -> str:
    """Return a duration, such as 1 h 05 min, 3 min 20 s, or 12 s."""
    # Rounded once, before it is split: 59.7 s is 1 min 00 s, not 0 min 60 s.
    total = round(seconds)
    if total >= 3_600:
        return f"{total // 3_600} h {total % 3_600 // 60:02d} min"
    return f"{total // 60} min {total % 60:02d} s" if total >= 60 else f"{total} s"
