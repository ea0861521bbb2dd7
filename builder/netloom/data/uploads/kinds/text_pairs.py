"""Pairs of texts with a label, such as questions that mean the same, for networks with twins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from netloom.core.errors import DataError
from netloom.data.paired_fields import Twins
from netloom.data.raw_dataset import RawDataset, Texts
from netloom.data.uploads.source import Source
from netloom.data.uploads.tabular import TASK, Tabular, known_rows, parts_of_rows, target_of, textual
from netloom.data.uploads.upload_kind import Answers, Question

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


_PAIRED = re.compile(r"(?i).*[^a-z](1|2|a|b|one|two)|.*[a-z](1|2)|premise|hypothesis|first|second|left|right|one|other")
_FIELDS = ("first", "second")


class TextPairs(Tabular):
    """Two texts by row and whether they belong together."""

    name = "text_pairs"
    title = "Pairs of texts"
    about = "Two columns of text and a label or a number for the pair, such as whether two questions mean the same."
    kind = "text"
    target_question = "target"
    asked = (
        Question("first", "First text", "choice"),
        Question("second", "Second text", "choice"),
        Question("target", "Column to predict", "choice", "The target of the pair"),
        TASK,
    )

    def suits(self, table: pd.DataFrame) -> float:
        wide = _sentences(table)
        rest = [str(name) for name in table.columns if str(name) not in wide]
        if len(wide) != 2 or not rest or len(rest) > 3:
            return 0.0
        few = any(1 < table[name].nunique() <= 20 for name in rest)
        return (0.6 if all(map(_PAIRED.fullmatch, wide)) else 0.3) if few else 0.0

    def guesses(self, table: pd.DataFrame, answers: Answers) -> dict[str, Any]:
        texts = _sentences(table) or textual(table) or [str(table.columns[0])]
        first = answers.get("first") or texts[0]
        second = answers.get("second") or next((name for name in texts if name != first), str(table.columns[-1]))
        rest = [str(name) for name in table.columns if str(name) not in (first, second)]
        few = [name for name in rest if 1 < table[name].nunique() <= 20]
        return {"first": first, "second": second, "target": (few[-1:] or rest[-1:] or [str(table.columns[-1])])[0]}

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict {answers.get('target')!r} from two texts, with one shared encoder."

    def from_table(
        self, table: pd.DataFrame, options: dict[str, Any], title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        chosen = options
        columns = [chosen["first"], chosen["second"], chosen["target"]]
        if len(set(columns)) < 3:
            raise DataError("The two texts and what is to be predicted are three different columns.")
        warnings: list[str] = []
        known = known_rows(table, columns, warnings)
        target = target_of(known[chosen["target"]], chosen["task"], title)
        rest = {"target": target["target"], "target_kind": target["target_kind"]}
        fields = tuple(
            # A column that is called like the other field would be read for it.
            Texts(
                name=name,
                column="" if chosen[name] in _FIELDS else chosen[name],
                texts=[str(value) for value in known[chosen[name]]],
                **rest,
            )
            for name in _FIELDS
        )
        return Twins(name="", parts=fields, warnings=warnings, given=parts_of_rows(parts, known), **target)


def _sentences(table: pd.DataFrame) -> list[str]:
    """The columns of texts with several words, most of them different."""
    found = []
    for name in textual(table):
        known = table[name].dropna().head(1_000)
        if len(known) and known.nunique() > 0.3 * len(known) and known.str.count(" ").mean() >= 1.0:
            found.append(name)
    return found
