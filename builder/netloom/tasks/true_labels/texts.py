"""True labels that are texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from netloom.core.errors import DataError
from netloom.tasks.true_labels.messages import shown
from netloom.tasks.true_labels.true_label import TrueLabel

if TYPE_CHECKING:
    from netloom.data import Prepared

_MAX_CHARACTERS = 10_000  # of a text


@dataclass(frozen=True)
class TextLabel(TrueLabel):
    """The right text."""

    title: ClassVar[str] = "Exact match"
    is_share: ClassVar[bool] = True
    hint: ClassVar[str] = "The right text"

    @property
    def schema(self) -> Mapping[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": _MAX_CHARACTERS}

    def check(self, label: Any) -> str:
        if not isinstance(label, str) or not 0 < len(label.strip()) <= _MAX_CHARACTERS:
            raise DataError(
                f"The label must be a text of 1 to {_MAX_CHARACTERS:,} characters, received {shown(label)}."
            )
        return label

    def error(self, prediction: Any, label: Any) -> float:
        return float(str(prediction).split() != str(label).split())

    def of_rows(self, data: Prepared, rows: np.ndarray) -> list[str]:
        return [data.target_text(int(row)) for row in rows]
