"""Tables in the order of time without one column of dates: a note says how to split by time, and how to forecast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from netloom.data import add_file, prepare
from netloom.document import DataChoice
from tests.data.samples import csv_from_columns, import_and_prepare

ROWS = 60
MONTHS, HOURS = (pd.date_range("2001-01-01", periods=ROWS, freq=unit) for unit in ("MS", "h"))
TIMES: dict[str, dict[str, Any]] = {
    "'time'": {"time": 1_700_000_000 + 3_600 * np.arange(ROWS)},
    "'timestamp'": {"timestamp": (1_700_000_000 + 3_600 * np.arange(ROWS)) * 1_000},
    "'year'": {"year": 1_900 + np.arange(ROWS)},
    "'year' and 'month'": {"month": MONTHS.month, "year": MONTHS.year},
    "'date' and 'clock'": {"date": HOURS.strftime("%Y-%m-%d"), "clock": HOURS.strftime("%H:%M:%S")},
}


def file(times: dict[str, Any]) -> bytes:
    random = np.random.default_rng(0)
    return csv_from_columns({**times, "a": random.normal(size=ROWS), "y": np.sin(np.arange(ROWS) / 5)})


@pytest.mark.parametrize("named", TIMES)
def test_rows_in_the_order_of_time_are_noted(named: str, home: Path) -> None:
    data = import_and_prepare(file(TIMES[named]), home)
    (note,) = [warning for warning in data.warnings if "order of time" in warning]
    assert note.startswith(f"The rows seem to be in the order of time, by {named}. A random split tests on times")
    assert "write each time into one column, as 2024-01-31 or 2024-01-31 13:00, and add the file again" in note
    assert note.endswith("To forecast, add it as a series (--kind series).")
    role = f"set the role of {named} to time" in note
    assert role == (named in ("'time'", "'timestamp'", "'year'"))


@pytest.mark.parametrize("named", TIMES)
def test_shuffled_rows_are_not_noted(named: str, home: Path) -> None:
    order = np.random.default_rng(1).permutation(ROWS)
    shuffled = {name: np.asarray(values)[order] for name, values in TIMES[named].items()}
    assert not [warning for warning in import_and_prepare(file(shuffled), home).warnings if "order of time" in warning]


def test_other_rising_numbers_and_dates_are_not_noted(home: Path) -> None:
    for times in ({"id": np.arange(ROWS)}, {"size": 1_900 + np.arange(ROWS)}, {"date": MONTHS.strftime("%Y-%m-%d")}):
        assert not [text for text in import_and_prepare(file(times), home).warnings if "order of time" in text]


def test_the_advice_of_the_note_is_possible(home: Path) -> None:
    """The role of time splits by time, and the kind series forecasts."""
    content = file(TIMES["'time'"])
    info = add_file(content, "a.csv", home, options={"columns": {"time": {"role": "time"}}})
    data = prepare(DataChoice(dataset=info.name), home)
    assert not [text for text in data.warnings if "order of time" in text]
    assert int(data.split["train"].max()) < int(data.split["test"].min())
    series = add_file(file(TIMES["'year' and 'month'"]), "b.csv", home, kind="series", target="y")
    assert prepare(DataChoice(dataset=series.name), home).schema.target.forecast is not None
