"""True labels that are names: one class, or all labels that apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.modalities.encoding.cells import numeral
from netloom.tasks.true_labels.messages import listed, shown
from netloom.tasks.true_labels.true_label import TrueLabel

if TYPE_CHECKING:
    from netloom.data import Prepared


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
        name = _name_of(label)
        if not isinstance(name, str) or name not in self.names:
            raise DataError(f"{shown(label)} is not a class of the model; the classes are {listed(self.names)}.")
        return name

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
        label = list(map(_name_of, label)) if isinstance(label, list) else label
        if not isinstance(label, list) or not all(isinstance(name, str) for name in label):
            raise DataError(f"The label must be a list of the names that apply, received {shown(label)}.")
        if unknown := [name for name in label if name not in self.names]:
            raise DataError(f"{shown(unknown[0])} is not a label of the model; it has {listed(self.names)}.")
        return sorted(set(label))

    def text(self, label: Any) -> str:
        return ", ".join(map(str, label)) if isinstance(label, (list, tuple)) else str(label)

    def in_short(self, label: Any) -> str:
        return self.text(label) or "no label"

    def parse(self, text: str) -> list[str]:
        return self.check([name for name in map(str.strip, text.split(",")) if name])

    def error(self, prediction: Any, label: Any) -> float:
        return float(set(prediction or ()) != set(label))

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[list[str]]:
        chosen = data.target[rows].numpy() > 0.5
        return [sorted(name for name, applies in zip(self.names, row, strict=True) if applies) for row in chosen]


def _name_of(label: Any) -> Any:
    """Return the name that the class of a number or a boolean has in the data: "1" for 1 and 1.0; others unchanged."""
    if isinstance(label, bool):
        return str(label)
    return numeral(str(label)) if isinstance(label, (int, float)) else label
