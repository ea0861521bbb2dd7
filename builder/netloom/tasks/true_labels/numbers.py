"""True labels that are numbers: one number, one for each of several columns, or the next values of series."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.modalities.encoding.coercion import LARGEST
from netloom.tasks.true_labels.messages import listed, shown
from netloom.tasks.true_labels.true_label import TrueLabel

if TYPE_CHECKING:
    from netloom.data import Prepared


@dataclass(frozen=True)
class NumberLabel(TrueLabel):
    """One number, in the unit of the data."""

    title: ClassVar[str] = "Mean absolute error"
    is_share: ClassVar[bool] = False

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "number"}

    def check(self, label: Any) -> float:
        if isinstance(label, bool) or not isinstance(label, (int, float)) or not abs(label) < math.inf:
            raise DataError(f"The label must be a number, received {shown(label)}.")
        if abs(label) > LARGEST:  # which the import reads as missing
            raise DataError(f"The number of the label is too large; at most {LARGEST:g} is allowed.")
        return float(label)

    def parse(self, text: str) -> float:
        numbers = _typed_numbers(text)
        if len(numbers) != 1:
            raise DataError(f"The label must be one number, received {shown(text.strip())}.")
        return self.check(numbers[0])

    def error(self, prediction: Any, label: Any) -> float:
        """Return the distance; infinity if the prediction is not a finite number."""
        return _mean_distance(_differences([prediction], [label]))

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[float]:
        return [float(value) for value in data.restore(data.target[rows]).flatten().tolist()]


@dataclass(frozen=True)
class ColumnsLabel(TrueLabel):
    """A number for each of several columns: an object by the name of the column, or a list as in predictions.

    The error is the mean distance over the columns. The units of columns differ, so `measured_with` divides the
    distances of each column by its standard deviation over the training rows.

    Attributes:
        names: the columns in the order of predictions.
        units: the number by which the distances of each column are divided; () for 1.
    """

    names: tuple[str, ...]
    units: tuple[float, ...] = ()
    title: ClassVar[str] = "Mean absolute error (scaled)"
    is_share: ClassVar[bool] = False
    hint: ClassVar[str] = "A line for each column with its number, such as width: 1.5"

    @property
    def schema(self) -> Mapping[str, Any]:
        numbers = {name: {"type": "number"} for name in self.names}
        by_name = {
            "type": "object",
            "properties": numbers,
            "required": list(self.names),
            "additionalProperties": False,
        }
        count = len(self.names)
        in_order = {
            "type": "array",
            "items": {"type": "number"},
            "minItems": count,
            "maxItems": count,
            "description": f"The numbers of {', '.join(self.names)}, in this order, as in predictions",
        }
        return {"anyOf": [by_name, in_order]}

    @property
    def columns(self) -> tuple[str, ...]:
        return self.names

    def measured_with(self, data: Prepared) -> TrueLabel:
        return replace(self, units=data.fitted_numbers.std)

    def check(self, label: Any) -> dict[str, float]:
        by_name = self.as_label(label)
        if not isinstance(by_name, Mapping) or set(by_name) != set(self.names):
            raise DataError(
                f"The label must have the numbers of {listed(self.names)} by name, or as a list in this order, "
                f"received {shown(label)}."
            )
        return {name: self._checked(name, by_name[name]) for name in self.names}

    def _checked(self, name: str, value: Any) -> float:
        try:
            return NumberLabel().check(value)
        except DataError as error:
            raise DataError(f"{name[:60]}: {error}") from None

    def as_label(self, prediction: Any) -> Any:
        if isinstance(prediction, (list, tuple)) and len(prediction) == len(self.names):
            return dict(zip(self.names, prediction, strict=True))
        return prediction

    def text(self, label: Any) -> str:
        return self._written(label, lambda value: repr(value).removesuffix(".0"), "\n")

    def in_short(self, label: Any) -> str:
        return self._written(label, "{:.6g}".format, ", ")

    def _written(self, label: Any, written: Callable[[float], str], separator: str) -> str:
        try:
            numbers = self.check(label)
        except DataError:
            return str(label)
        return separator.join(f"{name}: {written(value)}" for name, value in numbers.items())

    def parse(self, text: str) -> dict[str, float]:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) == 1 and ":" not in lines[0]:
            return self.check(_typed_numbers(lines[0]))
        typed = _typed_lines(lines, self.names, "column")
        return self.check({name: values[0] if len(values) == 1 else values for name, values in typed.items()})

    def error(self, prediction: Any, label: Any) -> float:
        """Return the mean distance; infinity if the prediction does not consist of finite numbers."""
        differences = self.differences(prediction, label)
        if differences is None:
            return math.inf
        return float(np.mean(np.abs(differences[:, 0]) / (self.units or 1.0)))

    def differences(self, prediction: Any, label: Any) -> np.ndarray | None:
        predicted, true = self.as_label(prediction), self.check(label)
        if not isinstance(predicted, Mapping):
            return None
        return _differences([[predicted.get(name)] for name in self.names], [[true[name]] for name in self.names])

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[dict[str, float]]:
        values = data.restore(data.target[rows]).reshape(len(rows), len(self.names))
        return [dict(zip(self.names, row, strict=True)) for row in values.tolist()]

    def is_comparable(self, label: TrueLabel) -> bool:
        # Predictions are lists, so that the order of the columns counts
        return isinstance(label, ColumnsLabel) and self.names == label.names


@dataclass(frozen=True)
class ForecastLabel(TrueLabel):
    """The next `horizon` values of each of `series`, in the form of predictions: a list for a single series; otherwise
    an object by series, with lists, or with numbers if the horizon is 1."""

    series: tuple[str, ...]
    horizon: int
    title: ClassVar[str] = "Mean absolute error"
    is_share: ClassVar[bool] = False
    hint: ClassVar[str] = "The numbers of the steps, separated by spaces; one line for each series, such as open: 1.5 2"

    @property
    def schema(self) -> Mapping[str, Any]:
        steps = {"type": "array", "items": {"type": "number"}, "minItems": self.horizon, "maxItems": self.horizon}
        if len(self.series) == 1:
            return steps
        part = {"type": "number"} if self.horizon == 1 else steps
        properties = dict.fromkeys(self.series, part)
        return {"type": "object", "properties": properties, "required": list(self.series)}

    def check(self, label: Any) -> Any:
        return self._formed(self.steps(label))

    def steps(self, label: Any) -> list[list[float]]:
        """Return the values (series, horizon) of a label or a prediction.

        Raises:
            DataError: it has another form.
        """
        by_series = {self.series[0]: label} if len(self.series) == 1 else label
        if not isinstance(by_series, Mapping) or set(by_series) != set(self.series):
            raise DataError(
                f"The label must have the numbers of {listed(self.series)} by name, received {shown(label)}."
            )
        rows = []
        for name in self.series:
            value = by_series[name]
            numbers = value if isinstance(value, list) else [value]
            if len(numbers) != self.horizon:
                raise DataError(
                    f"The label needs {_numbers(self.horizon)} for {name[:60]!r}, one for each step, received "
                    f"{len(numbers)}."
                )
            rows.append([NumberLabel().check(step) for step in numbers])
        return rows

    def is_comparable(self, label: TrueLabel) -> bool:
        return isinstance(label, ForecastLabel) and super().is_comparable(label) and self.horizon == label.horizon

    def text(self, label: Any) -> str:
        return self._lines(label, lambda step: repr(step).removesuffix(".0"))

    def in_short(self, label: Any) -> str:
        return self._lines(label, "{:.6g}".format)

    def _lines(self, label: Any, written: Callable[[float], str]) -> str:
        try:
            rows = self.steps(label)
        except DataError:
            return str(label)
        lines = [" ".join(map(written, row)) for row in rows]
        return lines[0] if len(lines) == 1 else "\n".join(map("{}: {}".format, self.series, lines))

    def parse(self, text: str) -> Any:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(self.series) > 1:
            return self.check(_typed_lines(lines, self.series, "series"))
        [name] = self.series
        if len(lines) != 1:
            raise DataError(f"The label must be one line of numbers, received {len(lines)}.")
        named = [line if ":" in line else f"{name}: {line}" for line in lines]
        return self.check(_typed_lines(named, self.series, "series")[name])

    @property
    def columns(self) -> tuple[str, ...]:
        return self.series if len(self.series) > 1 else ()

    def error(self, prediction: Any, label: Any) -> float:
        """Return the mean distance of the steps; infinity if the prediction does not consist of finite numbers."""
        return _mean_distance(self.differences(prediction, label))

    def differences(self, prediction: Any, label: Any) -> np.ndarray | None:
        by_series = {self.series[0]: prediction} if len(self.series) == 1 else prediction
        if not isinstance(by_series, Mapping):
            return None
        predicted: list[Any] = [by_series.get(name) for name in self.series]
        steps = [[step] if self.horizon == 1 and np.ndim(step) == 0 else step for step in predicted]
        return _differences(steps, self.steps(label))

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[Any]:
        values = data.restore(data.target[rows]).reshape(len(rows), len(self.series), self.horizon)
        return [self._formed(row) for row in values.tolist()]

    def _formed(self, steps: list[list[float]]) -> Any:
        if len(self.series) == 1:
            return steps[0]
        parts = [row[0] for row in steps] if self.horizon == 1 else steps
        return dict(zip(self.series, parts, strict=True))


def _differences(prediction: Any, label: Any) -> np.ndarray | None:
    """Return by how much numbers differ from those of a label of the same shape; None if the prediction has another
    shape, or is not finite numbers."""
    try:
        predicted = np.asarray(prediction, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if predicted.shape != np.shape(label) or not np.isfinite(predicted).all():
        return None
    differences: np.ndarray = predicted - np.asarray(label, dtype=np.float64)
    return differences


def _mean_distance(differences: np.ndarray | None) -> float:
    return math.inf if differences is None else float(np.abs(differences).mean())


def _typed_lines(lines: Sequence[str], names: Sequence[str], noun: str) -> dict[str, list[float]]:
    """Return the numbers of lines such as `open: 1.5 2` by the name of a column or a series, the `noun`.

    Raises:
        DataError: a line has an unknown name or that of another line, or a part of it is not a number.
    """
    numbers: dict[str, list[float]] = {}
    for line in lines:
        # A name can contain a colon, numbers cannot
        name, _, cells = line.rpartition(":")
        name = name.strip()
        if name not in names:
            raise DataError(f"{shown(name)} is not a {noun} of the model; it has {listed(names)}.")
        if name in numbers:
            raise DataError(f"{shown(name)} has two lines.")
        numbers[name] = _typed_numbers(cells)
    return numbers


def _typed_numbers(text: str) -> list[float]:
    """Return the numbers of a line.

    Raises:
        DataError: a part of it is not a number.
    """
    if re.search(r"\d,\d", text):
        raise DataError(f"Separate the numbers with spaces, received {shown(text.strip())}; write 1.5 with a point.")
    try:
        return [float(cell) for cell in re.split(r"[\s,;]+", text.strip())]
    except ValueError:
        raise DataError(f"The label must consist of numbers, received {shown(text.strip())}.") from None


def _numbers(count: int) -> str:
    return f"{count} number{'s' * (count != 1)}"
