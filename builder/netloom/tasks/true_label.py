"""True labels that arrive after a prediction: which values they can have, and how wrong the prediction was.

A task declares the kind of its labels (`Task.true_label`). The model server checks labels, and monitoring measures
errors, by these declarations alone.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from netloom.core.errors import DataError
from netloom.core.text import number

if TYPE_CHECKING:
    import numpy as np

    from netloom.data import Prepared

_SHOWN = 20  # classes that a message lists


class TrueLabel(ABC):
    """One kind of labels.

    Attributes:
        title: the measure of predictions with such labels.
        is_share: whether a prediction is right or wrong, with the error 0 or 1; otherwise, the error is a distance.
    """

    title: ClassVar[str]
    is_share: ClassVar[bool]

    @property
    @abstractmethod
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of a label."""

    @abstractmethod
    def check(self, label: Any) -> Any:
        """Return a label from JSON.

        Raises:
            DataError: the data cannot have this label.
        """

    @abstractmethod
    def error(self, prediction: Any, label: Any) -> float:
        """Return how wrong a prediction is."""

    @abstractmethod
    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[Any]:
        """Return the labels of rows of the data, given by number (n,)."""

    def written(self, error: float) -> str:
        """Return a mean error as the measure that `title` names."""
        return f"{1 - error:.1%}" if self.is_share else number(error)


@dataclass(frozen=True)
class ClassLabel(TrueLabel):
    """The name of one class."""

    names: tuple[str, ...]
    title: ClassVar[str] = "Accuracy"
    is_share: ClassVar[bool] = True

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "string", "enum": list(self.names)}

    def check(self, label: Any) -> str:
        if not isinstance(label, str) or label not in self.names:
            raise DataError(f"{_shown(label)} is not a class of the model; the classes are {_listed(self.names)}.")
        return label

    def error(self, prediction: Any, label: Any) -> float:
        return float(prediction != label)

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[str]:
        # A class with tags is the first of the numbers of a row
        return [self.names[int(values.flatten()[0])] for values in data.target[rows]]


@dataclass(frozen=True)
class LabelSet(TrueLabel):
    """The names of all labels that apply."""

    names: tuple[str, ...]
    title: ClassVar[str] = "Subset accuracy"
    is_share: ClassVar[bool] = True

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "array", "items": {"type": "string", "enum": list(self.names)}}

    def check(self, label: Any) -> list[str]:
        if not isinstance(label, list) or not all(isinstance(name, str) for name in label):
            raise DataError(f"The label is a list of the names that apply, received {_shown(label)}.")
        if unknown := [name for name in label if name not in self.names]:
            raise DataError(f"{_shown(unknown[0])} is not a label of the model; it has {_listed(self.names)}.")
        return sorted(set(label))

    def error(self, prediction: Any, label: Any) -> float:
        return float(set(prediction or ()) != set(label))

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[list[str]]:
        chosen = data.target[rows].numpy() > 0.5
        return [sorted(name for name, applies in zip(self.names, row, strict=True) if applies) for row in chosen]


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
            raise DataError(f"The label is a number, received {_shown(label)}.")
        try:
            return float(label)
        except OverflowError:
            raise DataError("The label is a number that is too large.") from None

    def error(self, prediction: Any, label: Any) -> float:
        return abs(float(prediction) - float(label))

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[float]:
        return [float(value) for value in data.restore(data.target[rows]).flatten().tolist()]


def _shown(label: Any) -> str:
    return repr(label)[:60]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")
