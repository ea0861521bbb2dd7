"""Parses the cells of a text file as numbers and dates.

Import and prediction both use these functions, so that equal cells give equal bits. A copy of this module is part of
each exported network.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from netloom.modalities.encoding.cells import NOTHING, iso_moment

# Larger numbers are treated as missing; the square of a smaller one is finite in float64.
LARGEST = 1e100
# Formats of the cells of a column: dates such as 2024-05-31, and numbers with groups of three digits; those with a
# symbol have it behind this word.
ISO, GROUPED = "iso", "grouped"
ISO_DATE = r"\d{4}-\d{2}(-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?"
# After a date of numbers, such as 13:00, 13:00:30.5 or 1:00 PM
_TIME = (
    r"(?:[ T](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<fraction>\.\d{1,6})?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?)?"
)
_DAY, _MONTH, _YEAR = r"(?P<day>\d{1,2})", r"(?P<month>\d{1,2})", r"(?P<year>\d{4})"
_FIRST_SHORT_YEAR = 69
_NEAR_YEAR = r"(?P<year>1[5-9]\d{2}|2[01]\d{2})"  # so that codes such as 4711Q2 are not periods
_SHORT_YEAR = r"(?P<short_year>\d{2})"
_NAME, _BETWEEN = r"(?P<name>[A-Za-z]{3,9})\.?", r"[ /_.,-]*"
# Other formats, with the codes of strftime; %q is the quarter. Periods begin with their first day. Dates of numbers can
# have a time.
_WRITTEN = {
    form: re.compile(pattern)
    for form, pattern in (
        ("%d.%m.%Y", rf"{_DAY}\.{_MONTH}\.{_YEAR}{_TIME}"),
        ("%d/%m/%Y", f"{_DAY}/{_MONTH}/{_YEAR}{_TIME}"),
        ("%m/%d/%Y", f"{_MONTH}/{_DAY}/{_YEAR}{_TIME}"),
        ("%d-%m-%Y", f"{_DAY}-{_MONTH}-{_YEAR}{_TIME}"),
        ("%m-%d-%Y", f"{_MONTH}-{_DAY}-{_YEAR}{_TIME}"),
        ("%Y/%m/%d", f"{_YEAR}/{_MONTH}/{_DAY}{_TIME}"),
        ("%d.%m.%y", rf"(?P<day>\d{{2}})\.(?P<month>\d{{2}})\.{_SHORT_YEAR}{_TIME}"),
        ("%d/%m/%y", f"{_DAY}/{_MONTH}/{_SHORT_YEAR}{_TIME}"),
        ("%m/%d/%y", f"{_MONTH}/{_DAY}/{_SHORT_YEAR}{_TIME}"),
        ("%d %b %y", f"{_DAY}[ /.-]{_NAME}[ /.-]{_SHORT_YEAR}"),  # 31-May-24
        ("%d %b %Y", f"{_DAY}{_BETWEEN}{_NAME}{_BETWEEN}{_NEAR_YEAR}"),  # 31 May 2024, 31-May-2024
        ("%b %d %Y", f"{_NAME}{_BETWEEN}{_DAY}[ /_.,-]+{_NEAR_YEAR}"),  # May 31, 2024
        ("%b %Y", f"{_NAME}{_BETWEEN}{_NEAR_YEAR}"),
        ("%Y %b", f"{_NEAR_YEAR}{_BETWEEN}{_NAME}"),
        ("%YM%m", f"{_NEAR_YEAR}[Mm]{_MONTH}"),
        ("%YQ%q", rf"{_NEAR_YEAR}{_BETWEEN}[Qq](?P<quarter>[1-4])"),
        ("Q%q %Y", rf"[Qq](?P<quarter>[1-4]){_BETWEEN}{_NEAR_YEAR}"),
        ("%GW%V", rf"{_NEAR_YEAR}{_BETWEEN}[Ww](?P<week>\d{{1,2}})"),
        ("W%V %G", rf"[Ww](?P<week>\d{{1,2}}){_BETWEEN}{_NEAR_YEAR}"),
    )
}
WRITTEN_FORMS = tuple(_WRITTEN)
DATE_FORMS = (ISO, *WRITTEN_FORMS)
_MONTH_NAMES = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NUMBER_WORDS = {"true": 1.0, "false": 0.0, **dict.fromkeys(("inf", "+inf", "infinity", "+infinity"), math.inf),
          **dict.fromkeys(("-inf", "-infinity"), -math.inf)}  # fmt: skip
# A number with a symbol or code of a currency before or after it, or with a unit after it
_CURRENCY = (
    r"[$€£¥₹₩₽₺₫₪฿₴₦₱]|US\$|R\$|USD|EUR|GBP|CHF|JPY|INR|CNY|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|RUB|TRY|MXN|ZAR"
    r"|Rs\.?"
)
_UNIT = (
    r"%|‰|°[CF]?|kg|mg|lbs?|oz|km|cm|mm|ft|mi|min|ms|kW|hp|bhp|[cC][cC]|kmpl|km/kg|km/l|km/h|mph|kWh|Hz|kHz|MHz|GHz|kB|KB|MB|"
    r"GB|TB|ml|(?<=\s)[gtmhslLVAW]"
)
_WITH_SYMBOL = re.compile(
    rf"([+-]?)({_CURRENCY})?\s*([+-]?[\d.,](?:[\d.,'\u2019 \u00a0\u2009\u202f]*[\d.,])?)\s*({_CURRENCY}|{_UNIT})?"
)
# Blanks, also narrow ones, and apostrophes between groups of three digits, which cannot be decimal marks
_GROUP_MARK = re.compile(r"(?<=\d)[ \u00a0\u2009\u202f'\u2019](?=\d{3}(?!\d))")
_UNUSUAL = re.compile(r"[ \u00a0\u2009\u202f'\u2019\u2212(]")
_NEGATIVE = re.compile(r"\(([^()-]*\d[^()-]*)\)")  # (12.50), as in accounting
_LEADING_ZERO = re.compile(r"\D*0\d")
# By decimal mark: numbers in groups of three digits, and the part that makes one unambiguous (1,234 could be 1.234).
_GROUPED = {
    ".": (  # also the groups of India: 12,34,567
        re.compile(r"[+-]?(?:\d{1,3}(?:,\d{2,3})*,\d{3}|\d+)(?:\.\d+)?"),
        re.compile(r",\d{3}[,.]|,\d{2},"),
    ),
    ",": (re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d+)?"), re.compile(r"\.\d{3}[,.]")),
}


def is_nothing(cell: str | None) -> bool:
    """Return whether a cell is the text of a missing value."""
    return cell is None or cell.strip().lower() in NOTHING


def number(cell: str, decimal: str = ".", grouped: bool = False, symbol: str = "") -> float | None:
    """Return the number in a cell, also an infinite one; None if the cell is not a number.

    With `grouped`, digits can be in groups of three, separated by blanks, apostrophes or commas, or by points if the
    decimal mark is a comma, and (12) is −12. The number can have this symbol of its column, and no other: 12% is 12.
    """
    text, found = _without_symbol(cell) if symbol else (cell.strip(), "")
    if found != symbol:
        text = cell.strip()
    text = _usual(text, decimal) if grouped else text.replace("\u2212", "-")
    if grouped and _GROUPED[decimal][0].fullmatch(text):
        text = text.replace("," if decimal == "." else ".", "")
    if decimal == ",":
        # Where the decimal mark is a comma, a point makes a cell invalid
        text = text.replace(".", "?").replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else _NUMBER_WORDS.get(text.lower())


def is_grouped(cells: Iterable[str], decimal: str = ".") -> bool:
    """Return whether a cell of a column is unambiguously a number in groups of three digits, or in another unusual
    notation, such as 1'234, −5 with the minus sign of Unicode, and (5)."""
    pattern, surely = _GROUPED[decimal]
    usual = ((cell.strip(), _usual(cell, decimal)) for cell in cells)
    return any((text != cell or surely.search(text)) and pattern.fullmatch(text) for cell, text in usual)


def are_grouped(cells: Sequence[str], decimal: str = ".", *, surely: bool = True) -> bool:
    """Return whether all cells are numbers with or without groups of three digits; with `surely`, one unambiguously.

    All of them have the same symbol, which is unambiguous, or none.
    """
    pattern, symbol = _GROUPED[decimal][0], common_symbol(cells)
    texts = [_without_symbol(cell)[0] for cell in cells] if symbol else cells
    return (
        bool(texts)
        and all(pattern.fullmatch(_usual(text, decimal)) for text in texts)
        and (not surely or bool(symbol) or is_grouped(texts, decimal))
    )


def common_symbol(cells: Iterable[str]) -> str:
    """Return the symbol that the numbers in all cells have; "" if there is none."""
    symbols = {_without_symbol(cell)[1] for cell in cells}
    return next(iter(symbols)) if len(symbols) == 1 else ""


def grouped_format(symbol: str) -> str:
    """Return the format of numbers with groups of digits or with a symbol."""
    return f"{GROUPED} {symbol}".rstrip()


def symbol_of(form: str | None) -> str | None:
    """Return the symbol in the format of a column, "" for numbers with groups of digits alone; None for others."""
    word, _, symbol = (form or "").partition(" ")
    return symbol if word == GROUPED else None


def _without_symbol(cell: str) -> tuple[str, str]:
    """Return a cell without the symbol beside its number, and the symbol; "" if it has none."""
    text = _signed(cell.strip())
    match = _WITH_SYMBOL.fullmatch(text)
    if match is None or bool(match[2]) == bool(match[4]):
        return text, ""
    return match[1] + match[3], match[2] or match[4]


def _usual(cell: str, decimal: str) -> str:
    """Return a cell with the usual minus sign and mark between groups of digits, also for (5) and 1'234."""
    text = cell.strip()
    if not _UNUSUAL.search(text):
        return text
    text = _signed(text)
    return text if _LEADING_ZERO.match(text) else _GROUP_MARK.sub("," if decimal == "." else ".", text)


def _signed(text: str) -> str:
    """Return a number with the usual minus sign instead of that of Unicode and of parentheses."""
    return _NEGATIVE.sub(r"-\1", text.replace("\u2212", "-"), count=1) if _UNUSUAL.search(text) else text


def moment(cell: str, form: str = ISO) -> datetime | None:
    """Return the date or time in a cell in one of the `DATE_FORMS`, in UTC; None if the cell has another format."""
    text = cell.strip()
    if form == ISO:
        return iso_moment(text)
    match = _WRITTEN[form].fullmatch(text)
    if match is None:
        return None
    parts = match.groupdict()
    year = int(parts["year"]) if "year" in parts else _near_year(int(parts["short_year"]))
    try:
        if "week" in parts:
            return datetime.fromisocalendar(year, int(parts["week"]), 1).replace(tzinfo=UTC)
        return datetime(year, _month(parts), int(parts.get("day", 1)), *_time(parts), tzinfo=UTC)
    except ValueError:
        return None


def _near_year(year: int) -> int:
    """Return the year of two digits from 1969 to 2068, as `strptime` does."""
    return 1900 + year if year >= _FIRST_SHORT_YEAR else 2000 + year


def _time(parts: Mapping[str, str | None]) -> tuple[int, int, int, int]:
    """Return the hour, minute, second and microsecond in the parts of a date; midnight without a time.

    Raises:
        ValueError: the hour does not fit AM or PM.
    """
    hour, half = int(parts.get("hour") or 0), (parts.get("half") or "").lower()
    if half and not 1 <= hour <= 12:
        raise ValueError(f"There is no hour {hour} {half}m.")
    hour = hour % 12 + 12 * (half == "p") if half else hour
    fraction = round(float(parts.get("fraction") or 0) * 1_000_000)
    return hour, int(parts.get("minute") or 0), int(parts.get("second") or 0), fraction


def _month(parts: dict[str, str]) -> int:
    """Return the month in the parts of a date, from 1 to 12; of a quarter, its first one. 0 for a name that is not that
    of a month in English, whole or shortened."""
    if "quarter" in parts:
        return 3 * int(parts["quarter"]) - 2
    if "name" not in parts:
        return int(parts["month"])
    name = parts["name"].lower()
    return next((number for number, month in enumerate(_MONTH_NAMES, 1) if month.startswith(name)), 0)


def is_spelled(form: str | None) -> bool:
    """Return whether a format of dates has the name of a month, or is that of a period."""
    return form in _WRITTEN and not re.fullmatch(r"[%dmYy./-]+", str(form))


def spelled(date: datetime, form: str) -> str:
    """Return a date in such a format, such as 2020Q1."""
    return date.strftime(form.replace("%q", str((date.month + 2) // 3)))


def date_forms(cells: Sequence[str]) -> list[str]:
    """Return the formats in which all of these cells can be read; several if day and month are ambiguous."""
    iso = re.compile(ISO_DATE)
    if cells and iso.fullmatch(cells[0]):
        return [ISO] if all(iso.fullmatch(cell) and moment(cell) for cell in cells) else []
    return [form for form in WRITTEN_FORMS if cells and all(moment(cell, form) for cell in cells)]


def nearest_form(cells: Sequence[str], forms: Sequence[str]) -> str:
    """Return the first of the formats in which most of these cells can be read."""
    counts = Counter(cells)  # categories and days repeat
    return max(forms, key=lambda form: sum(counts[cell] for cell in counts if moment(cell, form) is not None))
