"""What all kinds of data have in common that are one table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from netloom.core.errors import DataError
from netloom.data.raw_dataset import RawDataset
from netloom.data.splits.given_splits import given_of, split_column
from netloom.data.tables.arrow_table import ARROW_FILE, StoredTable
from netloom.data.tables.streamed_table import StreamedTable
from netloom.data.uploads.source import Source
from netloom.data.uploads.upload_kind import (
    PREVIEWED,
    Answers,
    Kept,
    Question,
    Reader,
    Tell,
    check_options,
    with_default,
)
from netloom.modalities.columns.conversion import odd_one

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SHEET = Question(
    "sheet", "Sheet", "choice", "Of a file with several", optional=True, when_added=True, empty="the first"
)
SPLIT = Question(
    "split", "Split column", "choice", "Says which rows are for training, for validation and for the test",
    optional=True, empty="none"
)  # fmt: skip
TABLE = "table.parquet"


class Tabular(Reader):
    """A kind of data that is one table, in any of the forms that tables come in."""

    asked: tuple[Question, ...] = ()
    split_question = SPLIT

    @abstractmethod
    def suits(self, table: pd.DataFrame) -> float:
        """How likely a table is meant as this kind, from 0 to 1."""

    @abstractmethod
    def guesses(self, table: pd.DataFrame, answers: Answers) -> dict[str, Any]:
        """A guess for every question that has no default of its own, where `answers` holds what was answered."""

    @abstractmethod
    def from_table(
        self, table: pd.DataFrame, options: dict[str, Any], title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        """The rows that can be used, of a table without its split column. `parts` (R,) is the part of each row of the
        table, which the data takes over as `given`; None where none are named.

        Raises:
            DataError: an option is wrong, or there is nothing to learn from.
        """

    def likely(self, source: Source) -> float:
        try:
            table = self._table(source, {})
            return self.suits(without(table, split_column(table)))
        except DataError:
            return 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        found = []
        sheets = source.sheets()
        if len(sheets) > 1:
            found.append(with_default(SHEET, None, sheets))
        table = self._table(source, answers)
        return found + self.of_table(table, answers)

    def of_table(self, table: pd.DataFrame, answers: Answers) -> list[Question]:
        """The questions that a table answers, each with its guess."""
        every = [str(column) for column in table.columns]
        said = [value for name, value in answers.items() if name != "split"]
        taken = {one for value in said for one in (value if isinstance(value, list) else [value]) if type(one) is str}
        free = table[[column for column in table.columns if str(column) not in taken]]
        split = split_column(free, partly=self._partly(table))
        used = answers.get("split", split)  # which may be none
        rest = without(table, used if used in every else None)
        columns = [str(column) for column in rest.columns]
        guesses = self.guesses(rest, answers)
        found = [
            with_default(
                question,
                guesses.get(question.name, question.default),
                None if question.choices or question.kind not in ("choice", "several") else columns,
            )
            for question in self.asked
        ]
        return [*found, with_default(self.split_question, split, every)]

    def _partly(self, table: pd.DataFrame) -> bool:
        """Whether a table is but the beginning of a larger one."""
        return False

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        return self._table(source, answers).head(PREVIEWED)

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        tell(0.05, "Reading the table")
        if source.large is not None:
            return self._keep_large(source, source.large, answers, folder, tell)
        table, notes = self._table(source, answers), self.noted(source, answers)
        tell(0.7, "Keeping it")
        table.to_parquet(folder / TABLE)
        summary = f"{len(table):,} rows, {len(table.columns)} columns; {self.said(answers)}"
        return Kept(len(table), summary, list(map(str, table.columns)), notes)

    def _keep_large(self, source: Source, large: StreamedTable, answers: Answers, folder: Path, tell: Tell) -> Kept:
        rows = large.write_arrow(folder / ARROW_FILE, tell)
        columns = StoredTable.open(folder / ARROW_FILE).columns
        summary = f"{rows:,} rows, {len(columns)} columns; {self.said(answers)}"
        return Kept(rows, summary, columns, list(large.notes))

    def said(self, answers: Answers) -> str:
        """What is predicted, as the end of a summary."""
        return f"predicts {answers.get(self.target_question, '')}"

    def raw(self, folder: Path, meta: Mapping[str, Any], options: dict[str, Any]) -> RawDataset:
        table, title = kept_table(folder), str(meta["title"])
        # What was added before this was asked is split as it was, or the rows of its runs would be others.
        options.setdefault("split", None) if "split" not in meta["options"] else None
        chosen = check_options(options, self.of_table(table, options), title, repr(title[:60]))
        split = chosen.pop("split")
        parts = None if split is None else given_of(table[split], split)
        raw = self.from_table(without(table, split), chosen, title, parts)
        if parts is not None and raw.given is None:  # rather than to split by chance in silence
            raise DataError(f"{self.title!r} cannot be split by a column; choose no split column.")
        if split is None and "split" not in meta["options"] and (name := split_column(table)):
            raw.warnings.append(
                f"The column {name!r} says how rows are split, and is not used; add the file again, or set the option "
                f"split to {name!r}."
            )
        return raw

    def _table(self, source: Source, answers: Answers) -> pd.DataFrame:
        return self._read(source, answers)[0]

    def noted(self, source: Source, answers: Answers) -> list[str]:
        return list(self._read(source, answers)[1])

    def _read(self, source: Source, answers: Answers) -> tuple[pd.DataFrame, list[str]]:
        """The table, and what had to be assumed; of several files, the parts of the split below each other."""
        return source.table(source.names[0], _sheet(answers)) if source.alone else source.together()


def without(table: pd.DataFrame, column: str | None) -> pd.DataFrame:
    """The table without its split column, where it has one."""
    return table if column is None else table[[name for name in table.columns if str(name) != column]]


def parts_of_rows(parts: np.ndarray | None, known: pd.DataFrame) -> np.ndarray | None:
    """The parts of the rows that are left of a table whose rows are numbered."""
    return None if parts is None else parts[known.index.to_numpy()]


def parts_said(known: pd.DataFrame, split: str | None, otherwise: np.ndarray | None) -> np.ndarray | None:
    """The parts of some rows by their split column; where none is chosen, those that files and folders say."""
    return otherwise if split is None else given_of(known[split], split)


def kept_table(folder: Path) -> pd.DataFrame:
    """The table of an upload; one that is larger than memory stays in its file.

    Raises:
        DataError: it is damaged.
    """
    import pandas as pd

    if (folder / ARROW_FILE).exists():
        return cast(
            "pd.DataFrame", StoredTable.open(folder / ARROW_FILE)
        )  # which is used like one, as far as is needed
    return pd.read_parquet(folder / TABLE)


def _sheet(answers: Answers) -> str:
    sheet = answers.get("sheet")
    return sheet if isinstance(sheet, str) else ""


def numeric(table: pd.DataFrame) -> list[str]:
    """The columns of numbers."""
    import pandas as pd

    kinds = pd.api.types
    return [
        str(name)
        for name, values in table.items()
        if kinds.is_numeric_dtype(values) and not kinds.is_bool_dtype(values)
    ]


def no_number(values: pd.Series, otherwise: str) -> DataError:
    """That a column is none of numbers: the cell because of which, where most of it are, else a sentence."""
    odd = odd_one(values, ("number",), 0.5)
    return DataError(f"The column {str(values.name)!r} is not all numbers{odd}." if odd else otherwise)


def textual(table: pd.DataFrame) -> list[str]:
    """The columns of texts."""
    import pandas as pd

    return [str(name) for name, values in table.items() if pd.api.types.is_string_dtype(values)]


def known_rows(table: pd.DataFrame, columns: list[str], warnings: list[str]) -> pd.DataFrame:
    """The rows that hold something in each of these columns.

    Raises:
        DataError: there is none.
    """
    known = table[table[columns].notna().all(axis=1)]
    if not len(known):
        raise DataError(f"No row holds something in each of {', '.join(map(repr, columns))}.")
    if len(known) < len(table):
        warnings.append(
            f"{len(table) - len(known):,} rows that lack one of {', '.join(map(repr, columns))} were left out."
        )
    return known


def target_of(values: pd.Series, task: str | None, title: str) -> dict[str, Any]:
    """The target of a Raw, from a column without missing values: classes or numbers, as in a table.

    Raises:
        DataError: they are no classes and no numbers.
    """
    import numpy as np
    import pandas as pd

    from netloom.data.tables.table_dataset import table_to_raw

    name = str(values.name)
    other = "place" if name != "place" else "order"
    table = pd.DataFrame({other: np.arange(len(values), dtype=np.float64), name: values.reset_index(drop=True)})
    raw = table_to_raw(table, {"target": name, **({"task": task} if task else {})}, title)
    return {
        "target": raw.target,
        "target_kind": raw.target_kind,
        "target_name": raw.target_name,
        "classes": raw.classes,
        "target_parts": raw.target_parts,
    }


TASK = Question("task", "Predict as", "choice", "A class, a number, or labels such as a;b;c",
                choices=("classification", "regression", "multi_label"),
                optional=True, empty="what the values look like")  # fmt: skip
