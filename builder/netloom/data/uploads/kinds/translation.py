"""Pairs of a text and its answer, such as sentences and their translations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.text import counted
from netloom.data.raw_dataset import RawDataset
from netloom.data.sequence_pairs import Pairs
from netloom.data.tables.code_columns import cell_texts
from netloom.data.tables.target_guess import are_numbered, possible_targets
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.pairing import triplet_columns
from netloom.data.uploads.tabular import Tabular, known_rows, parts_of_rows, sentences, textual
from netloom.data.uploads.texts.dialogs import dialogs_of, read_dialogs
from netloom.data.uploads.texts.parallel_texts import have_equal_lines, parallel_texts, read_parallel
from netloom.data.uploads.upload_kind import Answers, Question
from netloom.modalities.columns.text import LENGTH_LIMIT

if TYPE_CHECKING:
    import pandas as pd


class Translation(Tabular):
    """Two text columns: the second is generated from the first."""

    name = "translation"
    title = "Texts and answers"
    about = (
        "Two columns of text, two texts per line with a tab between them, or two files whose lines belong together, "
        "such as train.en and train.de: the second text is generated from the first. Also the lines of dialogs and "
        "their order, as in the Cornell Movie-Dialogs."
    )
    kind = "text"
    target_question = "answer"
    specific_questions = (
        Question("text", "Text", "choice", "Input sequence"),
        Question("answer", "Answer", "choice", "Output sequence, generated character by character"),
    )

    def likely(self, source: Source) -> float:
        parallel = parallel_texts(source)
        if dialogs_of(source) is not None:
            return 0.9
        if parallel is not None and (parallel.are_certain or have_equal_lines(source, parallel)):
            return 0.9
        return super().likely(source)

    def data_sets(self, source: Source) -> list[str]:
        is_table = parallel_texts(source) is None and dialogs_of(source) is None
        return super().data_sets(source) if is_table else []

    def _read(self, source: Source, answers: Answers) -> tuple[pd.DataFrame, list[str]]:
        if (dialogs := dialogs_of(source)) is not None:
            return read_dialogs(source, dialogs)
        parallel = parallel_texts(source)
        return super()._read(source, answers) if parallel is None else read_parallel(source, parallel)

    def suits(self, table: pd.DataFrame) -> float:
        texts = textual(table)
        if len(texts) != 2 or table.shape[1] != 2:
            return 0.6 if _are_beside_others(table) else 0.0
        varied = all(table[name].nunique() > 0.5 * len(table) for name in texts)
        return 0.6 if varied else 0.0

    def guesses(self, table: pd.DataFrame, answers: Answers) -> JsonObject:
        texts = sentences(table) if _are_beside_others(table) else textual(table)
        text = answers.get("text") or (texts or [str(table.columns[0])])[0]
        candidates = [name for name in texts if name != text] or [str(table.columns[-1])]
        return {"text": text, "answer": candidates[0]}

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Generate {answers.get('answer')!r} from {answers.get('text')!r}, character by character."

    def target_phrase(self, answers: Answers) -> str:
        return f"writes {answers['answer']} from {answers['text']}"

    def from_table(
        self, table: pd.DataFrame, options: Chosen, title: str, parts: np.ndarray | None = None
    ) -> RawDataset:
        chosen = options
        text, answer = chosen.choice("text"), chosen.choice("answer")
        if text == answer:
            raise DataError(f"{text!r} is both the text and the answer; choose two different columns.")
        warnings: list[str] = []
        rows = known_rows(table, [text, answer], warnings)
        answered = [" ".join(value.split()) for value in cell_texts(rows[answer])]
        long = sum(len(value) >= LENGTH_LIMIT for value in answered)
        if long:
            warnings.append(f"Cut {counted(long, 'answer')} after {LENGTH_LIMIT - 1} characters.")
        texts = cell_texts(rows[text])
        # All rows with one text are in the same part of the split, so that training does not see texts of the test.
        groups = np.unique(np.array(texts, dtype=object).astype(str), return_inverse=True)[1]
        return Pairs(
            name="text",
            column=text,
            target=np.arange(len(rows)),
            target_kind="sequence",
            target_name=answer,
            texts=texts,
            answers=answered,
            groups=groups,
            given=parts_of_rows(parts, rows),
            warnings=warnings,
        )


def _are_beside_others(table: pd.DataFrame) -> bool:
    """Return whether two texts are beside columns that cannot be predicted, such as an id, or a source as in the files
    of Tatoeba, which do not name their columns."""
    texts = sentences(table)
    columns = [str(name) for name in table.columns]
    is_pair = len(texts) == 2 or (len(texts) > 2 and are_numbered(columns))
    if len(columns) <= 2 or not is_pair or triplet_columns(columns):
        return False
    return _are_after_ids(table, texts) or not possible_targets(table)


def _are_after_ids(table: pd.DataFrame, texts: list[str]) -> bool:
    """Return whether each column is a text or the whole number in front of one, in a file without names of columns, as
    in the pairs of sentences of Tatoeba."""
    columns = [str(name) for name in table.columns]
    ids = [name for name in columns if name not in texts]
    are_whole = all(table[name].dtype.kind == "i" for name in ids)
    return are_numbered(columns) and are_whole and columns[1::2] == texts and columns[::2] == ids
