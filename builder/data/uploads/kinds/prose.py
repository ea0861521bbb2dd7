"""One long text, to be learned letter by letter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.data import forms
from builder.data.limits import MAX_FILE_BYTES
from builder.data.raw import Characters, Raw
from builder.data.readers import decoded
from builder.data.schema import DataError
from builder.data.uploads.base import PREVIEWED, Answers, Kept, Question, Reader, Tell, check_options
from builder.data.uploads.source import Source

if TYPE_CHECKING:
    import pandas as pd

LENGTH = Question("length", "Characters at once", "whole", "How many are seen before the next is told", 
                  low=8, high=256, default=64)  # fmt: skip
FEWEST = 1_000
MOST = 20_000_000


class Prose(Reader):
    """A text, or texts one by line, without labels: each next character is to be told."""

    name = "prose"
    title = "Text to continue"
    about = "A plain text, or many with one on each line: the network learns to continue it, letter by letter."
    kind = "text"

    def likely(self, source: Source) -> float:
        if source.form() != forms.TEXT:
            return 0.0
        text, _ = decoded(source.members.read(source.names[0], MAX_FILE_BYTES), source.filename)
        return 0.2 if len(text) >= FEWEST and _reads_like_prose(text[:20_000]) else 0.0

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        return [LENGTH]

    def learned(self, source: Source, answers: Answers) -> str:
        return f"To tell each next character of the text from the {answers.get('length')} before it."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame({"text": [line for line in _text(source)[:5_000].splitlines() if line.strip()][:PREVIEWED]})

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        tell(0.2, "Reading the text")
        text = _text(source)
        if len(text) < FEWEST:
            raise DataError(f"{source.filename[:100]!r} has {len(text):,} characters; at least {FEWEST:,} are needed.")
        notes = _nothing(source)
        if len(text) > MOST:
            notes.append(f"Of {len(text):,} characters, the first {MOST:,} are used.")
            text = text[:MOST]
        (folder / "text.txt").write_text(text, encoding="utf-8", newline="")
        rows = (len(text) - 1) // int(answers["length"])
        return Kept(rows, f"{len(text):,} characters to continue, one by one", (), notes)

    def raw(self, folder: Path, meta: Mapping[str, Any], options: dict[str, Any]) -> Raw:
        length = check_options(options, [LENGTH], str(meta["title"]), "Texts to continue")["length"]
        text = (folder / "text.txt").read_bytes().decode("utf-8")
        return Characters(
            name="text",
            target=np.arange((len(text) - 1) // length),
            target_kind="next_token",
            target_name="next character",
            text=text,
            length=length,
            contiguous=True,
        )


def _nothing(source: Source) -> list[str]:
    """What has to be said of characters that stand for nothing."""
    text, _ = decoded(source.members.read(source.names[0], MAX_FILE_BYTES), source.filename)
    count = text.count("\0")
    if not count:
        return []
    line = text.count("\n", 0, text.index("\0")) + 1
    return [f"{count:,} NUL characters, the first in line {line:,}, are read as blanks; is the file damaged?"]


def _text(source: Source) -> str:
    if source.form() != forms.TEXT:
        raise DataError("A text to continue is a single plain text file.")
    text, _ = decoded(source.members.read(source.names[0], MAX_FILE_BYTES), source.filename)
    return text.replace("\r\n", "\n").replace("\0", " ").strip()


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
