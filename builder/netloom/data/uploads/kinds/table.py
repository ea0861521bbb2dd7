"""A table with a column that is predicted from the other columns."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from netloom.core.plain_json import Json, JsonObject
from netloom.core.progress import ProgressCallback
from netloom.data import file_types
from netloom.data.raw.texts import Texts
from netloom.data.raw_dataset import RawDataset
from netloom.data.settings.column_settings import COLUMNS
from netloom.data.splits.split import refuse_few
from netloom.data.tables.arrow_table import ARROW_FILE, StoredTable
from netloom.data.tables.column_inference import choices_of, column_plans, inference_values
from netloom.data.tables.streamed_table import SAMPLE_ROWS
from netloom.data.tables.table_dataset import OPTIONS, settled_kinds, table_to_raw
from netloom.data.tables.target_guess import likely_targets
from netloom.data.tables.targets import LABELS
from netloom.data.tables.time_order import time_order_note
from netloom.data.uploads.boxes.misread_boxes import refuse_box_files
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.files.joining import PART
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_questions import set_given_split
from netloom.data.uploads.kinds.series import unnamed_series_note
from netloom.data.uploads.label_separators import with_separators
from netloom.data.uploads.pairing import refuse_triplets
from netloom.data.uploads.tabular import DATA_SET, SPLIT, TASK, Tabular, holds_sets, stored_table, textual
from netloom.data.uploads.upload_kind import Answers, Question, StoredUpload
from netloom.data.uploads.upload_meta import UploadMeta

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import pandas as pd


_VARIED = 0.5  # the share of different texts
_TEXT_NAME = re.compile(
    r"(?i)(text|sentence|utterance|message|query|question|pattern|phrase|comment|review|tweet|content)s?"
    r"([ _](text|body))?|.*[ _](text|body)"
)


class Table(Tabular):
    """Rows of numbers, categories, dates or one text."""

    name = "table"
    title = "Table"
    about = (
        "One row per example: a column to predict, and others to learn from, numbers, categories, dates or one text."
    )
    kind = "table"
    takes_large = sets_columns = True
    target_question = "target"
    # It becomes a role of the column, which a document may change like those of other columns.
    split_question = replace(SPLIT, when_added=True)
    specific_questions = (
        Question("target", "Column to predict", "choice", "The target of the prediction"),
        TASK,
        Question(
            "text", "Text column", "choice", "Use only this text as input", optional=True, empty="use all columns"
        ),
    )

    def suits(self, table: pd.DataFrame) -> float:
        return 0.5

    def guesses(self, table: pd.DataFrame, answers: Answers) -> JsonObject:
        target = answers["target"]
        task = LABELS if holds_sets(table, target) else None
        return {"target": target, "task": task, "text": _only_short_text(table, target)}

    def likely_answers(self, table: pd.DataFrame) -> dict[str, tuple[str, ...]]:
        return {"target": tuple(likely_targets(table))}

    def answered(self, source: Source, provided: Answers) -> JsonObject:
        if provided.get("target") is None and not provided.get(COLUMNS):
            if source.members.of(file_types.PICTURE):
                refuse_box_files(source, source.names)
            refuse_triplets([str(name) for name in self._table(source, provided).columns])
        # `table_to_raw` checks these options, with messages that know the table; it does so for documents, too.
        table_options = set(OPTIONS)
        answers = super().answered(
            source, {name: value for name, value in provided.items() if name not in table_options}
        )
        answers = {name: value for name, value in answers.items() if value is not None or name == "split"}
        answers |= {name: provided[name] for name in OPTIONS if provided.get(name) is not None}
        split, columns = answers.get("split"), answers.get(COLUMNS, {})
        if split in (answers.get("target"), answers.get("text")):
            split = (
                answers.pop("split", None) if "split" in provided else None
            )  # an explicit split column that is also the target is predicted
        if isinstance(columns, dict):
            if isinstance(split, str) and split and split not in columns and _split_in(columns) is None:
                columns = {**columns, split: {"role": "split"}}
            # A column that only joining the files has added is not an input, but may be the split or the target
            added = "" if source.alone else source.added_column(str(answers.get(DATA_SET.name, "")))
            if added and added not in (split, answers.get("target"), answers.get("text")):
                columns = {added: {"role": "ignore"}, **columns}
            answers |= {COLUMNS: columns} if columns else {}
        return self._with_kinds(source, answers)

    def _with_kinds(self, source: Source, answers: JsonObject) -> JsonObject:
        """Return the answers with the kinds that are settled on import, for columns without other settings."""
        columns = answers.get(COLUMNS, {})
        if not isinstance(columns, dict) or answers.get("text"):
            return answers
        table = self._table(source, answers)
        others = {answers.get("target"), *(name for name in columns if _role(columns, name) != "input")}
        kinds = settled_kinds(table[[name for name in table.columns if name not in others]])
        settled = {name: {"kind": kind} for name, kind in kinds.items() if name not in columns}
        return {**answers, COLUMNS: {**settled, **columns}} if settled else answers

    def learned(self, source: Source, answers: Answers) -> str:
        table = self._table(source, answers)
        if answers.get("text"):
            return f"Predict {answers.get('target')!r} from the text in {answers['text']!r}."
        columns = answers.get(COLUMNS)
        split = _split_in(columns) if isinstance(columns, dict) else None
        plans = column_plans(table, answers, choices_of(table, answers), [str(answers.get("target"))]).values()
        inputs = [plan.name for plan in plans if plan.role == "input" and plan.name != split]
        unused = [plan.name for plan in plans if plan.role == "ignore" and plan.reason]
        split_phrase = f" Split into training, validation and test by {split!r}." if split not in (None, PART) else ""
        if split == PART:
            split_phrase = " Split into training, validation and test by the names of the files."
        unused_phrase = f" Not used: {_listed(unused)}" if unused else ""
        from_phrase = f"from {_listed(inputs)}" if inputs else "from no other column."
        return f"Predict {answers.get('target')!r} {from_phrase}{split_phrase}{unused_phrase}"

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        stored = super().keep(source, answers, folder, progress)
        refuse_few(stored.rows)  # first: other errors of a tiny table are less helpful
        return stored

    def kind_of(self, raw: RawDataset) -> str:
        return "text" if isinstance(raw, Texts) else self.kind

    def from_table(
        self, table: pd.DataFrame, options: Chosen, title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        raw = table_to_raw(table, options.answers, title)
        set_given_split(raw, parts)
        return raw

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        raw = table_to_raw(with_separators(stored_table(folder), meta), options, meta["title"])
        raw.large = (folder / ARROW_FILE).exists()
        return raw

    def _partly(self, table: pd.DataFrame) -> bool:
        return isinstance(table, StoredTable) or len(table) == SAMPLE_ROWS

    def noted(self, source: Source, answers: Answers) -> list[str]:
        notes = super().noted(source, answers)
        if not source.alone:
            return notes
        table = self._table(source, answers)
        order_note = "" if _is_ordered(answers) else time_order_note(table)
        return [*notes, *filter(None, (unnamed_series_note(table), order_note))]


def _only_short_text(table: pd.DataFrame, target: object) -> str | None:
    """Return the only column beside the target if it is named as a text and its cells differ, such as Hi and Good day,
    which are too short to be told from names of categories otherwise; None if there is no such column."""
    inputs = [str(name) for name in table.columns if str(name) != target]
    if len(inputs) != 1 or not _TEXT_NAME.fullmatch(inputs[0].strip()):
        return None
    known = inference_values(table, inputs[0]).dropna()
    is_varied = len(known) > 0 and known.nunique() > _VARIED * len(known)
    return inputs[0] if is_varied and textual(table[inputs]) else None


def _is_ordered(answers: Answers) -> bool:
    """Return whether the rows are split as a column says, or by time."""
    columns = answers.get(COLUMNS)
    return isinstance(columns, dict) and any(_role(columns, name) in ("split", "time") for name in columns)


def _split_in(columns: Mapping[str, Json]) -> str | None:
    """Return the column with the role of the split."""
    return next((name for name in columns if _role(columns, name) == "split"), None)


def _role(columns: Mapping[str, Json], name: str) -> Json:
    """Return the role in the settings of a column."""
    settings = columns[name]
    return settings.get("role", "input") if isinstance(settings, dict) else "input"


def _listed(names: list[str]) -> str:
    if len(names) <= 4:
        return f"{', '.join(map(repr, names))}."
    return f"{len(names)} columns ({', '.join(map(repr, names[:3]))}, …)."
