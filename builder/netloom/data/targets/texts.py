"""Texts as targets: an answer to a text, and the text itself one token later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.raw.texts import Characters
from netloom.data.raw_dataset import RawDataset
from netloom.data.schema import TargetSpec
from netloom.data.sequence_pairs import Pairs
from netloom.data.targets.fitted_target import FittedTarget
from netloom.data.targets.target import LastField, Target


class TextTarget(Target[FittedTarget]):
    """A target of tokens in the vocabulary of the last field."""

    def fit(self, raw: RawDataset, rows: np.ndarray) -> FittedTarget:
        return FittedTarget(self.kind, raw.target_name)

    def fitted(self, state: Mapping[str, Any]) -> FittedTarget:
        return FittedTarget(self.kind, state["name"])


class SequenceTarget(TextTarget):
    """The tokens of the answer (R, T)."""

    kind = "sequence"

    def spec(self, raw: RawDataset, field: LastField) -> TargetSpec:
        return TargetSpec(self.kind, raw.target_name, shape=field.shape)

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedTarget) -> np.ndarray:
        if not isinstance(raw, Pairs):
            raise DataError("A text can only be predicted where each text has one as its answer.")
        return raw.answered(field)

    def text(self, spec: TargetSpec, fitted: FittedTarget, value: Any, raw: RawDataset, index: int) -> str:
        return str(raw.example(index, "").answer)


class NextTokenTarget(TextTarget):
    """The tokens of a text (R, T), each one step later."""

    kind = "next_token"

    def encode(self, raw: RawDataset, field: LastField, fitted: FittedTarget) -> np.ndarray:
        text = _characters(raw)
        rows = [{raw.name: text.following(index)} for index in range(len(raw))]
        return field.encode(rows)

    def text(self, spec: TargetSpec, fitted: FittedTarget, value: Any, raw: RawDataset, index: int) -> str:
        return _characters(raw).following(index)


def _characters(raw: RawDataset) -> Characters:
    if not isinstance(raw, Characters):
        raise DataError("The next token can only be predicted for a text of characters.")
    return raw
