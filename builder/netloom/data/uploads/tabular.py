"""The base of all readers whose data is one table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from netloom.core.errors import DataError
from netloom.core.plain_json import Json, JsonObject
from netloom.core.progress import ProgressCallback
from netloom.core.text import counted
from netloom.data.raw_dataset import RawDataset, RawTarget
from netloom.data.splits.given_splits import given_of, split_column
from netloom.data.tables.arrow_table import ARROW_FILE, StoredTable
from netloom.data.tables.roles import groups_of
from netloom.data.tables.streamed_table import StreamedTable
from netloom.data.tables.targets import CLASS, LABELS, NUMBER, are_words_labels, can_name_sets
from netloom.data.uploads.chosen import Chosen, text
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.label_separators import separators_meta, with_separators
from netloom.data.uploads.upload_kind import (
    PREVIEWED,
    Answers,
    Question,
    Reader,
    StoredUpload,
    check_options,
    with_default,
)
from netloom.data.uploads.upload_meta import UploadMeta
from netloom.modalities.columns.conversion import first_other_cell
from netloom.modalities.columns.registry import inferred_kind

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SHEET = Question(
    "sheet",
    "Sheet",
    "choice",
    "Sheet to read, if the file has several",
    optional=True,
    when_added=True,
    empty="the first table",
)
DATA_SET = Question(
    "data_set", "Data set", "choice", "The data set to read, because the files have several", when_added=True
)
SPLIT = Question(
    "split", "Split column", "choice", "Assigns each row to training, validation or test",
    optional=True, empty="none"
)  # fmt: skip
GROUP = Question(
    "group", "Group column", "choice", "Rows of the same group, such as a patient, are never in two parts of the split",
    optional=True, empty="none"
)  # fmt: skip
TABLE = "table.parquet"
TABLE_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".data", ".dat", ".gz")


class Tabular(Reader):
    """A kind of upload that is one table, in any file format of tables.

    Attributes:
        asked: The questions, beside those for the sheet and the split column.
        older_answers: The answers for uploads from before a question, so that their runs can be reproduced.
    """

    specific_questions: tuple[Question, ...] = ()
    older_answers: ClassVar[Mapping[str, Json]] = {"split": None}
    split_question = SPLIT

    @abstractmethod
    def suits(self, table: pd.DataFrame) -> float:
        """Return the likelihood that a table is of this kind, from 0 to 1."""

    @abstractmethod
    def guesses(self, table: pd.DataFrame, answers: Answers) -> JsonObject:
        """Return inferred defaults of questions, which may depend on `answers` to other questions.

        Args:
            answers: The answers; of a question that is not answered, the first of `likely_answers`, if it has any.
        """

    def likely_answers(self, table: pd.DataFrame) -> dict[str, tuple[str, ...]]:
        """Return the likely answers to questions, the most likely first, where several are likely."""
        return {}

    @abstractmethod
    def from_table(
        self, table: pd.DataFrame, options: Chosen, title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        """Return the usable rows of a table.

        Args:
            table: The table (R rows), without its split column.
            parts: The part of the split of each row (R,), which becomes `given`; None without a split column.

        Raises:
            DataError: An option is invalid, or there is nothing to learn from.
        """

    def likely(self, source: Source) -> float:
        try:
            score = self.suits(_without_split(source, self._table(source, {})))
        except DataError:
            if not source.alone and source.feature_files():
                raise  # no other kind reads them
            return 0.0
        if source.alone or any(chosen.are_parts for chosen in source.sets().values()):
            return score
        # Text files whose lines look like rows are more likely texts of several classes
        are_tables = any(name.lower().endswith(TABLE_SUFFIXES) for name in source.names)
        return score * (0.95 if are_tables else 0.6)

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        # Forms and commands ask again with the same answers
        key = ("questions", self.name, repr(dict(answers)))
        questions: list[Question] = source.once(key, lambda: self._questions(source, answers))
        return [*questions]

    def settled(self, source: Source, answers: Answers) -> set[str]:
        # None of these depends on the answers or the table
        every = (SHEET, DATA_SET, *self.specific_questions, self.split_question)
        return {question.name for question in every if question.when_added}

    def _questions(self, source: Source, answers: Answers) -> list[Question]:
        questions = []
        sheets = source.sheets()
        if len(sheets) > 1:
            questions.append(with_default(SHEET, None, sheets))
        sets = self.data_sets(source)
        if len(sets) > 1:
            questions.append(with_default(DATA_SET, sets[0], sets))
        table = self._table(source, answers)
        return questions + self.of_table(table, answers)

    def data_sets(self, source: Source) -> list[str]:
        """Return the names of the data sets to choose from, the most likely first."""
        return [] if source.alone else list(source.sets())

    def of_table(self, table: pd.DataFrame, answers: Answers) -> list[Question]:
        """Return the questions about a table, with inferred defaults."""
        all_columns = [str(column) for column in table.columns]
        chosen_values = [value for name, value in answers.items() if name != "split"]
        used_columns = {
            item
            for value in chosen_values
            for item in (value if isinstance(value, list) else [value])
            if type(item) is str
        }
        unused = table[[column for column in table.columns if str(column) not in used_columns]]
        split = split_column(unused, partly=self._partly(table))
        used = answers.get("split", split)  # None is an answer: no split column
        remaining = without(table, used if used in all_columns else None)
        columns = [str(column) for column in remaining.columns]
        likely = self.likely_answers(remaining)
        first = {name: values[0] for name, values in likely.items() if values and not answers.get(name)}
        guesses = self.guesses(remaining, {**answers, **first})
        questions = [
            with_default(
                question,
                guesses.get(question.name, question.default),
                None if question.choices or not (question.takes_several or question.kind == "choice") else columns,
                likely.get(question.name, ()),
            )
            for question in self.specific_questions
        ]
        return [*questions, with_default(self.split_question, split, all_columns)]

    def _partly(self, table: pd.DataFrame) -> bool:
        """Return whether a table may be the beginning of a larger one."""
        return False

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        return self._table(source, answers).head(PREVIEWED)

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        progress(0.05, "Reading the table")
        if source.large is not None:
            return self._keep_large(source, source.large, answers, folder, progress)
        table, notes = self._table(source, answers), self.noted(source, answers)
        progress(0.7, "Saving it")
        table.to_parquet(folder / TABLE)
        summary = f"{len(table):,} rows, {len(table.columns)} columns; {self.target_phrase(answers)}"
        return StoredUpload(len(table), summary, list(map(str, table.columns)), notes, separators_meta(table))

    def _keep_large(
        self, source: Source, large: StreamedTable, answers: Answers, folder: Path, progress: ProgressCallback
    ) -> StoredUpload:
        rows = large.write_arrow(folder / ARROW_FILE, progress)
        table = stored_table(folder)
        columns = list(map(str, table.columns))
        summary = f"{rows:,} rows, {len(columns)} columns; {self.target_phrase(answers)}"
        return StoredUpload(rows, summary, columns, list(large.notes), separators_meta(table))

    def target_phrase(self, answers: Answers) -> str:
        """Return the target, as the last phrase of the summary."""
        return f"predicts {answers.get(self.target_question, '')}"

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        table, title = with_separators(stored_table(folder), meta), meta["title"]
        options |= self._older(meta, options)
        chosen = check_options(options, self.of_table(table, options), title, repr(title[:60]))
        split = chosen.optional_choice("split")
        parts = None if split is None else given_of(table[split], split)
        raw = self.from_table(without(table, split), chosen.without("split"), title, parts)
        if parts is not None and raw.given is None:  # never silently replace a chosen split with a random one
            raise DataError(f"{self.title!r} cannot be split by a column; choose no split column.")
        if split is None and "split" not in meta["options"] and (name := split_column(table)):
            raw.warnings.append(
                f"The column {name!r} looks like a split of the rows and is not used; add the file again, or set the "
                f"option split to {name!r}."
            )
        return raw

    def _older(self, meta: UploadMeta, options: Answers) -> JsonObject:
        provided = {*meta["options"], *options}
        return {name: answer for name, answer in self.older_answers.items() if name not in provided}

    def stored_questions(self, folder: Path, meta: UploadMeta, options: Answers) -> list[Question]:
        """Return the questions about a stored upload that a document can answer, with the answers as defaults."""
        answers = {**options, **self._older(meta, options)}
        return [
            with_default(question, answers.get(question.name, question.default))
            for question in self.of_table(stored_table(folder), answers)
        ]

    def _table(self, source: Source, answers: Answers) -> pd.DataFrame:
        return self._read(source, answers)[0]

    def noted(self, source: Source, answers: Answers) -> list[str]:
        return list(self._read(source, answers)[1])

    def _read(self, source: Source, answers: Answers) -> tuple[pd.DataFrame, list[str]]:
        """Return the table and notes; several files are concatenated, or one of their data sets is read."""
        if source.alone:
            return source.table(source.names[0], text(answers, SHEET.name))
        return source.together(text(answers, DATA_SET.name))


def _without_split(source: Source, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of a source without its split column; cached, as all kinds of tables are tried on it."""
    unsplit: pd.DataFrame = source.once("unsplit table", lambda: without(table, split_column(table)))
    return unsplit


def without(table: pd.DataFrame, column: str | None) -> pd.DataFrame:
    """Return the table without a column; None means all columns."""
    return table if column is None else table[[name for name in table.columns if str(name) != column]]


def parts_of_rows(parts: np.ndarray | None, rows: pd.DataFrame) -> np.ndarray | None:
    """Return the parts (R,) of the remaining rows of a table, whose index holds their original numbers."""
    return None if parts is None else parts[rows.index.to_numpy()]


def parts_of_column(rows: pd.DataFrame, split: str | None, default: np.ndarray | None) -> np.ndarray | None:
    """Return the parts of rows by the split column, or, if none is chosen, those of the names of files and folders."""
    return default if split is None else given_of(rows[split], split)


def groups_of_column(rows: pd.DataFrame, group: str | None) -> np.ndarray | None:
    """Return the groups (R,) of rows by the group column; None if none is chosen.

    Raises:
        DataError: The column has fewer than three groups.
    """
    return None if group is None else groups_of(rows[group], group)


def stored_table(folder: Path) -> pd.DataFrame:
    """Return the stored table of an upload; one larger than memory is memory-mapped.

    Raises:
        DataError: The file is damaged.
    """
    import pandas as pd

    if (folder / ARROW_FILE).exists():
        # A StoredTable has the part of the interface of DataFrame that readers of large tables use.
        return cast("pd.DataFrame", StoredTable.open(folder / ARROW_FILE))
    return pd.read_parquet(folder / TABLE)


def numeric(table: pd.DataFrame) -> list[str]:
    """Return the names of the numeric columns."""
    import pandas as pd

    kinds = pd.api.types
    return [
        str(name)
        for name, values in table.items()
        if kinds.is_numeric_dtype(values) and not kinds.is_bool_dtype(values)
    ]


def no_number(values: pd.Series, otherwise: str) -> DataError:
    """Return the error for a column that is not numeric: it names the odd cell if most cells are numbers."""
    odd = first_other_cell(values, ("number",), 0.5)
    return DataError(f"The column {str(values.name)!r} is not all numbers{odd}." if odd else otherwise)


def textual(table: pd.DataFrame) -> list[str]:
    """Return the names of the text columns."""
    import pandas as pd

    return [str(name) for name, values in table.items() if pd.api.types.is_string_dtype(values)]


def sentences(table: pd.DataFrame) -> list[str]:
    """Return the text columns with several words per cell and many distinct cells."""
    columns = []
    for name in textual(table):
        cells = table[name].dropna().head(1_000)
        if len(cells) and cells.nunique() > 0.3 * len(cells) and cells.str.count(" ").mean() >= 1.0:
            columns.append(name)
    return columns


def known_rows(table: pd.DataFrame, columns: list[str], warnings: list[str]) -> pd.DataFrame:
    """Return the rows that have a value in each of these columns.

    Raises:
        DataError: There are none.
    """
    complete = table[table[columns].notna().all(axis=1)]
    if not len(complete):
        raise DataError(f"No row has a value in each of the columns {', '.join(map(repr, columns))}.")
    if len(complete) < len(table):
        warnings.append(
            f"Left out {counted(len(table) - len(complete), 'row')} without a value in {', '.join(map(repr, columns))}."
        )
    return complete


def target_of(values: pd.Series, task: str | None, title: str) -> RawTarget:
    """Return the target of a dataset from a column without missing values, inferred as for a plain table.

    Raises:
        DataError: The column cannot be a target.
    """
    import numpy as np
    import pandas as pd

    from netloom.data.tables.table_dataset import table_to_raw

    name = str(values.name)
    # A table needs a column besides the target; this one is discarded
    order_column = "place" if name != "place" else "order"
    table = pd.DataFrame({order_column: np.arange(len(values), dtype=np.float64), name: values.reset_index(drop=True)})
    table.attrs = dict(values.attrs)
    raw = table_to_raw(table, {"target": name, **({"task": task} if task else {})}, title)
    return {
        "target": raw.target,
        "target_kind": raw.target_kind,
        "target_name": raw.target_name,
        "classes": raw.classes,
        "target_parts": raw.target_parts,
    }


TASK = Question("task", "Predict as", "choice", "A class, a number, or labels such as a;b;c",
                choices=(CLASS, NUMBER, LABELS),
                optional=True, empty="detect from the values")  # fmt: skip


def holds_sets(table: pd.DataFrame, column: object) -> bool:
    """Return whether the cells of a column hold several values, such as a;b, so that they are several labels."""
    if column not in table.columns:
        return False
    values = table[str(column)]
    is_named, has_one_value = can_name_sets(str(column)), inferred_kind(values, on_import=True).has_one_value
    if has_one_value and not is_named:
        return False  # without writing millions of numbers as texts
    cells = values.dropna().astype(str)
    # A list in a JSON file is a cell such as ["a", "b"], whose brackets and quotes are not a part of labels.
    is_marked = not has_one_value and not cells.str.startswith("[").any()
    return is_marked or (is_named and are_words_labels(list(cells.unique())))
