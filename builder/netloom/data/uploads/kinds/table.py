"""A table: one column is told from the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from netloom.data.preparation.column_settings import COLUMNS
from netloom.data.raw_dataset import RawDataset, Texts
from netloom.data.splits.split import refuse_few
from netloom.data.tables.arrow_table import ARROW_FILE, StoredTable
from netloom.data.tables.streamed_table import SAMPLE_ROWS
from netloom.data.tables.table_dataset import OPTIONS, default_target, settled_kinds, table_to_raw
from netloom.data.uploads.images import set_given
from netloom.data.uploads.joining import PART
from netloom.data.uploads.kinds.series import untold
from netloom.data.uploads.source import Source
from netloom.data.uploads.tabular import SPLIT, TASK, Tabular, kept_table
from netloom.data.uploads.upload_kind import Answers, Kept, Question, Tell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import pandas as pd


class Table(Tabular):
    """Rows of numbers, categories, dates or one text."""

    name = "table"
    title = "Table"
    about = (
        "One row per example: a column to predict, and others to learn from, numbers, categories, dates or one text."
    )
    kind = "table"
    takes_large = True
    target_question = "target"
    # It becomes a role of the column, which a document may change like those of other columns.
    split_question = replace(SPLIT, when_added=True)
    asked = (
        Question("target", "Column to predict", "choice", "The target of the prediction"),
        TASK,
        Question(
            "text", "Text column", "choice", "Use only this text as input", optional=True, empty="as the columns are"
        ),
    )

    def suits(self, table: pd.DataFrame) -> float:
        return 0.5

    def guesses(self, table: pd.DataFrame, answers: Answers) -> dict[str, Any]:
        return {"target": default_target(table)}

    def answered(self, source: Source, given: Answers) -> dict[str, Any]:
        # The table's own checks know more about these than the question does, and are those of a document as well.
        own = set(OPTIONS)
        answers = super().answered(source, {name: value for name, value in given.items() if name not in own})
        answers = {name: value for name, value in answers.items() if value is not None or name == "split"}
        answers |= {name: given[name] for name in OPTIONS if given.get(name) is not None}
        split, said = answers.get("split"), answers.get(COLUMNS, {})
        if split in (answers.get("target"), answers.get("text")):
            split = answers.pop("split", None) if "split" in given else None  # whoever asks for it predicts it
        if split and isinstance(said, dict) and split not in said and not _names_split(said):
            answers[COLUMNS] = {**said, split: {"role": "split"}}
        elif not split and not source.alone and isinstance(said, dict):
            answers[COLUMNS] = {PART: {"role": "ignore"}, **said}
        return self._with_kinds(source, answers)

    def _with_kinds(self, source: Source, answers: dict[str, Any]) -> dict[str, Any]:
        """The answers with the kinds of columns that are settled now, unless something else is said of a column."""
        columns = answers.get(COLUMNS, {})
        if not isinstance(columns, dict) or answers.get("text"):
            return answers
        others = {*columns, answers.get("target")}
        kinds = settled_kinds(self._table(source, answers))
        settled = {name: {"kind": kind} for name, kind in kinds.items() if name not in others}
        return {**answers, COLUMNS: {**settled, **columns}} if settled else answers

    def learned(self, source: Source, answers: Answers) -> str:
        table = self._table(source, answers)
        if answers.get("text"):
            return f"Predict {answers.get('target')!r} from the text in {answers['text']!r}."
        split = next((name for name, said in answers.get(COLUMNS, {}).items() if said.get("role") == "split"), None)
        rest = [str(name) for name in table.columns if str(name) not in (answers.get("target"), split)]
        parted = f" Split into training, validation and test as {split!r} says." if split not in (None, PART) else ""
        if split == PART:
            parted = " Split into training, validation and test as the files are called."
        return f"Predict {answers.get('target')!r} from {_listed(rest)}{parted}"

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        kept = super().keep(source, answers, folder, tell)
        refuse_few(kept.rows)  # which says more than what else is wrong with so few
        options = {name: answers[name] for name in OPTIONS if name in answers}
        table = self._table(source, answers) if source.large is None else kept_table(folder)
        if isinstance(table_to_raw(table, options, source.filename), Texts):
            kept.extra["kind"] = "text"
        return kept

    def from_table(
        self, table: pd.DataFrame, options: dict[str, Any], title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        raw = table_to_raw(table, options, title)
        set_given(raw, parts)
        return raw

    def raw(self, folder: Path, meta: Mapping[str, Any], options: dict[str, Any]) -> RawDataset:
        raw = table_to_raw(kept_table(folder), options, str(meta["title"]))
        raw.large = (folder / ARROW_FILE).exists()
        return raw

    def _partly(self, table: pd.DataFrame) -> bool:
        return isinstance(table, StoredTable) or len(table) == SAMPLE_ROWS

    def noted(self, source: Source, answers: Answers) -> list[str]:
        found = super().noted(source, answers)
        return [*found, *filter(None, [untold(self._table(source, answers))])] if source.alone else found


def _names_split(said: Mapping[str, Any]) -> bool:
    return any(isinstance(one, dict) and one.get("role") == "split" for one in said.values())


def _listed(names: list[str]) -> str:
    if len(names) <= 4:
        return f"{', '.join(map(repr, names))}."
    return f"{len(names)} columns: {', '.join(map(repr, names[:3]))}, …"
