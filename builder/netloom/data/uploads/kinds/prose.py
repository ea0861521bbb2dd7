"""One long text, to be learned letter by letter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.limits import MAX_FILE_BYTES
from netloom.data.raw_dataset import Characters, RawDataset
from netloom.data.splits.given_splits import NO_PART, file_parts
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.source import Source
from netloom.data.uploads.upload_kind import PREVIEWED, Answers, Kept, Question, Reader, Tell, check_options

if TYPE_CHECKING:
    import pandas as pd

LENGTH = Question("length", "Context length", "whole", "Number of characters that the model sees", 
                  low=8, high=256, default=64)  # fmt: skip
FEWEST = 1_000
MOST = 20_000_000
MOST_FILES = 200


class Prose(Reader):
    """A text, or texts one by line, without labels: each next character is to be told."""

    name = "prose"
    title = "Text to continue"
    about = "A plain text, or many with one on each line: the network learns to continue it, letter by letter."
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

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        tell(0.2, "Reading the text")
        text, ends = _text(source), _ends(source)
        if len(text) < FEWEST:
            raise DataError(f"{source.filename[:100]!r} has {len(text):,} characters; at least {FEWEST:,} are needed.")
        notes = _nothing(source)
        if len(text) > MOST:
            notes.append(f"Of {len(text):,} characters, the first {MOST:,} are used.")
            text = text[:MOST]
        if ends and ends[-2][0] >= MOST:
            raise DataError(f"The parts of the text have {ends[-1][0]:,} characters; at most {MOST:,} can be read.")
        (folder / "text.txt").write_text(text, encoding="utf-8", newline="")
        rows = (len(text) - 1) // int(answers["length"])
        return Kept(rows, f"{len(text):,} characters to continue, one by one", (), notes, {"ends": ends})

    def raw(self, folder: Path, meta: Mapping[str, Any], options: dict[str, Any]) -> RawDataset:
        length = check_options(options, [LENGTH], str(meta["title"]), "Texts to continue")["length"]
        text = (folder / "text.txt").read_bytes().decode("utf-8")
        given, warnings = _given(meta.get("ends") or [], len(text), length)
        return Characters(
            name="text",
            given=given,
            warnings=warnings,
            target=np.arange((len(text) - 1) // length),
            target_kind="next_token",
            target_name="next character",
            text=text,
            length=length,
            contiguous=True,
        )


def _files(source: Source) -> list[str]:
    """The only text, or those that are the parts of a split, in the order of these."""
    if source.alone:
        return list(source.names) if source.form() == file_types.TEXT else []
    texts = source.members.of(file_types.TEXT)
    if len(texts) < len(source.names) or len(texts) > MOST_FILES:
        return []
    try:
        told = file_parts(texts).parts
    except DataError:
        return []
    return sorted(told, key=lambda name: (told[name], name))


def _plain(source: Source, name: str) -> str:
    text, _ = decode_text(source.members.read(name, MAX_FILE_BYTES), name)
    return text.replace("\r\n", "\n").replace("\0", " ").strip()


def _text(source: Source) -> str:
    files = _files(source)
    if not files:
        raise DataError("A text to continue is a plain text file, or one for each part of a split, such as train.txt.")
    return "\n".join(_plain(source, name) for name in files)


def _ends(source: Source) -> list[tuple[int, int]]:
    """Where each file ends in the text, with the part of the split that it is; nothing of a single one."""
    files = _files(source)
    told, found, end = file_parts(files).parts if len(files) > 1 else {}, list[tuple[int, int]](), -1
    for name in files if told else ():
        end += 1 + len(_plain(source, name))
        found.append((end, told[name]))
    return found


def _given(ends: Sequence[Sequence[int]], characters: int, length: int) -> tuple[np.ndarray | None, list[str]]:
    """The part of each block with the character behind it; one that reaches over two files is in none. With a remark on
    those."""
    if not ends:
        return None, []
    parts = np.concatenate([np.full(end - begin, part) for (end, part), begin in _stretches(ends)])
    parts = np.append(parts, parts[-1:])[:characters]
    rows = (characters - 1) // length
    firsts = np.arange(rows) * length
    changes = np.concatenate([[0], np.cumsum(parts[1:] != parts[:-1])])
    whole = changes[firsts] == changes[np.minimum(firsts + length, characters - 1)]
    over = int((~whole).sum())
    said = [f"{over:,} blocks that reach from one part of the split into another were left out."] if over else []
    return np.where(whole, parts[firsts], NO_PART), said


def _stretches(ends: Sequence[Sequence[int]]) -> Iterator[tuple[Sequence[int], int]]:
    """Each end with the place where its file begins: the line break between two belongs to the first."""
    begin = 0
    for number, (end, part) in enumerate(ends):
        last = number == len(ends) - 1
        yield (end if last else end + 1, part), begin
        begin = end + 1


def _nothing(source: Source) -> list[str]:
    """What has to be said of characters that stand for nothing."""
    for name in _files(source):
        text, _ = decode_text(source.members.read(name, MAX_FILE_BYTES), name)
        count = text.count("\0")
        if count:
            line = text.count("\n", 0, text.index("\0")) + 1
            return [f"{count:,} NUL characters, the first in line {line:,}, are read as blanks; is the file damaged?"]
    return []


def _reads_like_prose(text: str) -> bool:
    """Whether lines have no columns in common: no separator stands equally often on most of them."""
    lines = [line for line in text.splitlines() if line.strip()]
    if text.lstrip()[:1] in ("{", "[", "<"):
        return False
    if len(lines) < 2:
        return " " in text
    for separator in "\t;,|":
        counts = [line.count(separator) for line in lines]
        usual = max(set(counts), key=counts.count)
        if usual and counts.count(usual) > 0.8 * len(counts):
            return False
    return sum(" " in line.strip() for line in lines) > len(lines) / 2
