"""Texts as targets: an answer to a text, and the text itself one token later."""

from __future__ import annotations

from typing import Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data.raw_dataset import Characters, RawDataset
from netloom.data.schema import TargetSpec
from netloom.data.sequence_pairs import Pairs
from netloom.data.targets.target import Fitted, Target
from netloom.modalities.encoding.rows import encode_rows


class SequenceTarget(Target):
    """The tokens of the answer (R, T)."""

    kind = "sequence"

    def fitted(self, raw: RawDataset, rows: np.ndarray) -> dict[str, Any]:
        return {}

    def spec(self, raw: RawDataset, field: Fitted) -> TargetSpec:
        return TargetSpec(self.kind, raw.target_name, shape=(field["length"],))

    def encode(self, raw: RawDataset, field: Fitted, fitted: Fitted) -> np.ndarray:
        if not isinstance(raw, Pairs):
            raise DataError("A text can only be predicted where each text has one as its answer.")
        return raw.answered(dict(field))

    def text(self, spec: TargetSpec, fitted: Fitted, value: Any, raw: RawDataset, index: int) -> str:
        return str(raw.example(index, "").answer)


class NextTokenTarget(Target):
    """The tokens of a text (R, T), each one step later."""

    kind = "next_token"

    def fitted(self, raw: RawDataset, rows: np.ndarray) -> dict[str, Any]:
        return {}

    def encode(self, raw: RawDataset, field: Fitted, fitted: Fitted) -> np.ndarray:
        text = _characters(raw)
        rows = [{raw.name: text.following(index)} for index in range(len(raw))]
        return np.asarray(encode_rows({"fields": [dict(field)]}, rows)[raw.name])

    def text(self, spec: TargetSpec, fitted: Fitted, value: Any, raw: RawDataset, index: int) -> str:
        return _characters(raw).following(index)


def _characters(raw: RawDataset) -> Characters:
    if not isinstance(raw, Characters):
        raise DataError("The next token can only be predicted for a text of characters.")
    return raw
