"""Triplets of texts: an anchor with a positive and a negative example, read as two pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.core.plain_json import JsonObject
from netloom.data.paired_fields import PairedFieldsDataset
from netloom.data.raw.texts import Texts
from netloom.data.raw_dataset import RawDataset, RawTarget
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.pairing import (
    ANCHOR,
    FIELDS,
    NEGATIVE,
    POSITIVE,
    ROLES,
    TRIPLETS_SUMMARY,
    learned_from_triplets,
    refuse_equal_columns,
    rows_of_triplets,
    triplet_columns,
)
from netloom.data.uploads.tabular import Tabular, known_rows, parts_of_rows, textual
from netloom.data.uploads.upload_kind import Answers, Question

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class TextTriplets(Tabular):
    """Three texts per row; the first belongs to the second and not to the third."""

    name = "text_triplets"
    title = "Triplets of texts"
    about = "Three columns of text: an anchor, a positive that belongs to it, and a negative that does not."
    kind = "text"
    asks_in_documents = True
    specific_questions = (
        Question(ANCHOR, "Anchor", "choice", "Column with the text that the others are compared with"),
        Question(POSITIVE, "Positive", "choice", "Column with a text that belongs to the anchor"),
        Question(NEGATIVE, "Negative", "choice", "Column with a text that does not"),
    )

    def suits(self, table: pd.DataFrame) -> float:
        named = triplet_columns([str(name) for name in table.columns])
        return 0.9 if named and set(named.values()) <= set(textual(table)) else 0.0

    def guesses(self, table: pd.DataFrame, answers: Answers) -> JsonObject:
        columns = [str(name) for name in table.columns]
        named = triplet_columns(columns)
        return {**named} or {role: columns[min(role_index, len(columns) - 1)] for role_index, role in enumerate(ROLES)}

    def learned(self, source: Source, answers: Answers) -> str:
        return learned_from_triplets("texts", answers)

    def target_phrase(self, answers: Answers) -> str:
        return TRIPLETS_SUMMARY

    def from_table(
        self, table: pd.DataFrame, options: Chosen, title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        columns = [options.choice(role) for role in ROLES]
        refuse_equal_columns(columns)
        warnings: list[str] = []
        complete = known_rows(table, columns, warnings)
        anchors, positives, negatives = ([str(value) for value in complete[name]] for name in columns)
        rows = rows_of_triplets(anchors, parts_of_rows(parts, complete))
        compared = [text for pair in zip(positives, negatives, strict=True) for text in pair]
        target: RawTarget = {"target": rows["target"], "target_kind": rows["target_kind"]}
        texts = ([anchor for anchor in anchors for _ in range(2)], compared)
        fields = tuple(Texts(name=name, texts=values, **target) for name, values in zip(FIELDS, texts, strict=True))
        return PairedFieldsDataset(name="", parts=fields, warnings=warnings, **rows)
