"""Labeled time series in `.ts` files, as those of the UEA & UCR archive: https://www.timeseriesclassification.com."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from netloom.core.errors import DataError
from netloom.core.text import counted
from netloom.data.dialect import decode_text
from netloom.data.limits import MAX_STORED_BYTES

SUFFIXES = (".ts", ".tsf")
SERIES, LABEL, VALUE = "series", "label", "value"  # the names of the arrays
_MISSING = "?"
_ITEM_BYTES = 8
_HEADER = re.compile(rb"(?im)^@(timestamps|univariate|classlabel|targetlabel)\b")
_FORECASTS = re.compile(rb"(?im)^@(frequency|horizon)\b")
_DATA = re.compile(rb"(?im)^@data\b")
_CLASSES, _NUMBERS = "classlabel", "targetlabel"


@dataclass(frozen=True)
class LabeledSeries:
    """The rows of one file: each series (steps, channels), and the texts of the labels; none if there are no labels."""

    rows: list[np.ndarray]
    labels: list[str]
    are_numbers: bool

    @property
    def longest(self) -> int:
        """The steps of the longest series."""
        return max(map(len, self.rows))


def is_series_file(content: bytes, name: str) -> bool:
    """Return whether a text has the header of labeled series.

    Raises:
        DataError: It has that of series to forecast, as in `.tsf` files.
    """
    if not _DATA.search(content):
        return False
    if _FORECASTS.search(content):
        raise DataError(
            f"{name[:100]!r} has series to forecast, each with its own steps (.tsf), which are not read; save series "
            "of the same steps as CSV with a column for each."
        )
    return _HEADER.search(content) is not None


def read_series(content: bytes, name: str) -> LabeledSeries:
    """Read a `.ts` file: a header, and after `@data` a line per row, with the channels and the label separated by
    colons, and the steps of a channel by commas.

    Raises:
        DataError: The file has time stamps or no rows, or a line is not understood.
    """
    lines = enumerate(decode_text(content, name)[0].splitlines(), 1)
    header = _header(lines)
    if header.get("timestamps", "").lower() == "true":
        raise DataError(f"{name[:100]!r} has time stamps, which are not read; save its series without them.")
    kind = next((kind for kind in (_CLASSES, _NUMBERS) if header.get(kind, "").lower().startswith("true")), "")
    rows, labels = list[np.ndarray](), list[str]()
    for number, line in lines:
        if not (line := line.strip()) or line[0] in "#%":
            continue
        channels = line.split(":")
        if kind:
            labels.append(channels.pop().strip())
        rows.append(_series(channels, f"Line {number:,} of {name[:100]!r}"))
        if rows[-1].shape[1] != rows[0].shape[1]:
            raise DataError(
                f"Line {number:,} of {name[:100]!r} has {counted(len(channels), 'channel')}, and the first row has "
                f"{rows[0].shape[1]:,}; channels are separated by colons."
            )
    if not rows:
        raise DataError(f"{name[:100]!r} has no series below '@data'; copy it again.")
    return LabeledSeries(rows, labels, kind == _NUMBERS)


def as_arrays(files: Mapping[str, LabeledSeries]) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """Return the arrays of each file, and notes. All series get the length of the longest one, with zeros at the end.

    Raises:
        DataError: They are too large, or a label is not a number although the header says so.
    """
    longest = max(file.longest for file in files.values())
    shortest = min(len(row) for file in files.values() for row in file.rows)
    size = sum(len(file.rows) * file.rows[0].shape[1] for file in files.values()) * longest * _ITEM_BYTES
    if size > MAX_STORED_BYTES:
        raise DataError(
            f"The series take {size / 2**20:,.0f} MiB; at most {MAX_STORED_BYTES / 2**20:,.0f} MiB can be read, so "
            "save a part of them."
        )
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for name, file in files.items():
        arrays[name] = {SERIES: np.stack([np.pad(row, ((0, longest - len(row)), (0, 0))) for row in file.rows])}
        if file.labels:
            arrays[name][VALUE if file.are_numbers else LABEL] = _labels(file, name)
    notes = [f"The series have {shortest:,} to {longest:,} steps; zeros follow the shorter ones, up to {longest:,}."]
    return arrays, notes if shortest < longest else []


def _header(lines: Iterator[tuple[int, str]]) -> dict[str, str]:
    """Return the settings of a header in lower case, such as `classlabel`, and leave the lines after `@data`."""
    header: dict[str, str] = {}
    for _, line in lines:
        name, _, value = line.strip().partition(" ")
        if name.lower() == "@data":
            break
        if name.startswith("@"):
            header[name[1:].lower()] = value.strip()
    return header


def _series(channels: list[str], where: str) -> np.ndarray:
    """Return the channels of a line as an array (steps, channels); missing values are NaN."""
    try:
        values = [
            np.array([math.nan if step.strip() == _MISSING else step for step in channel.split(",")], dtype=np.float64)
            for channel in channels
        ]
    except ValueError:
        raise DataError(
            f"{where} has a step that is not a number; steps are separated by commas, and a missing one is '?'."
        ) from None
    if not values or len({len(channel) for channel in values}) > 1:
        lengths = ", ".join(f"{len(channel):,}" for channel in values[:6]) or "no"
        raise DataError(f"{where} has channels of {lengths} steps; all channels of a row need equally many.")
    return np.stack(values, axis=1)


def _labels(file: LabeledSeries, name: str) -> np.ndarray:
    if not file.are_numbers:
        return np.array(file.labels)
    try:
        return np.array(file.labels, dtype=np.float64)
    except ValueError:
        raise DataError(
            f"A label of {name[:100]!r} is not a number although its header has '@targetlabel true'; write "
            "'@classlabel true' with the names of the classes, or correct the label."
        ) from None
