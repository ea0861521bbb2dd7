"""Pairs of texts; the second is generated from the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netloom.data.raw.texts import Texts
from netloom.data.schema import Example
from netloom.modalities.columns.text import LENGTH_LIMIT
from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.field_encoder import FieldEncoder, FieldState
from netloom.modalities.encoding.tags import IGNORE
from netloom.modalities.encoding.text_fields import DecoderInputEncoder
from netloom.modalities.encoding.tokenization import END, PAD, words
from netloom.modalities.fields.decoder_input import MARKS as MARKS
from netloom.modalities.fields.decoder_input import DecoderInputModality
from netloom.modalities.fields.text import TrainingTexts

DECODER_INPUT = "answer so far"


@dataclass
class Pairs(Texts):
    """Texts as words, each with its answer as characters.

    The network has two fields: the text, and the answer so far, which is the answer shifted by the start token. The
    target is the answer with the end token (teacher forcing).
    """

    answers: Sequence[str] = ()
    text_fields = ("texts", "answers")

    def rows(self, start: int, stop: int) -> list[RawRow]:
        rows = zip(super().rows(start, stop), self.answers[start:stop], strict=True)
        return [{**row, DECODER_INPUT: answer} for row, answer in rows]

    @property
    def accepted_settings(self) -> frozenset[str]:
        return frozenset()  # answers are generated character by character

    def training_texts(self, rows: np.ndarray) -> TrainingTexts:
        # Any word of a text can matter, so only texts longer than all training texts are cut.
        longest = max(len(words(self.texts[index])) for index in rows.tolist())
        return replace(super().training_texts(rows), length=max(1, min(longest, LENGTH_LIMIT)))

    def fits(self, rows: np.ndarray) -> list[FieldState]:
        answers = [self.answers[index] for index in rows.tolist()]
        return [self.fit(rows), DecoderInputModality().fit(DECODER_INPUT, answers, {})]

    def answered(self, field: FieldEncoder[Any]) -> np.ndarray:
        """Return the tokens of each answer with the end token (R, T); `IGNORE` after it."""
        (length,) = field.shape
        # One more token, because the start token is removed afterward.
        longer = DecoderInputEncoder(replace(field.state, length=length + 1))
        answers = longer.encode([self.row(index) for index in range(len(self))])[:, 1:]
        # (R, T) -> (R,), the index at which each answer ends
        ends = (answers != PAD).sum(1)
        rows = np.flatnonzero(ends < length)
        answers[rows, ends[rows]] = END
        answers[answers == PAD] = IGNORE
        return answers

    def example(self, index: int, target: str) -> Example:
        return replace(super().example(index, target), answer=self.answers[index])

    def content(self) -> list[bytes]:
        return [*super().content(), repr(list(self.answers)).encode()]
