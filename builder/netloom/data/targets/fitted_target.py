"""What was fitted for a target: one dataclass for each shape that it takes, and its JSON in run folders and bundles."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypedDict

import numpy as np


class TargetState(TypedDict):
    """A fitted target as JSON. `kind` names the target's declaration, which knows the keys that come beside these."""

    kind: str
    name: str


@dataclass(frozen=True)
class FittedTarget:
    """What has to be known to encode and decode a target; nothing, for a text."""

    kind: str
    name: str

    def to_json(self) -> dict[str, Any]:
        """The state as plain JSON."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    def unscaled(self) -> Self:
        """The same for a network that answers in the units of the data, as an imported one may."""
        return self


@dataclass(frozen=True)
class FittedClasses(FittedTarget):
    """A target of labels: one of them, any number, or one by pixel or by token."""

    classes: tuple[str, ...]


@dataclass(frozen=True)
class FittedClassAndTags(FittedClasses):
    """A class for the row, and one of `tags` for each token."""

    tags: tuple[str, ...]


@dataclass(frozen=True)
class FittedNumbers(FittedTarget):
    """Numbers (k,), in units of the training targets' standard deviation. Both have k entries, in data units."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def scale(self, values: np.ndarray) -> np.ndarray:
        """Numbers (…, k) of the data as a network learns them."""
        scaled: np.ndarray = ((values.astype(np.float64) - self.mean) / self.std).astype(np.float32)
        return scaled

    def restore(self, values: Any) -> Any:
        """A tensor (…, k) of numbers that a network gives, in the units of the data."""
        import torch

        return values * torch.tensor(self.std) + torch.tensor(self.mean)

    def unscaled(self) -> Self:
        return replace(self, mean=tuple(0.0 for _ in self.mean), std=tuple(1.0 for _ in self.std))


@dataclass(frozen=True)
class FittedTargets(FittedTarget):
    """Several targets side by side, each a class or one number."""

    parts: tuple[FittedClasses | FittedNumbers, ...]

    def unscaled(self) -> Self:
        return replace(self, parts=tuple(part.unscaled() for part in self.parts))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.to_json() if isinstance(value, FittedTarget) else value
