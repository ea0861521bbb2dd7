"""Encodes a column of numbers, parts of dates, or booleans: imputed, then scaled."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from netloom.modalities.encoding.cells import (
    LARGEST_ENCODED,
    NOTHING,
    EncodeError,
    RawRow,
    boolean,
    date_part,
    value_of,
)
from netloom.modalities.encoding.coercion import (
    DATE_FORMS,
    LARGEST,
    WRITTEN_FORMS,
    date_forms,
    is_grouped,
    is_nothing,
    moment,
    nearest_form,
    number,
)
from netloom.modalities.encoding.column_encoder import CellReader, ColumnEncoder, ColumnState, CsvColumn

_NEAREST_TO_END = 1e-7  # the smallest distance of a share from 0 and 1, where the normal quantile is infinite


@dataclass(frozen=True, kw_only=True)
class NumberState(ColumnState):
    """The state of numbers: missing ones are replaced by the `median` or `fill`, then (x - `mean`) / `std`.

    Before that, numbers can be passed through a symmetric logarithm (`log`), or replaced by their share below the
    `quantiles` of the training rows, and by the quantile of that share in a `normal` distribution. `indicator` adds a
    feature for missing numbers. Cells of files can have `grouped` digits, and the `symbol` of those of training. Parts
    of dates have the column of the `date`, the `part` and the `form` of the dates.
    """

    indicator: bool = False
    median: float | None = None
    fill: float | None = None
    log: bool = False
    quantiles: Sequence[float] | None = None
    normal: bool | None = None
    mean: float
    std: float
    grouped: bool = False
    symbol: str = ""
    boolean: bool = False
    date: str | None = None
    part: str | None = None
    form: str | None = None

    @property
    def replacement(self) -> float:
        """The number that replaces missing ones."""
        replacement = self.median if self.fill is None else self.fill
        if replacement is None:
            raise EncodeError(f"The fitted state of {self.name!r} has no 'median' and no 'fill'.")
        return replacement


class NumberEncoder(ColumnEncoder):
    """Encodes numbers as (N, 1), or (N, 2) with an indicator of missing values."""

    type = "number"
    state_type = NumberState
    state: NumberState

    @property
    def width(self) -> int:
        return 2 if self.state.indicator else 1

    @property
    def feature_names(self) -> list[str]:
        return [self.name, f"{self.name} is missing"] if self.state.indicator else [self.name]

    def encode(self, rows: list[RawRow]) -> np.ndarray:
        return self.encode_array(self._numbers(rows))

    def encode_array(self, values: Any) -> np.ndarray:
        """Return numbers (N,), NaN where one is missing, imputed and scaled, (N, width)."""
        state, numbers = self.state, np.asarray(values)
        missing = np.isnan(numbers)
        numbers = np.where(missing, state.replacement, numbers)
        if state.log:
            numbers = np.sign(numbers) * np.log1p(abs(numbers))
        if state.quantiles is not None:
            numbers = _share_below(np.array(state.quantiles), numbers)
            if state.normal:
                inverse = NormalDist().inv_cdf
                clipped = numbers.clip(_NEAREST_TO_END, 1 - _NEAREST_TO_END)
                numbers = np.array([inverse(share) for share in clipped.tolist()])
        # The clip below makes infinite results finite
        with np.errstate(over="ignore"):
            scaled: np.ndarray = (numbers - state.mean) / state.std
        np.clip(scaled, -LARGEST_ENCODED, LARGEST_ENCODED, out=scaled)
        return np.stack([scaled, missing], axis=1) if state.indicator else scaled[:, None]

    def restore(self, encoded: np.ndarray) -> float:
        state = self.state
        value = float(float(encoded[0]) * state.std + state.mean)
        if state.quantiles is not None:
            share = NormalDist().cdf(value) if state.normal else value
            value = float(np.interp(share, np.linspace(0, 1, len(state.quantiles)), state.quantiles))
        if state.log:
            value = math.copysign(math.expm1(min(abs(value), 700.0)), value)
        return value

    @property
    def date_column(self) -> str | None:
        return self.state.date

    @property
    def cell_readers(self) -> dict[str, CellReader]:
        if self.date_column is None:
            return {self.name: self}
        # The parts of a date are numbers; the column that they are made from holds dates.
        return {self.name: self, self.date_column: DateReader(self.state.form)}

    def read(self, column: CsvColumn) -> Iterable[Any]:
        grouped = self.state.grouped or is_grouped(column.known, column.decimal)
        if self.state.boolean:
            return [_boolean_of(cell, column) for cell in column.cells]
        known = [cell for cell in column.known if not is_nothing(cell)]
        numbers = [_number_of(cell, column.decimal, grouped, self.state.symbol) for cell in column.cells]
        if column.known and all(number(cell, column.decimal, grouped, self.state.symbol) is None for cell in known):
            _refuse_wrong_type(column, "numbers")
        return _noted(column, numbers)

    @property
    def is_ordered(self) -> bool:
        return True

    @property
    def is_continuous(self) -> bool:
        return not self.state.boolean

    @property
    def is_linear(self) -> bool:
        return not (self.state.log or self.state.quantiles or self.state.boolean)

    @property
    def step(self) -> float:
        return float(self.state.std)

    @property
    def date_part(self) -> str | None:
        """The part of the date that these numbers are, such as "days"; None for other numbers."""
        return self.state.part

    def comparable(self, value: Any) -> Any:
        """Return the number; None if it is missing, or if the value is not a number, which is missing in files."""
        try:
            parsed = self._number({self.name: value})
        except EncodeError:
            return None
        return None if math.isnan(parsed) else parsed

    def part_of(self, date: Any) -> float:
        """Return the part of a date in ISO format or in the format of the training data; NaN if it is missing.

        Raises:
            EncodeError: it is in another format.
        """
        form = self.state.form
        parsed = moment(date, form) if form and isinstance(date, str) else None
        return date_part(date if parsed is None else parsed.isoformat(), self.state.part or "", self.date_column or "")

    def plain_cells(self, row: RawRow) -> dict[str, Any]:
        """Return the number, or the date in ISO format."""
        date = self.date_column
        if date is not None and isinstance(row.get(date), str):
            self.part_of(row[date])  # refuses other texts
            parsed = moment(row[date], self.state.form or DATE_FORMS[0])
            return {} if parsed is None else {date: parsed.isoformat()}
        if date is None and not self.is_boolean and isinstance(row.get(self.name), str):
            value = self._number(row)
            return {self.name: None if math.isnan(value) else value}
        return {}

    @property
    def is_bounded(self) -> bool:
        return self.state.quantiles is not None

    @property
    def is_boolean(self) -> bool:
        """Whether the numbers represent yes and no."""
        return self.state.boolean

    def _numbers(self, rows: list[RawRow]) -> np.ndarray:
        """Return the numbers of all rows (N,), NaN where one is missing."""
        with suppress(KeyError, TypeError, ValueError, OverflowError):
            numbers = np.array([row[self.name] for row in rows], dtype=np.float64)
            if numbers.ndim == 1 and not np.isinf(numbers).any() and not self.is_boolean:
                return numbers  # many times as fast as cell by cell
        # Cell by cell, which also names the invalid cell.
        return np.array([self._number(row) for row in rows], dtype=np.float64)

    def _number(self, row: RawRow) -> float:
        date = self.date_column
        if date is not None and self.name not in row and date in row:
            return self.part_of(row[date])
        value = value_of(row, self.name if date is None or self.name in row else date)
        if isinstance(value, str):
            text = value.strip().lower()
            value = None if text in NOTHING else {"true": 1.0, "false": 0.0}.get(text, value)
            if self.state.grouped and isinstance(value, str):
                parsed_text = number(value, grouped=True, symbol=self.state.symbol)
                value = value if parsed_text is None else parsed_text
        if value is None:
            return math.nan
        if self.is_boolean:
            return boolean(value, self.name)
        try:
            parsed = float(value)
        except (TypeError, ValueError, OverflowError):
            raise EncodeError(f"The column {self.name!r} takes numbers, received {str(value)[:60]!r}.") from None
        if math.isinf(parsed):
            raise EncodeError(f"The column {self.name!r} takes finite numbers, received {parsed}.")
        return parsed


class DateReader(CellReader):
    """Reads dates in the format of the training data, or in the only other format that fits."""

    def __init__(self, form: str | None) -> None:
        self.form = str(form or DATE_FORMS[0])

    def read(self, column: CsvColumn) -> Iterable[Any]:
        dates = [_date_of(cell, self.form) for cell in column.cells]
        if any(date is None and not is_nothing(cell) for date, cell in zip(dates, column.cells, strict=True)):
            form = self._form(column.name, [cell for cell in column.known if not is_nothing(cell)])
            dates = [_date_of(cell, form) for cell in column.cells]
        if not any(dates):
            _refuse_wrong_type(column, "dates such as 2024-05-31")
        return _noted(column, dates)

    def _form(self, name: str, cells: list[str]) -> str:
        """Return the format of these dates: that of training if it fits all cells, else the only one that does.

        If none does, this is the format that fits most cells that are not in ISO format, which is always read.

        Raises:
            EncodeError: several formats fit all cells.
        """
        fits = date_forms(cells)
        if self.form in fits or not cells:
            return self.form
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise EncodeError(
                f"The dates of the column {name!r} can be read in two ways, such as {cells[0][:40]!r}; write "
                "them as 2024-05-31."
            )
        return nearest_form(cells, (self.form, *WRITTEN_FORMS))


def _share_below(quantiles: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the share of the training rows below each number (N,); for a repeated number, the middle of its shares.

    The same as scikit-learn's `QuantileTransformer`.
    """
    shares = np.linspace(0, 1, len(quantiles))
    below = np.interp(numbers, quantiles, shares)
    # Of equal quantiles, `interp` takes the last share, and here, reversed, the first
    above = -np.interp(-numbers, -quantiles[::-1], -shares[::-1])
    middle: np.ndarray = (below + above) / 2
    # Beyond the range of training the share is 0 or 1.
    return np.where(numbers <= quantiles[0], 0.0, np.where(numbers >= quantiles[-1], 1.0, middle))


def _number_of(cell: str | None, decimal: str, grouped: bool, symbol: str) -> float | None:
    """Return the number in a cell; None if it is missing, unreadable or too large, as in import."""
    if cell is None or is_nothing(cell):
        return None
    parsed = number(cell, decimal, grouped, symbol)
    return None if parsed is None or math.isinf(parsed) or abs(parsed) > LARGEST else parsed


def _boolean_of(cell: str | None, column: CsvColumn) -> float | None:
    if cell is None or is_nothing(cell):
        return None
    parsed = number(cell, column.decimal)
    return boolean(cell if parsed is None else parsed, column.name)


def _date_of(cell: str | None, form: str) -> str | None:
    date = None if cell is None or is_nothing(cell) else moment(cell, form) or moment(cell)
    return None if date is None else date.isoformat()


def _refuse_wrong_type(column: CsvColumn, expected: str) -> None:
    """Refuse a column whose cells are all of another kind, so that it is not the column of training.

    Raises:
        EncodeError: the column has a cell that is not missing.
    """
    wrong = next((cell for cell in column.known if not is_nothing(cell)), None)
    if wrong is not None:
        raise EncodeError(f"The column {column.name!r} takes {expected}, received {wrong[:60]!r}.")


def _noted(column: CsvColumn, values: Sequence[Any]) -> Sequence[Any]:
    """Return the values, and record the cells that could not be read in `column.unreadable`."""
    for row, (cell, value) in enumerate(zip(column.cells, values, strict=True)):
        if value is None and cell is not None and not is_nothing(cell):
            column.unreadable[row][column.name] = cell
    return values
