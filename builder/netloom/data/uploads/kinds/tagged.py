"""Sentences with a tag for each word, and optionally an intent, such as those of the CoNLL tasks, ATIS and SNIPS."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.progress import ProgressCallback
from netloom.core.text import counted
from netloom.data.limits import MAX_ROWS
from netloom.data.raw.texts import TaggedTexts
from netloom.data.raw_dataset import RawDataset, RawTarget
from netloom.data.splits.given_splits import NO_PART
from netloom.data.uploads.chosen import text
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_questions import set_given_split
from netloom.data.uploads.tabular import target_of
from netloom.data.uploads.texts.tagged_sentence import Sentence
from netloom.data.uploads.texts.tagged_sentences import TAG, layout_of, sentences
from netloom.data.uploads.texts.word_rows import tag_choices, word_rows
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
from netloom.modalities.columns.text import LENGTH_LIMIT

if TYPE_CHECKING:
    import pandas as pd

_SAMPLED = 2_000  # sentences from which it is inferred whether there are intents
MAX_TAGS = 400
COLUMN = Question("column", "Tag column", "whole", "Number of the column with the tags; 0: the last column", low=0,
                  high=30, default=0, when_added=True)  # fmt: skip
TAGS = Question("tags", "Tag column", "choice", "The column with the tag of each word", when_added=True)
INTENTS = Question("intents", "Intents", "switch", "Predict the intent of each sentence, too", default=True)


class Tagged(Reader):
    """Sentences with one tag per word."""

    name = "tagged"
    title = "Tagged words"
    about = (
        "One word with its tag per line, and an empty line between sentences, as in the CoNLL tasks; JSON records of "
        "words and tags; a table with a row per word and the number of its sentence; or a file of sentences and one of "
        "their tags. Tags of entities are O, B-kind and I-kind. Each sentence may also have an intent. Several files "
        "(train, dev, test) are the parts of the split."
    )
    kind = "text"
    target_question = "tags"

    def likely(self, source: Source) -> float:
        return 0.95 if layout_of(source) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        # Only files of columns have several that may hold the tags
        columns = [with_default(COLUMN, 0)] if layout_of(source) in ("columns", None) else []
        if (rows := word_rows(source)) is not None:
            columns = [with_default(TAGS, rows.tags[0], tag_choices(rows), rows.tags)]
        return [*columns, *([INTENTS] if _has_intents(_read(source, answers, _SAMPLED)) else [])]

    def learned(self, source: Source, answers: Answers) -> str:
        kinds = sorted({tag for sentence in _read(source, answers, 200) for tag in sentence.tags} - {"O"})
        learned = f"Predict the tag of every word of a text, such as {', '.join(kinds[:5]) or 'O'}."
        return (
            learned.replace(" the tag", " the intent of a text and the tag", 1) if answers.get("intents") else learned
        )

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        rows = _read(source, answers, PREVIEWED)
        columns = {"words": [" ".join(row.words) for row in rows], "tags": [" ".join(row.tags) for row in rows]}
        return pd.DataFrame({**columns, **({"intent": [row.intent for row in rows]} if "intents" in answers else {})})

    def can_predict(self, source: Source, column: str) -> bool:
        rows = word_rows(source)
        return rows is not None and column in rows.tags

    def answered(self, source: Source, provided: Answers) -> JsonObject:
        if provided.get(TAGS.name) is not None and word_rows(source) is None:
            raise DataError(
                "These files of tagged words have no column to predict by name; leave the target out, or choose the "
                "number of the column of tags with the option column."
            )
        return super().answered(source, provided)

    def noted(self, source: Source, answers: Answers) -> list[str]:
        rows = word_rows(source)
        return [] if rows is None else list(rows.notes)

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        import pandas as pd

        progress(0.1, "Reading the sentences")
        rows = _read(source, answers)
        if len(rows) > MAX_ROWS:
            raise DataError(f"These files have more than {MAX_ROWS:,} sentences; upload a part of them.")
        if not rows:
            raise DataError(f"{source.filename[:100]!r} has no sentences of words with tags.")
        notes = self.noted(source, answers)
        has_intents = _has_intents(rows)
        if has_intents and (unlabeled := sum(not row.intent for row in rows)):
            notes.append(f"Left out {counted(unlabeled, 'sentence')} without an intent.")
            rows = [row for row in rows if row.intent]
        changes = Counter[str]()
        tags = [" ".join(_bio(row.tags, changes)) for row in rows]
        notes += [f"{count:,} tags {change}." for change, count in changes.items()]
        table = pd.DataFrame({"words": [row.words for row in rows], "tags": tags})
        if any(row.part != NO_PART for row in rows):
            table["part"] = [row.part for row in rows]
        if has_intents:
            table["intent"] = [row.intent[:200] for row in rows]
        names = _tag_names(tags)
        table.to_parquet(folder / "tagged.parquet")
        cut = sum(len(row.words) > LENGTH_LIMIT for row in rows)
        if cut:
            notes.append(f"Cut {counted(cut, 'sentence')} after {LENGTH_LIMIT} words.")
        intents = f", {len({row.intent for row in rows})} intents" if has_intents else ""
        summary = f"{len(table):,} sentences, {sum(name != 'O' for name in names)} tags besides O{intents}"
        return StoredUpload(len(table), summary, ("text", "tags", *(("intent",) if has_intents else ())), notes)

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        import pandas as pd

        table = pd.read_parquet(folder / "tagged.parquet")
        questions = [INTENTS] if "intent" in table else []
        chosen = check_options(options, questions, meta["title"], "Tagged words")
        names = _tag_names(list(table["tags"]))
        if len(names) < 2:
            raise DataError(
                f"Every word has the same tag, {names[0] if names else 'none'!r}, so there is nothing to predict."
            )
        # Older uploads store texts, which are split into words like those of other datasets; their runs depend on it.
        parted = [list(words) for words in table["words"]] if "words" in table else []
        target: RawTarget = {
            "target": np.arange(len(table)), "target_kind": "tags", "target_name": "tags", "classes": names,
        }  # fmt: skip
        if chosen.switch("intents"):
            target = target_of(table["intent"], "classification", meta["title"])
            target["target_kind"], target["target_name"] = "class_and_tags", "intent and tags"
        raw = TaggedTexts(
            name="text",
            tag_names=names,
            texts=[" ".join(words) for words in parted] or list(table["text"]),
            parted=parted,
            tags=[text.split() for text in table["tags"]],
            **target,
        )
        set_given_split(raw, table["part"].to_numpy() if "part" in table else None)
        return raw


def _read(source: Source, answers: Answers, most: int | None = None) -> list[Sentence]:
    column = answers.get("column")
    return sentences(source, column if isinstance(column, int) else 0, most, text(answers, TAGS.name))


def _has_intents(rows: list[Sentence]) -> bool:
    """Return whether at least half of the sentences have an intent, and these differ."""
    intents = [row.intent for row in rows if row.intent]
    return 2 * len(intents) >= len(rows) > 0 and len(set(intents)) > 1


def _bio(tags: list[str], changes: Counter[str]) -> list[str]:
    """Convert tags of entities to BIO; other tags, such as parts of speech, stay. `changes` counts the changes."""
    if not all(TAG.fullmatch(tag) for tag in tags):
        return [re.sub(r"\s", "_", tag)[:80] for tag in tags]
    converted: list[str] = []
    previous = "O"
    for tag in tags:
        mark, _, kind = tag.partition("-")
        if mark in "SU" and kind:
            changes["of single words (S- or U-) are taken as B-"] += 1
            tag = f"B-{kind}"
        elif mark in "ELM" and kind:
            changes["within or at the end of an entity (E-, L- or M-) are taken as I-"] += 1
            tag = f"I-{kind}"
        if tag.startswith("I-") and previous.partition("-")[2] != kind:
            changes["that continue no entity (I- after another kind or O) are taken as its beginning, B-"] += 1
            tag = f"B-{kind}"
        converted.append(tag)
        previous = tag
    return converted


def _tag_names(tags: list[str]) -> tuple[str, ...]:
    """All tags, with O first."""
    names = {tag for line in tags for tag in line.split()}
    # The training rows may have an entity only as a single word, where prediction needs I- as well.
    names |= {f"I-{tag[2:]}" for tag in names if tag.startswith("B-")}
    if len(names) > MAX_TAGS:
        raise DataError(f"There are {len(names):,} different tags; at most {MAX_TAGS} are supported.")
    return tuple(sorted(names, key=lambda tag: (tag != "O", tag[2:] if tag[1:2] == "-" else tag, tag)))
