"""True labels of several targets, each a class or a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.data.targets.fitted_target import FittedNumbers, restored_parts
from netloom.tasks.true_labels.classes import ClassLabel
from netloom.tasks.true_labels.messages import listed, shown
from netloom.tasks.true_labels.numbers import NumberLabel
from netloom.tasks.true_labels.true_label import TrueLabel

if TYPE_CHECKING:
    from netloom.data import Prepared


@dataclass(frozen=True)
class SeveralLabels(TrueLabel):
    """A label for each of several targets, by its name.

    The error is the mean over the targets: 1 for a class that is wrong, and the distance of a number. `measured_with`
    divides each distance by the standard deviation over the training rows, so that units do not matter.

    Attributes:
        parts: the targets in the order of the data, each with the kind of its labels.
        units: the number by which the error of each target is divided; () for 1.
    """

    parts: tuple[tuple[str, ClassLabel | NumberLabel], ...]
    units: tuple[float, ...] = ()
    title: ClassVar[str] = "Mean error (scaled)"
    is_share: ClassVar[bool] = False
    corrects_prediction: ClassVar[bool] = True
    hint: ClassVar[str] = "A line for each target with its class or number, such as color: red"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.parts)

    @property
    def schema(self) -> Mapping[str, Any]:
        return {
            "type": "object",
            "properties": {name: dict(part.schema) for name, part in self.parts},
            "required": list(self.names),
            "additionalProperties": False,
        }

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name, part in self.parts if isinstance(part, NumberLabel))

    def measured_with(self, data: Prepared) -> TrueLabel:
        units = [fitted.std[0] if isinstance(fitted, FittedNumbers) else 1.0 for fitted in data.fitted_targets]
        return replace(self, units=tuple(units))

    def check(self, label: Any) -> dict[str, Any]:
        if not isinstance(label, Mapping) or set(label) != set(self.names):
            raise DataError(f"The label must have {listed(self.names)} by name, received {shown(label)}.")
        return self._of_parts(lambda name, part: part.check(label[name]))

    def parse(self, text: str) -> dict[str, Any]:
        cells: dict[str, str] = {}
        for line in filter(None, map(str.strip, text.splitlines())):
            # Names and classes can contain a colon
            name = next((name for name in sorted(self.names, key=len)[::-1] if line.startswith(f"{name}:")), None)
            if name is None:
                raise DataError(
                    f"{shown(line)} does not begin with a target and a colon; they are {listed(self.names)}."
                )
            if name in cells:
                raise DataError(f"{shown(name)} has two lines.")
            cells[name] = line[len(name) + 1 :].strip()
        if missing := [name for name in self.names if name not in cells]:
            raise DataError(f"The label has no line for {shown(missing[0])}.")
        return self._of_parts(lambda name, part: part.parse(cells[name]))

    def _of_parts(self, read: Callable[[str, TrueLabel], Any]) -> dict[str, Any]:
        label = {}
        for name, part in self.parts:
            try:
                label[name] = read(name, part)
            except DataError as error:
                raise DataError(f"{name[:60]}: {error}") from None
        return label

    def proposed(self, data: Prepared, row: Mapping[str, Any], prediction: Any = None) -> Any:
        return prediction

    def text(self, label: Any) -> str:
        return self._written(label, lambda value: repr(value).removesuffix(".0"), "\n")

    def in_short(self, label: Any) -> str:
        return self._written(label, "{:.6g}".format, ", ")

    def _written(self, label: Any, of_number: Callable[[float], str], separator: str) -> str:
        if not isinstance(label, Mapping) or not set(self.names) <= set(label):
            return str(label)
        values = {name: label[name] for name in self.names}
        return separator.join(
            f"{name}: {of_number(value) if isinstance(value, float) else value}" for name, value in values.items()
        )

    def error(self, prediction: Any, label: Any) -> float:
        """Return the mean error of the targets; infinity if a predicted number is not finite."""
        predicted, true = prediction if isinstance(prediction, Mapping) else {}, self.check(label)
        errors = [part.error(predicted.get(name), true[name]) for name, part in self.parts]
        return float(np.mean(np.array(errors) / (self.units or 1.0)))

    def differences(self, prediction: Any, label: Any) -> np.ndarray | None:
        if not isinstance(prediction, Mapping) or not self.columns:
            return None
        predicted = [prediction.get(name) for name in self.columns]
        if not all(isinstance(value, (int, float)) and np.isfinite(value) for value in predicted):
            return None
        true = self.check(label)
        return np.array([[value - true[name]] for name, value in zip(self.columns, predicted, strict=True)])

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[dict[str, Any]]:
        columns = restored_parts(data.fitted_targets, data.target[rows])
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def is_comparable(self, label: TrueLabel) -> bool:
        return (
            isinstance(label, SeveralLabels)
            and self.names == label.names
            and all(mine.is_comparable(other) for (_, mine), (_, other) in zip(self.parts, label.parts, strict=True))
        )
