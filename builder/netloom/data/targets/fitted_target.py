"""The fitted state of a target: one dataclass per shape, and its JSON in run folders and bundles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np


@dataclass(frozen=True)
class FittedTarget:
    """The state to encode and decode a target; empty for a text. `kind` names the declaration of the target, which
    reads the state from its JSON."""

    kind: str
    name: str

    def to_json(self) -> dict[str, object]:
        """Return the state as plain JSON."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    def unscaled(self) -> Self:
        """Return the state for a network that predicts in the units of the data, such as an imported one."""
        return self


@dataclass(frozen=True)
class FittedClasses(FittedTarget):
    """A target of labels: one per row, any number per row, or one per pixel or token."""

    classes: tuple[str, ...]


@dataclass(frozen=True)
class FittedClassAndTags(FittedClasses):
    """A class for the row, and one of `tags` for each token."""

    tags: tuple[str, ...]


@dataclass(frozen=True)
class FittedNumbers(FittedTarget):
    """Numbers (k,), standardized by the training targets.

    Attributes:
        mean: k means in data units.
        std: k standard deviations in data units, above 0.
        series: The names of the series, if the numbers are forecasts of several, one series after the other.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    series: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        state = super().to_json()
        if not self.series:
            del state["series"]
        return state

    def scale(self, values: np.ndarray) -> np.ndarray:
        """Return numbers (…, k) of the data, standardized."""
        # In float64, because large numbers such as years lose digits in float32 before the mean is subtracted
        scaled: np.ndarray = ((values.astype(np.float64) - self.mean) / self.std).astype(np.float32)
        return scaled

    def restore(self, values: Any) -> Any:
        """Return standardized numbers (…, k), a tensor, in the units of the data, as float64."""
        import torch

        # Float32 would round numbers such as times in seconds by more than their errors
        mean, std = (torch.tensor(numbers, dtype=torch.float64) for numbers in (self.mean, self.std))
        return values.double() * std + mean

    def unscaled(self) -> Self:
        return replace(self, mean=tuple(0.0 for _ in self.mean), std=tuple(1.0 for _ in self.std))


@dataclass(frozen=True)
class FittedTargets(FittedTarget):
    """Several targets, each a class or one number."""

    parts: tuple[FittedClasses | FittedNumbers, ...]

    def unscaled(self) -> Self:
        return replace(self, parts=tuple(part.unscaled() for part in self.parts))


def restored_parts(parts: Sequence[FittedClasses | FittedNumbers], values: Any) -> dict[str, list[str] | list[float]]:
    """Return the classes and the numbers, in the units of the data, of several targets by name, from a tensor
    (rows, targets)."""
    restored: dict[str, list[str] | list[float]] = {}
    for index, part in enumerate(parts):
        column = values[:, index : index + 1]
        if isinstance(part, FittedNumbers):
            restored[part.name] = part.restore(column).flatten().tolist()
        else:
            restored[part.name] = [part.classes[int(number)] for number in column.flatten().tolist()]
    return restored


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.to_json() if isinstance(value, FittedTarget) else value
