"""Dates in informal notation, and in ISO form."""

from __future__ import annotations

from datetime import date

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.raw_dataset import RawDataset
from netloom.data.sequence_pairs import Pairs

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ONES = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_ORDINALS = (
    "", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
    "twentieth",
)  # fmt: skip
# The day precedes the month if both are numbers with dots or slashes, as in most of the world.
FORMS = (
    "{day} {month} {year}", "{day} {short} {year}", "{month} {day}, {year}", "{short} {nth} {year}",
    "{day}.{number}.{year}", "{day}/{number}/{year}", "{weekday}, {day} {month} {year}",
    "{weekday} {day}.{number}.{year}",
    "the {nth} of {month} {year}", "the {ordinal} of {month}, {spoken}", "{month} the {ordinal} {year}",
    "{month} {nth}, {spoken}", "on {weekday} the {nth} of {month} {year}", "in {year}, on the {nth} of {month}",
    "{spoken}, {month} {day}",
)  # fmt: skip


class Dates(Dataset):
    """Dates in fifteen forms, with the target year-month-day.

    All rows of one day are in the same part of the split, so that no test target occurs in training.
    """

    name = "dates"
    example_count = 2500
    title = "Dates in words"
    kind = "text"
    task = "seq2seq"
    summary = "Dates as people write them, to convert to ISO 8601, such as 2024-05-31"

    rows: Rows = Field(2500, description="Number of dates")
    first: int = Field(1990, ge=1900, le=2099, description="The first year")
    years: int = Field(40, ge=1, le=100, description="Number of years from the first year on")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        start = date(self.first, 1, 1).toordinal()
        days = date(self.first + self.years, 1, 1).toordinal() - start
        day_of_text: dict[str, date] = {}
        while len(day_of_text) < self.rows:
            day = date.fromordinal(start + int(random.integers(days)))
            day_of_text.setdefault(written_date(day, FORMS[int(random.integers(len(FORMS)))]), day)
        return Pairs(
            name="text",
            target=np.arange(self.rows),
            target_kind="sequence",
            target_name="date",
            texts=list(day_of_text),
            answers=[day.isoformat() for day in day_of_text.values()],
            groups=np.array([day.toordinal() for day in day_of_text.values()]),
        )


def written_date(day: date, form: str) -> str:
    """Return a day in one of the forms."""
    month = _MONTHS[day.month - 1]
    ending = "th" if day.day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    tens, units = divmod(day.day, 10)
    late = ("thirtieth" if not units else "thirty-first") if tens == 3 else f"twenty-{_ORDINALS[units]}"
    return form.format(
        day=day.day,
        nth=f"{day.day}{ending}",
        ordinal=late if day.day > 20 else _ORDINALS[day.day],
        month=month,
        short=month[:3],
        number=day.month,
        year=day.year,
        spoken=_spoken(day.year),
        weekday=_WEEKDAYS[day.weekday()],
    )


def _spoken(year: int) -> str:
    century, remainder = divmod(year, 100)
    begins = "nineteen" if century == 19 else "twenty"
    if remainder == 0:
        return f"{begins} hundred" if century == 19 else "two thousand"
    if remainder < 10:
        return f"{begins} oh {_ONES[remainder]}"
    tens, units = divmod(remainder, 10)
    names = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
    return f"{begins} {_TEENS[units]}" if tens == 1 else f"{begins} {names[tens]} {_ONES[units]}".strip()
