"""Tagged words in the CoNLL format: one word with its tag per line, and an empty line between sentences."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.core.progress import ProgressCallback
from netloom.data import file_types
from netloom.data.limits import MAX_FILE_BYTES, MAX_ROWS
from netloom.data.raw.texts import TaggedTexts
from netloom.data.raw_dataset import RawDataset
from netloom.data.splits.given_splits import file_parts
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.images import set_given
from netloom.data.uploads.source import Source
from netloom.data.uploads.upload_kind import (
    PREVIEWED,
    Answers,
    Kept,
    Question,
    Reader,
    check_options,
    with_default,
)
from netloom.data.uploads.upload_meta import UploadMeta
from netloom.modalities.columns.text import LENGTH_LIMIT
from netloom.modalities.fields.text import UNKNOWN_TOKENS

if TYPE_CHECKING:
    import pandas as pd

_TAG = re.compile(r"O|[BIESLUM]-\S{1,80}")
_SAMPLE_LINES = 400
_MOST_ODD = 0.1  # share of the lines of a sample; reading the file reports their errors
MAX_TAGS = 400
COLUMN = Question("column", "Tag column", "whole", "Number of the column with the tags; 0: the last column", low=0,
                  high=30, default=0, when_added=True)  # fmt: skip
Sentence = tuple[list[str], list[str]]


class Tagged(Reader):
    """Sentences with one tag per word."""

    name = "tagged"
    title = "Tagged words (CoNLL)"
    about = (
        "One word with its tag per line, and an empty line between sentences, as in the CoNLL tasks; tags of entities "
        "are O, B-kind and I-kind. Words are not split further. Several files (train, dev, test) in a zip are the "
        "parts of the split."
    )
    kind = "text"

    def likely(self, source: Source) -> float:
        files = _files(source)
        return 0.95 if files else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        return [with_default(COLUMN, 0)]

    def learned(self, source: Source, answers: Answers) -> str:
        kinds = sorted({tag for _, tags in _sentences(source, answers, 200) for tag in tags} - {"O"})
        return f"Predict the tag of every word of a text, such as {', '.join(kinds[:5]) or 'O'}."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        rows = _sentences(source, answers, PREVIEWED)
        return pd.DataFrame(
            {"words": [" ".join(words) for words, _ in rows], "tags": [" ".join(tags) for _, tags in rows]}
        )

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> Kept:
        import pandas as pd

        files = _files(source) or source.members.of(file_types.TEXT)
        parts_of_files = file_parts(files)
        notes: list[str] = []
        texts: list[list[str]] = []
        tags: list[str] = []
        origin: list[str] = []
        mended = Counter[str]()
        for place, name in enumerate(files):
            progress(0.1 + 0.7 * place / len(files), f"Reading {name}")
            for words, word_tags in _read(source, name, answers, None):
                texts.append(words)
                tags.append(" ".join(_bio(word_tags, mended)))
                origin.append(name)
            if len(texts) > MAX_ROWS:
                raise DataError(f"These files have more than {MAX_ROWS:,} sentences; upload a part of them.")
        if not texts:
            raise DataError(f"{source.filename[:100]!r} has no sentences of words with tags.")
        notes += [f"{count:,} tags {change}." for change, count in mended.items()]
        table = pd.DataFrame({"words": texts, "tags": tags})
        parts = parts_of_files.of(origin)
        if parts is not None:
            table["part"] = parts
        names = _tag_names(tags)
        table.to_parquet(folder / "tagged.parquet")
        kinds = sum(name != "O" for name in names)
        cut = sum(len(sentence_words) > LENGTH_LIMIT for sentence_words in texts)
        if cut:
            notes.append(f"{cut:,} sentences have more than {LENGTH_LIMIT} words; the words after that are cut.")
        return Kept(len(table), f"{len(table):,} sentences, {kinds} tags besides O", ("text", "tags"), notes)

    def raw(self, folder: Path, meta: UploadMeta, options: dict[str, Any]) -> RawDataset:
        import pandas as pd

        check_options(options, [], meta["title"], "Tagged words")
        table = pd.read_parquet(folder / "tagged.parquet")
        names = _tag_names(list(table["tags"]))
        if len(names) < 2:
            raise DataError(
                f"Every word has the same tag, {names[0] if names else 'none'!r}, so there is nothing to predict."
            )
        # Older uploads store texts, which are split into words like those of other datasets; their runs depend on it.
        parted = [list(words) for words in table["words"]] if "words" in table else []
        raw = TaggedTexts(
            name="text",
            target=np.arange(len(table)),
            target_kind="tags",
            target_name="tags",
            classes=names,
            tag_names=names,
            texts=[" ".join(words) for words in parted] or list(table["text"]),
            parted=parted,
            tags=[text.split() for text in table["tags"]],
        )
        set_given(raw, table["part"].to_numpy() if "part" in table else None)
        return raw


def _files(source: Source) -> list[str]:
    """Return the files that look like tagged words."""
    return [name for name in source.members.of(file_types.TEXT) if _looks_tagged(source, name)]


def _looks_tagged(source: Source, name: str) -> bool:
    try:
        text = source.members.head(name).decode("utf-8", "ignore")
    except DataError:
        return False
    lines = [line.split() for line in text.splitlines()[:_SAMPLE_LINES]]
    lines = lines[:-1] or lines  # the last line may be incomplete
    full = [line for line in lines if line and not line[0].startswith("#")]
    odd = sum(len(line) < 2 or not _TAG.fullmatch(line[-1]) for line in full)
    return len(full) >= 3 and odd <= _MOST_ODD * len(full)


def _sentences(source: Source, answers: Answers, count: int) -> list[Sentence]:
    files = _files(source) or source.members.of(file_types.TEXT)
    if not files:
        raise DataError("Tagged words need a plain text file, with one word and its tag per line.")
    return _read(source, files[0], answers, count)


def _read(source: Source, name: str, answers: Answers, most: int | None) -> list[Sentence]:
    """Return the sentences of a file, at most `most`.

    Raises:
        DataError: A line has no tag, or another number of columns than the line before.
    """
    text, _ = decode_text(source.members.read(name, MAX_FILE_BYTES), name)
    column = int(answers.get("column", 0) or 0)
    sentences: list[Sentence] = []
    sentence: Sentence = ([], [])
    width = 0  # of the lines of a sentence
    for number, line in enumerate([*text.replace("\0", " ").splitlines(), ""], 1):
        cells = line.split("\t") if "\t" in line else line.split()
        cells = [cell.strip() for cell in cells]
        if not any(cells) or cells[0] == "-DOCSTART-" or _is_comment(line, cells):
            if sentence[0]:
                sentences.append(sentence)
                sentence = ([], [])
            if most is not None and len(sentences) >= most:
                break
            continue
        if len(cells) < 2 or column > len(cells) or not cells[column - 1]:
            raise DataError(
                f"Line {number:,} of {name[:80]!r} has no tag after its word: {line[:60]!r}; each line needs a word "
                "and a tag, with a tab or a space between them."
            )
        if sentence[0] and len(cells) != width:
            raise DataError(
                f"Line {number:,} of {name[:80]!r} has {len(cells)} columns where the line before has {width}: "
                f"{line[:60]!r}; all lines of a sentence need the same number."
            )
        width = len(cells)
        sentence[0].append((cells[0] if column != 1 else cells[1]) or UNKNOWN_TOKENS[1])
        sentence[1].append(cells[column - 1])
    return sentences


def _is_comment(line: str, cells: list[str]) -> bool:
    """Return whether a line is a comment, not a tagged #."""
    return line.startswith("#") and (len(cells) == 1 or ("\t" not in line and not _TAG.fullmatch(cells[-1])))


def _bio(tags: list[str], changes: Counter[str]) -> list[str]:
    """Convert tags of entities to BIO; other tags, such as parts of speech, stay. `changes` counts the changes."""
    if not all(_TAG.fullmatch(tag) for tag in tags):
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
            changes["that go on with no entity (I- after another kind or O) are taken as its begin, B-"] += 1
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
