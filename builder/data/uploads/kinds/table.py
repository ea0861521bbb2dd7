"""A table: one column is told from the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from builder.data.choices import COLUMNS
from builder.data.raw import Raw, Texts
from builder.data.roles import tells_parts
from builder.data.schema import DataError
from builder.data.split import refuse_few
from builder.data.tables import OPTIONS, default_target, table_to_raw
from builder.data.uploads.base import Answers, Kept, Question, Tell
from builder.data.uploads.kinds.series import untold
from builder.data.uploads.members import parts_of
from builder.data.uploads.pictures import PARTS
from builder.data.uploads.source import Source
from builder.data.uploads.tabular import TASK, Tabular, kept_table

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

PART = "part of the split"


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
    asked = (
        Question("target", "Column to predict", "choice", "What is to be predicted"),
        TASK,
        Question(
            "text", "Text column", "choice", "Learn from this text alone", optional=True, empty="as the columns are"
        ),
    )

    def suits(self, table: pd.DataFrame) -> float:
        return 0.5

    def likely(self, source: Source) -> float:
        return 0.65 if not source.alone and _in_parts(source) else super().likely(source)

    def guesses(self, table: pd.DataFrame, answers: Answers) -> dict[str, Any]:
        return {"target": default_target(table.drop(columns=PART, errors="ignore"))}

    def answered(self, source: Source, given: Answers) -> dict[str, Any]:
        # The table's own checks know more about these than the question does, and are those of a document as well.
        own = set(OPTIONS)
        answers = super().answered(source, {name: value for name, value in given.items() if name not in own})
        answers = {name: value for name, value in answers.items() if value is not None}
        answers |= {name: given[name] for name in OPTIONS if given.get(name) is not None}
        split = PART if not source.alone else _given_split(self._table(source, answers), answers)
        if split:
            answers.setdefault(COLUMNS, {split: {"role": "split"}})
        return answers

    def learned(self, source: Source, answers: Answers) -> str:
        table = self._table(source, answers)
        if answers.get("text"):
            return f"To tell {answers.get('target')!r} from the text in {answers['text']!r}."
        split = next((name for name, said in answers.get(COLUMNS, {}).items() if said.get("role") == "split"), None)
        rest = [str(name) for name in table.columns if str(name) not in (answers.get("target"), split)]
        parted = f" Split into training, validation and test as {split!r} says." if split not in (None, PART) else ""
        return f"To tell {answers.get('target')!r} from {_listed(rest)}{parted}"

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        kept = super().keep(source, answers, folder, tell)
        refuse_few(kept.rows)  # which says more than what else is wrong with so few
        options = {name: answers[name] for name in OPTIONS if name in answers}
        table = self._table(source, answers) if source.large is None else kept_table(folder)
        if isinstance(table_to_raw(table, options, source.filename), Texts):
            kept.extra["kind"] = "text"
        return kept

    def from_table(self, table: pd.DataFrame, options: dict[str, Any], title: str) -> Raw:
        return table_to_raw(table, options, title)

    def _table(self, source: Source, answers: Answers) -> pd.DataFrame:
        """The table; where there are several, called train and test, all of their rows, with their part."""
        if source.alone:
            return super()._table(source, answers)
        import pandas as pd

        parts = _in_parts(source)
        if not parts:
            raise DataError(
                f"Of {len(source.names):,} files, none are tables of the same columns whose names say train and test; "
                "bring a single table."
            )
        return pd.concat([source.table(name)[0].assign(**{PART: part}) for name, part in parts], ignore_index=True)

    def noted(self, source: Source, answers: Answers) -> list[str]:
        if source.alone:
            return [*super().noted(source, answers), *filter(None, [untold(self._table(source, answers))])]
        return [note for name, _ in _in_parts(source) for note in source.table(name)[1]]


def _given_split(table: pd.DataFrame, answers: Answers) -> str | None:
    """The column that says which rows are for training, where it is asked for nothing else."""
    free = [name for name in table.columns if str(name) not in (answers.get("target"), answers.get("text"))]
    return next((str(name) for name in free if tells_parts(table[name])), None)


def _in_parts(source: Source) -> list[tuple[str, str]]:
    """The tables of the same columns whose names say which part of the split they are, with that part."""
    found: list[tuple[str, str]] = []
    columns: set[tuple[str, ...]] = set()
    for name in source.tables():
        pieces = re.split(r"[^a-z]+", parts_of(name)[-1].lower())
        part = next((piece for piece in pieces if piece in PARTS), None)
        if part is None:
            continue
        try:
            columns.add(tuple(map(str, source.table(name)[0].columns)))
        except DataError:
            return []
        found.append((name, ("train", "validation", "test")[PARTS[part]]))
    named = {part for _, part in found}
    found.sort(key=lambda item: PARTS[item[1]])
    return found if len(columns) == 1 and len(named) > 1 and "train" in named else []


def _listed(names: list[str]) -> str:
    if len(names) <= 4:
        return f"{', '.join(map(repr, names))}."
    return f"{len(names)} columns: {', '.join(map(repr, names[:3]))}, …"
