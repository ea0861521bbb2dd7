"""Pairs of texts with a label, such as questions that mean the same, for Siamese networks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.data.paired_fields import PairedFieldsDataset
from netloom.data.raw.texts import Texts
from netloom.data.raw_dataset import RawDataset, RawTarget
from netloom.data.tables.target_guess import GUESSES
from netloom.data.uploads.chosen import Chosen, text
from netloom.data.uploads.pairing import FIELDS, likely_relations, triplet_columns
from netloom.data.uploads.source import Source
from netloom.data.uploads.tabular import (
    GROUP,
    TASK,
    Tabular,
    groups_of_column,
    known_rows,
    numeric,
    parts_of_rows,
    sentences,
    target_of,
    textual,
)
from netloom.data.uploads.upload_kind import Answers, Question

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


_PAIRED = re.compile(r"(?i).*[^a-z](1|2|a|b|one|two)|.*[a-z](1|2)|premise|hypothesis|first|second|left|right|one|other")


class TextPairs(Tabular):
    """Two texts per row, and whether they belong together."""

    name = "text_pairs"
    title = "Pairs of texts"
    about = "Two columns of text and a label or a number for the pair, such as whether two questions mean the same."
    kind = "text"
    asks_in_documents = True
    target_question = "target"
    specific_questions = (
        Question("first", "First text", "choice"),
        Question("second", "Second text", "choice"),
        Question("target", "Column to predict", "choice", "The target of the pair"),
        TASK,
        GROUP,
    )

    def suits(self, table: pd.DataFrame) -> float:
        texts = sentences(table)
        others_columns = [str(name) for name in table.columns if str(name) not in texts]
        is_named = all(map(_PAIRED.fullmatch, texts))
        if len(texts) != 2 or not others_columns or (len(others_columns) > 3 and not is_named):
            return 0.0
        if triplet_columns([str(name) for name in table.columns]):
            return 0.0
        if any(1 < table[name].nunique() <= 20 for name in others_columns):
            return 0.6 if is_named else 0.3
        return 0.6 if is_named and any(_is_score(table[name]) for name in numeric(table)) else 0.0

    def guesses(self, table: pd.DataFrame, answers: Answers) -> JsonObject:
        texts = sentences(table) or textual(table) or [str(table.columns[0])]
        first = text(answers, "first") or texts[0]
        second = text(answers, "second") or next((name for name in texts if name != first), str(table.columns[-1]))
        return {"first": first, "second": second, "target": _relations(table, [first, second])[0]}

    def likely_answers(self, table: pd.DataFrame) -> dict[str, tuple[str, ...]]:
        return {"target": tuple(_relations(table, sentences(table))[:GUESSES])}

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict {answers.get('target')!r} from two texts, with one shared encoder."

    def from_table(
        self, table: pd.DataFrame, options: Chosen, title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        chosen = options
        columns = [chosen.choice("first"), chosen.choice("second"), chosen.choice("target")]
        if len(set(columns)) < 3:
            raise DataError("The two texts and the target have to be three different columns.")
        warnings: list[str] = []
        labeled = known_rows(table, columns, warnings)
        target = target_of(labeled[chosen.choice("target")], chosen.optional_choice("task"), title)
        target_fields: RawTarget = {"target": target["target"], "target_kind": target["target_kind"]}
        fields = tuple(
            # A column with the name of the other field would be read in its place.
            Texts(
                name=name,
                column="" if chosen.choice(name) in FIELDS else chosen.choice(name),
                texts=[str(value) for value in labeled[chosen.choice(name)]],
                **target_fields,
            )
            for name in FIELDS
        )
        return PairedFieldsDataset(
            name="",
            parts=fields,
            warnings=warnings,
            given=parts_of_rows(parts, labeled),
            groups=groups_of_column(labeled, chosen.optional_choice("group")),
            **target,
        )


def _relations(table: pd.DataFrame, texts: list[str]) -> list[str]:
    """Return the columns that may be the target of pairs of these texts, the most likely first."""
    other_columns = [name for name in table.columns if str(name) not in texts]
    return likely_relations(table[other_columns]) if other_columns else [str(table.columns[-1])]


def _is_score(values: pd.Series) -> bool:
    """Return whether numbers may be a score of pairs, rather than their ids."""
    known = values.dropna()
    return known.nunique() > 1 and (not known.is_unique or bool((known % 1 != 0).any()))
