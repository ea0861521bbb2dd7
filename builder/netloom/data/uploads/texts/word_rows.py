"""Tables with a row for each word: the number of its sentence, the word, and its tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.data.splits.given_splits import NO_PART, given_of, split_column
from netloom.data.tables.code_columns import cell_texts
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.texts.tagged_sentence import Sentence
from netloom.modalities.fields.text import UNKNOWN_TOKENS

if TYPE_CHECKING:
    import pandas as pd

_SENTENCE = re.compile(
    r"(?i)(sentences?|sent|doc(ument)?|seq(uence)?|text|tweet|utterance)([ _.-]*(#|ids?|no|nr|num(ber)?|idx|index))+"
    r"|sentence"
)
_WORD = re.compile(r"(?i)words?|tokens?|form|token[ _]?text|word[ _]?form")
_TAG = re.compile(
    r"(?i)(ner|iob|bio|entity|named[ _]?entity|slot|label|tag|pos|upos|xpos|chunk|target)s?"
    r"([ _]?(tag|label|iob|bio)s?)?"
)
_PART_OF_SPEECH = re.compile(r"(?i).*(pos|chunk).*")  # beside tags of entities, these are an input of older models
_SAMPLE = 20_000
_FEWEST_WORDS = 1.5  # words in a sentence, on average
_MOST_BLANKS = 0.02  # the share of words with a blank in them


@dataclass(frozen=True)
class WordRows:
    """A table with a row for each word.

    Attributes:
        sentence: The column that numbers the sentences, in each row or in the first of each sentence.
        tags: The columns that may be the tags, the most likely first; none in rows to predict.
    """

    table: pd.DataFrame
    notes: list[str]
    sentence: str
    word: str
    tags: list[str]


def word_rows(source: Source, *, tagged: bool = True) -> WordRows | None:
    """Return the table of words; None if the source is not one, or has no tags and they have to be `tagged`. Cached."""
    rows: WordRows | None = source.once("word rows", lambda: _word_rows(source))
    return rows if rows is not None and (rows.tags or not tagged) else None


def sentences_of_rows(rows: WordRows, tags: str, most: int | None) -> list[Sentence]:
    """Return the sentences of a table, at most `most`, with the tags in a column, or with O if it has no tags."""
    table = rows.table
    tag_column = tags or next(iter(rows.tags), "")
    split = split_column(table)
    # A word such as null is a missing cell
    words = cell_texts(table[rows.word].fillna(UNKNOWN_TOKENS[1]))
    cells = cell_texts(table[tag_column].fillna("O")) if tag_column else ["O"] * len(table)
    parts = [NO_PART] * len(table) if split is None else given_of(table[split], split).tolist()
    numbers = cell_texts(table[rows.sentence].ffill().fillna(""))
    parsed: list[Sentence] = []
    for (_, part), places in groupby(range(len(table)), key=lambda place: (numbers[place], parts[place])):
        of_sentence = list(places)
        parsed.append(
            Sentence(
                ["_".join(words[place].split()) or UNKNOWN_TOKENS[1] for place in of_sentence],
                [cells[place] for place in of_sentence],
                part=part,
            )
        )
        if most is not None and len(parsed) >= most:
            break
    return parsed


def _word_rows(source: Source) -> WordRows | None:
    if source.large is not None or (not source.alone and len(source.tables()) < len(source.names)):
        return None
    try:
        table, notes = source.table() if source.alone else source.together()
    except DataError:
        return None
    columns = [str(name) for name in table.columns]
    sentence = next((name for name in columns if _SENTENCE.fullmatch(name.strip())), None)
    word = next((name for name in columns if _WORD.fullmatch(name.strip())), None)
    if sentence is None or word is None or not _are_words(table.head(_SAMPLE), sentence, word):
        return None
    tags = [name for name in columns if _TAG.fullmatch(name.strip()) and name not in (sentence, word)]
    some = table.head(_SAMPLE)
    tags = [name for name in tags if 1 < table[name].nunique() < len(table) and _varies(some, sentence, name)]
    tags.sort(key=lambda name: _PART_OF_SPEECH.fullmatch(name) is not None)
    return WordRows(table, notes, sentence, word, tags)


def _are_words(table: pd.DataFrame, sentence: str, word: str) -> bool:
    """Return whether the rows are words, several in a row of one sentence."""
    import pandas as pd

    words = table[word].dropna()
    if not len(words) or not pd.api.types.is_string_dtype(words):
        return False
    numbers = table[sentence].ffill()
    runs = int((numbers != numbers.shift()).sum())
    return bool(words.str.contains(" ").mean() <= _MOST_BLANKS and len(table) >= _FEWEST_WORDS * runs)


def _varies(table: pd.DataFrame, sentence: str, tag: str) -> bool:
    """Return whether the tags of a sentence differ, unlike the class of a document that is repeated for its words."""
    same_sentence = table[sentence].isna() | (table[sentence] == table[sentence].shift())
    return bool((same_sentence & (table[tag] != table[tag].shift())).iloc[1:].any())


def tag_choices(rows: WordRows) -> Sequence[str]:
    """Return the columns that can be chosen as tags, the most likely first."""
    others = [str(name) for name in rows.table.columns if str(name) not in (rows.sentence, rows.word, *rows.tags)]
    return [*rows.tags, *others]
