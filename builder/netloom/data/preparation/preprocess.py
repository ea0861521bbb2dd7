"""What was fitted on the training rows: the state of each field and of the target, which is JSON in run folders and
bundles."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from netloom.data.targets import target_of
from netloom.data.targets.fitted_target import FittedTarget
from netloom.modalities.encoding.field_encoder import FieldState, field_state


@dataclass(frozen=True)
class Preprocess:
    """The fitted state of the fields and of the target. The encoder of a field, and the declaration of a target, define
    the types of their states."""

    fields: tuple[FieldState, ...]
    target: FittedTarget

    @classmethod
    def from_json(cls, value: Any) -> Preprocess:
        """Return the state from its JSON.

        Raises:
            EncodeError: an encoding does not exist, or a value of a field is missing.
            KeyError, TypeError: it is not such a state.
        """
        target: Mapping[str, Any] = value["target"]
        return cls(tuple(map(field_state, value["fields"])), target_of(target["kind"]).fitted(target))

    def of_fields(self, names: Collection[str]) -> Preprocess:
        """Return the same state with these fields only."""
        return replace(self, fields=tuple(field for field in self.fields if field.name in names))

    def to_json(self) -> dict[str, object]:
        """Return the state as plain JSON."""
        return {"fields": [field.to_json() for field in self.fields], "target": self.target.to_json()}
