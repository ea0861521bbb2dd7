"""Texts that are answered by texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netloom.data.raw_dataset import Fitted, Texts
from netloom.data.schema import Example
from netloom.modalities.columns.text import LENGTH_LIMIT
from netloom.modalities.encoding.rows import encode_rows
from netloom.modalities.encoding.tags import IGNORE
from netloom.modalities.encoding.tokenization import END, PAD, words
from netloom.modalities.field_spec import FieldSpec

BEGUN = "answer so far"
# What stands for padding, for a letter that is not known, and for both ends of an answer.
MARKS = ("", "�", "⟨start⟩", "⟨end⟩")


@dataclass
class Pairs(Texts):
    """Texts by words, each with its answer by characters.

    The network has two fields: the text, and the answer so far, which is the answer moved on by the mark that starts
    it. The target is the answer with the mark that ends it.
    """

    answers: Sequence[str] = ()

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        rows = zip(super().rows(start, stop), self.answers[start:stop], strict=True)
        return [{**row, BEGUN: answer} for row, answer in rows]

    def fits(self, rows: np.ndarray) -> list[Fitted]:
        known = [self.answers[index] for index in rows.tolist()]
        length = min(max(map(len, known)) + 1, LENGTH_LIMIT)
        letters = sorted(set("".join(known)))
        # All words of a text may matter, so none is cut where training knows such a length.
        longest = max(len(words(self.texts[index])) for index in rows.tolist())
        return [
            {**self.fit(rows), "length": max(1, min(longest, LENGTH_LIMIT))},
            {"name": BEGUN, "encoding": "begun", "vocabulary": [*MARKS, *letters], "length": length},
        ]

    def specs(self, fitted: list[Fitted]) -> tuple[FieldSpec, ...]:
        return tuple(FieldSpec(one["name"], "tokens", (one["length"],), len(one["vocabulary"])) for one in fitted)

    def answered(self, fitted: Fitted) -> np.ndarray:
        """The tokens of each answer and the mark that ends it (R, T); `IGNORE` behind."""
        length = fitted["length"]
        whole = encode_rows({"fields": [{**fitted, "length": length + 1}]}, [self.row(i) for i in range(len(self))])
        found = whole[BEGUN][:, 1:]
        ends = (found != PAD).sum(1)
        rows = np.flatnonzero(ends < length)
        found[rows, ends[rows]] = END
        found[found == PAD] = IGNORE
        return found

    def example(self, index: int, target: str) -> Example:
        return replace(super().example(index, target), answer=self.answers[index])

    def content(self) -> list[bytes]:
        return [*super().content(), repr(list(self.answers)).encode()]
