"""True labels that are numbers: one number, or the next values of series."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
        return _distance([prediction], [label])

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[float]:
        return [float(value) for value in data.restore(data.target[rows]).flatten().tolist()]


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
        steps: dict[str, list[float]] = {}
        lines = [line for line in text.splitlines() if line.strip()]
        if len(self.series) == 1 and len(lines) != 1:
            raise DataError(f"The label must be one line of numbers, received {len(lines)}.")
        for line in lines:
            series_text, colon, cells = line.rpartition(":")
            name = series_text.strip() if colon or len(self.series) > 1 else self.series[0]
            if name not in self.series:
                raise DataError(f"{shown(name)} is not a series of the model; it has {listed(self.series)}.")
            if name in steps:
                raise DataError(f"{shown(name)} has two lines.")
            steps[name] = _typed_numbers(cells)
        return self.check(steps[self.series[0]] if len(self.series) == 1 else steps)

    def error(self, prediction: Any, label: Any) -> float:
        """Return the mean distance of the steps; infinity if the prediction does not consist of finite numbers."""
        by_series = {self.series[0]: prediction} if len(self.series) == 1 else prediction
        if not isinstance(by_series, Mapping):
            return math.inf
        predicted: list[Any] = [by_series.get(name) for name in self.series]
        return _distance([[step] if self.horizon == 1 and np.ndim(step) == 0 else step for step in predicted],
                         self.steps(label))  # fmt: skip

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[Any]:
        values = data.restore(data.target[rows]).reshape(len(rows), len(self.series), self.horizon)
        return [self._formed(row) for row in values.tolist()]

    def _formed(self, steps: list[list[float]]) -> Any:
        if len(self.series) == 1:
            return steps[0]
        parts = [row[0] for row in steps] if self.horizon == 1 else steps
        return dict(zip(self.series, parts, strict=True))


def _distance(prediction: Any, label: Any) -> float:
    """Return the mean distance of numbers; infinity if the prediction has another shape, or is not finite numbers."""
    try:
        predicted = np.asarray(prediction, dtype=np.float64)
    except (TypeError, ValueError):
        return math.inf
    if predicted.shape != np.shape(label) or not np.isfinite(predicted).all():
        return math.inf
    return float(np.abs(predicted - np.asarray(label, dtype=np.float64)).mean())


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
