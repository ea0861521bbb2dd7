"""One long text, for language models of characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.progress import ProgressCallback
from netloom.core.text import counted
from netloom.data import file_types
from netloom.data.dialect import has_separator
from netloom.data.limits import MAX_FILE_BYTES
from netloom.data.raw.texts import Characters
from netloom.data.raw_dataset import RawDataset
from netloom.data.splits.given_splits import NO_PART, file_parts
from netloom.data.tables.arff import is_arff
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.chosen import Chosen
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.upload_kind import PREVIEWED, Answers, Question, Reader, StoredUpload, check_options
from netloom.data.uploads.upload_meta import UploadMeta

if TYPE_CHECKING:
    import pandas as pd

LENGTH = Question("length", "Context length", "whole", "Number of characters that the model sees", 
                  low=8, high=256, default=64)  # fmt: skip
FEWEST = 1_000
MOST = 20_000_000
MAX_FILES = 200


class Prose(Reader):
    """A text, or one text per line, without labels: the next character is predicted."""

    name = "prose"
    title = "Text to continue"
    about = "A plain text, or one text per line: the network learns to continue it, character by character."
    kind = "text"

    def likely(self, source: Source) -> float:
        files = _files(source)
        if not files:
            return 0.0
        text, _ = decode_text(source.members.read(files[0], MAX_FILE_BYTES), files[0])
        return 0.2 if len(text) >= FEWEST and _reads_like_prose(text[:20_000]) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        return [LENGTH]

    def learned(self, source: Source, answers: Answers) -> str:
        return f"Predict the next character of the text from the previous {answers.get('length')} characters."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame({"text": [line for line in _text(source)[:5_000].splitlines() if line.strip()][:PREVIEWED]})

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        progress(0.2, "Reading the text")
        text, ends = _text(source), _ends(source)
        if len(text) < FEWEST:
            raise DataError(f"{source.filename[:100]!r} has {len(text):,} characters; at least {FEWEST:,} are needed.")
        notes = _nothing(source)
        if len(text) > MOST:
            notes.append(f"Of {len(text):,} characters, the first {MOST:,} are used.")
            text = text[:MOST]
        # Cutting would drop the last file as a whole, perhaps a part of the split.
        if ends and ends[-2][0] >= MOST:
            raise DataError(f"The parts of the text have {ends[-1][0]:,} characters; at most {MOST:,} can be read.")
        (folder / "text.txt").write_text(text, encoding="utf-8", newline="")
        # The last character has no next one to predict
        rows = (len(text) - 1) // Chosen(answers).whole("length")
        return StoredUpload(rows, f"{len(text):,} characters to continue, one by one", (), notes, {"ends": ends})

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        length = check_options(options, [LENGTH], meta["title"], "Texts to continue").whole("length")
        text = (folder / "text.txt").read_bytes().decode("utf-8")
        split, warnings = _parts_of_blocks(meta.get("ends") or [], len(text), length)
        return Characters(
            name="text",
            given=split,
            warnings=warnings,
            target=np.arange((len(text) - 1) // length),
            target_kind="next_token",
            target_name="next character",
            text=text,
            length=length,
            contiguous=True,
        )


def _files(source: Source) -> list[str]:
    """Return the only text, or the texts of the parts of a split, in their order."""
    if source.alone:
        return list(source.names) if source.form() == file_types.TEXT else []
    texts = source.members.of(file_types.TEXT)
    if len(texts) < len(source.names) or len(texts) > MAX_FILES:
        return []
    try:
        part_of = file_parts(texts).parts
    except DataError:
        return []
    return sorted(part_of, key=lambda name: (part_of[name], name))


def _plain(source: Source, name: str) -> str:
    text, _ = decode_text(source.members.read(name, MAX_FILE_BYTES), name)
    return text.replace("\r\n", "\n").replace("\0", " ").strip()


def _text(source: Source) -> str:
    files = _files(source)
    if not files:
        raise DataError("A text to continue is a plain text file, or one per part of a split, such as train.txt.")
    return "\n".join(_plain(source, name) for name in files)


def _ends(source: Source) -> list[tuple[int, int]]:
    """Return the position where each file ends in the joined text, and its part of the split; [] for a single file."""
    files = _files(source)
    part_of, ends, end = file_parts(files).parts if len(files) > 1 else {}, list[tuple[int, int]](), -1
    for name in files if part_of else ():
        end += 1 + len(_plain(source, name))
        ends.append((end, part_of[name]))
    return ends


def _parts_of_blocks(
    ends: Sequence[Sequence[int]], characters: int, length: int
) -> tuple[np.ndarray | None, list[str]]:
    """Return the part of each block and of the character after it, and a warning about blocks that span two parts.

    Such a block is in no part: training would see characters of the test.
    """
    if not ends:
        return None, []
    parts = np.concatenate([np.full(end - begin, part) for (end, part), begin in _stretches(ends)])
    parts = np.append(parts, parts[-1:])[:characters]
    rows = (characters - 1) // length
    firsts = np.arange(rows) * length
    # Counts the changes of the part up to each character: equal counts at both ends of a block mean one part.
    changes = np.concatenate([[0], np.cumsum(parts[1:] != parts[:-1])])
    is_within_part = changes[firsts] == changes[np.minimum(firsts + length, characters - 1)]
    spanning = int((~is_within_part).sum())
    warnings = [f"Left out {counted(spanning, 'block')} across two parts of the split."] if spanning else []
    return np.where(is_within_part, parts[firsts], NO_PART), warnings


def _stretches(ends: Sequence[Sequence[int]]) -> Iterator[tuple[Sequence[int], int]]:
    """Yield the end of each file, with its start; the line break between two files belongs to the first."""
    begin = 0
    for number, (end, part) in enumerate(ends):
        last = number == len(ends) - 1
        yield (end if last else end + 1, part), begin
        begin = end + 1


def _nothing(source: Source) -> list[str]:
    """Return a note on NUL characters."""
    for name in _files(source):
        text, _ = decode_text(source.members.read(name, MAX_FILE_BYTES), name)
        count = text.count("\0")
        if count:
            line = text.count("\n", 0, text.index("\0")) + 1
            return [f"{count:,} NUL characters, the first in line {line:,}, are read as spaces; is the file damaged?"]
    return []


def _reads_like_prose(text: str) -> bool:
    """Return whether a text is not a table: no separator occurs equally often in most lines."""
    lines = [line for line in text.splitlines() if line.strip()]
    if text.lstrip()[:1] in ("{", "[", "<") or is_arff(text):
        return False
    if len(lines) < 2:
        return " " in text
    if has_separator("\n".join(lines), "\t;,|"):
        return False
    return sum(" " in line.strip() for line in lines) > len(lines) / 2
