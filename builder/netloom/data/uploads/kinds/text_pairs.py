"""Pairs of texts with a label, such as questions that mean the same, for Siamese networks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from netloom.core.errors import DataError
from netloom.core.plain_json import Json, JsonObject
from netloom.core.text import counted
from netloom.data.paired_fields import PairedFieldsDataset
from netloom.data.raw.texts import Texts
from netloom.data.raw_dataset import RawDataset, RawTarget
from netloom.data.tables.target_guess import GUESSES
from netloom.data.uploads.chosen import Chosen, text
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.pairing import FIELDS, likely_relations, triplet_columns
from netloom.data.uploads.tabular import (
    GROUP,
    TASK,
    Tabular,
    groups_of_column,
    known_rows,
    numeric,
    parts_of_rows,
    sentences,
    stored_table,
    target_of,
    textual,
)
from netloom.data.uploads.upload_kind import Answers, Question
from netloom.data.uploads.upload_meta import UploadMeta

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


UNLABELED = Question(
    "unlabeled",
    "Leave out unlabeled rows",
    "switch",
    "Rows with the label - have none, because annotators did not agree, as in SNLI; otherwise - is a class",
    default=False,
)
NO_LABEL = "-"
_GOLD_LABEL = re.compile(r"(?i)gold[ _-]?labels?")  # the label on which annotators agreed
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
        UNLABELED,
    )
    older_answers: ClassVar[Mapping[str, Json]] = {**Tabular.older_answers, UNLABELED.name: UNLABELED.default}

    def suits(self, table: pd.DataFrame) -> float:
        texts = _paired_texts(table)
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
        texts = _paired_texts(table) or textual(table) or [str(table.columns[0])]
        first = text(answers, "first") or texts[0]
        second = text(answers, "second") or next((name for name in texts if name != first), str(table.columns[-1]))
        target = _relations(table, [first, second])[0]
        chosen = text(answers, "target") or target
        is_agreed = _GOLD_LABEL.fullmatch(chosen.strip()) is not None and _has_unlabeled(table, chosen)
        return {"first": first, "second": second, "target": target, UNLABELED.name: is_agreed}

    def likely_answers(self, table: pd.DataFrame) -> dict[str, tuple[str, ...]]:
        return {"target": tuple(_relations(table, _paired_texts(table))[:GUESSES])}

    def _questions(self, source: Source, answers: Answers) -> list[Question]:
        return _relevant(super()._questions(source, answers), self._table(source, answers), answers)

    def stored_questions(self, folder: Path, meta: UploadMeta, options: Answers) -> list[Question]:
        return _relevant(super().stored_questions(folder, meta, options), stored_table(folder), options)

    def learned(self, source: Source, answers: Answers) -> str:
        target = text(answers, "target")
        learned = f"Predict {target!r} from two texts, with one shared encoder."
        if not answers.get(UNLABELED.name):
            return learned
        unlabeled = int((self._table(source, answers)[target] == NO_LABEL).sum())
        return f"{learned} {counted(unlabeled, 'row')} without a label {'are' if unlabeled > 1 else 'is'} left out."

    def from_table(
        self, table: pd.DataFrame, options: Chosen, title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        chosen = options
        columns = [chosen.choice("first"), chosen.choice("second"), chosen.choice("target")]
        if len(set(columns)) < 3:
            raise DataError("The two texts and the target have to be three different columns.")
        warnings: list[str] = []
        labeled = known_rows(table, columns, warnings)
        if chosen.switch(UNLABELED.name):
            labeled = _with_label(labeled, chosen.choice("target"), warnings)
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


def _paired_texts(table: pd.DataFrame) -> list[str]:
    """Return the columns of texts, without those derived from another one if that leaves the two of a pair, as
    sentence1 and sentence2 beside sentence1_parse and sentence2_parse."""
    texts = sentences(table)
    own = [name for name in texts if not any(_is_derived(name, other) for other in texts)]
    return own if len(own) == 2 and all(map(_PAIRED.fullmatch, own)) else texts


def _is_derived(name: str, other: str) -> bool:
    """Return whether the name of a column is that of another one with an addition."""
    addition = name.lower().removeprefix(other.lower().strip())
    return 0 < len(addition) < len(name) and not addition[0].isalnum()


def _relevant(questions: list[Question], table: pd.DataFrame, answers: Answers) -> list[Question]:
    """Return the questions without the one on unlabeled rows if there are none."""
    default = next((str(question.default) for question in questions if question.name == "target"), "")
    is_relevant = _has_unlabeled(table, text(answers, "target") or default)
    return [question for question in questions if is_relevant or question.name != UNLABELED.name]


def _has_unlabeled(table: pd.DataFrame, target: str) -> bool:
    return target in textual(table) and bool((table[target] == NO_LABEL).any())


def _with_label(table: pd.DataFrame, target: str, warnings: list[str]) -> pd.DataFrame:
    """Return the rows on whose label annotators agreed.

    Raises:
        DataError: There are none.
    """
    labeled = table[table[target] != NO_LABEL]
    if not len(labeled):
        raise DataError(f"Each row has {NO_LABEL!r} in {target!r}, so there is nothing to predict; choose another.")
    if unlabeled := len(table) - len(labeled):
        warnings.append(
            f"Left out {counted(unlabeled, 'row')} with {NO_LABEL!r} in {target!r}, which "
            f"{'has' if unlabeled == 1 else 'have'} no label, as annotators did not agree."
        )
    return labeled


def _relations(table: pd.DataFrame, texts: list[str]) -> list[str]:
    """Return the columns that may be the target of pairs of these texts, the most likely first."""
    other_columns = [name for name in table.columns if str(name) not in texts]
    return likely_relations(table[other_columns]) if other_columns else [str(table.columns[-1])]


def _is_score(values: pd.Series) -> bool:
    """Return whether numbers may be a score of pairs, rather than their ids."""
    known = values.dropna()
    return known.nunique() > 1 and (not known.is_unique or bool((known % 1 != 0).any()))
