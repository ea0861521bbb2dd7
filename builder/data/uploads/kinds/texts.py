"""Text files: one folder per class, or one file per class with a text on every line."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from builder.data import forms
from builder.data.limits import MAX_ROWS
from builder.data.raw import Raw
from builder.data.raw import Texts as RawTexts
from builder.data.readers import decoded
from builder.data.schema import DataError
from builder.data.uploads.base import PREVIEWED, Answers, Kept, Question, Reader, Tell, check_options, with_default
from builder.data.uploads.members import parts_of
from builder.data.uploads.pictures import PARTS, given_parts, set_given
from builder.data.uploads.source import Source
from builder.data.uploads.tabular import target_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

FORMS = ("a text per file", "a text per line")
FORM = Question("form", "Texts are", "choice", "Whole files in one folder per class, or lines of one file per class",
                choices=FORMS, when_added=True)  # fmt: skip
_OTHER = {"readme", "license", "licence", "classes", "labels", "changes", "notes", "about", "citation"}
_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".conll", ".bio", ".xml", ".html", ".py")


class TextFiles(Reader):
    """Texts whose folder or file is their class."""

    name = "text_files"
    title = "Text files"
    about = (
        "A zip of text files: whole texts in one folder per class (good/1.txt), or one file per class with a text on "
        "every line (good.txt, bad.txt)."
    )
    kind = "text"

    def likely(self, source: Source) -> float:
        found = _files(source)
        if len(found) < 2 or len(found) < 0.8 * len(source.names):
            return 0.0
        suffixes = Counter(PurePosixPath(name).suffix.lower() for name in found)
        if any(suffix in _TABLES for suffix in suffixes):
            return 0.05
        return 0.6

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        folders = Counter(_folder(name) for name in _files(source))
        several = len(folders) > 1 and "" not in folders and max(folders.values()) > 1
        return [with_default(FORM, FORMS[0] if several else FORMS[1])]

    def learned(self, source: Source, answers: Answers) -> str:
        classes = sorted({_class(name, answers) for name in _files(source)})
        return f"To tell which of {len(classes)} classes a text belongs to: {', '.join(classes[:6])}."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        files = _files(source)
        rows = []
        for name in files[:: max(1, len(files) // PREVIEWED)][:PREVIEWED]:
            texts = _texts(source, name, answers)
            rows += [{"text": text[:300], "class": _class(name, answers)} for text in texts[:3]]
        return pd.DataFrame(rows[:PREVIEWED])

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        import pandas as pd

        files = _files(source)
        texts: list[str] = []
        classes: list[str] = []
        origin: list[str] = []
        for place, name in enumerate(files):
            if place % 100 == 0:
                tell(0.05 + 0.8 * place / len(files), f"Reading text {place + 1:,} of {len(files):,}")
            found = _texts(source, name, answers)
            texts += found
            classes += [_class(name, answers)] * len(found)
            origin += [name] * len(found)
            if len(texts) > MAX_ROWS:
                raise DataError(f"These files hold more than {MAX_ROWS:,} texts; bring a part of them.")
        if len(set(classes)) < 2:
            raise DataError(
                "The texts lie in one folder or file alone; at least two are needed, one per class, such as good/1.txt "
                "and bad/1.txt, or good.txt and bad.txt with a text on every line."
            )
        table = pd.DataFrame({"text": texts, "class": classes}).astype("string")
        parts = given_parts(origin)
        if parts is not None:
            table["part"] = parts
        table.to_parquet(folder / "texts.parquet")
        return Kept(len(table), f"{len(table):,} texts of {len(set(classes))} classes", ("text", "class"))

    def raw(self, folder: Path, meta: Mapping[str, Any], options: dict[str, Any]) -> Raw:
        import pandas as pd

        check_options(options, [], str(meta["title"]), "Texts in files")
        table = pd.read_parquet(folder / "texts.parquet")
        target = target_of(table["class"], "classification", str(meta["title"]))
        raw = RawTexts(name="text", texts=list(table["text"]), **target)
        set_given(raw, table["part"].to_numpy() if "part" in table else None)
        return raw


def _files(source: Source) -> list[str]:
    found = [name for name in source.members.of(forms.TEXT) if PurePosixPath(name).stem.lower() not in _OTHER]
    return found if len(found) > 1 else []


def _folder(name: str) -> str:
    parts = parts_of(name)
    return parts[-2] if len(parts) > 1 else ""


def _class(name: str, answers: Answers) -> str:
    if answers["form"] == FORMS[0]:
        return _folder(name)[:100] or "(no folder)"
    stem = PurePosixPath(parts_of(name)[-1]).stem
    if stem.lower() in PARTS and _folder(name):
        return _folder(name)[:100]  # good/train.txt
    return stem[:100]


def _texts(source: Source, name: str, answers: Answers) -> list[str]:
    text, _ = decoded(source.members.read(name), name)
    text = text.replace("\0", " ")
    if answers["form"] == FORMS[0]:
        return [" ".join(text.split())] if text.strip() else []
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]
