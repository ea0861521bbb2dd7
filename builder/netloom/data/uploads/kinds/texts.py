"""Text files: one folder per class, or one file per class with a text on every line."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from netloom.core.errors import DataError
from netloom.data import file_types
from netloom.data.limits import MAX_ROWS
from netloom.data.raw_dataset import RawDataset
from netloom.data.raw_dataset import Texts as RawTexts
from netloom.data.splits.given_splits import FileParts, refuse_as_classes
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.filetables import stated_parts
from netloom.data.uploads.images import set_given
from netloom.data.uploads.source import Source
from netloom.data.uploads.tabular import target_of
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
        told = stated_parts(source, found)
        forms_of = FORMS if _has_lines(source, found) else FORMS[:1]
        classes = [{_class(told, name, {"form": form}) for name in found} for form in forms_of]
        if told.parts and max(map(len, classes)) < 2:
            return 0.0  # the files are parts of a split alone, and say no class
        suffixes = Counter(PurePosixPath(name).suffix.lower() for name in found)
        if any(suffix in _TABLES for suffix in suffixes):
            return 0.05
        return 0.6

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        files = _files(source)
        told = stated_parts(source, files)
        folders = Counter((told.rest(name)[-2:-1] or ("",))[0] for name in files)
        several = len(folders) > 1 and "" not in folders and max(folders.values()) > 1
        return [with_default(FORM, FORMS[0] if several else FORMS[1])]

    def learned(self, source: Source, answers: Answers) -> str:
        files = _files(source)
        told = stated_parts(source, files)
        classes = sorted({_class(told, name, answers) for name in files})
        return f"Predict the class of a text out of {len(classes)} classes: {', '.join(classes[:6])}."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        files = _files(source)
        told = stated_parts(source, files)
        rows = []
        for name in files[:: max(1, len(files) // PREVIEWED)][:PREVIEWED]:
            texts = _texts(source, name, answers)
            rows += [{"text": text[:300], "class": _class(told, name, answers)} for text in texts[:3]]
        return pd.DataFrame(rows[:PREVIEWED])

    def keep(self, source: Source, answers: Answers, folder: Path, tell: Tell) -> Kept:
        import pandas as pd

        files = _files(source)
        told = stated_parts(source, files)
        texts: list[str] = []
        classes: list[str] = []
        origin: list[str] = []
        for place, name in enumerate(files):
            if place % 100 == 0:
                tell(0.05 + 0.8 * place / len(files), f"Reading text {place + 1:,} of {len(files):,}")
            found = _texts(source, name, answers)
            texts += found
            classes += [_class(told, name, answers)] * len(found)
            origin += [name] * len(found)
            if len(texts) > MAX_ROWS:
                raise DataError(f"These files hold more than {MAX_ROWS:,} texts; bring a part of them.")
        refuse_as_classes(classes, "text")
        if len(set(classes)) < 2:
            raise DataError(
                "The texts lie in one folder or file alone; at least two are needed, one per class, such as good/1.txt "
                "and bad/1.txt, or good.txt and bad.txt with a text on every line."
            )
        table = pd.DataFrame({"text": texts, "class": classes}).astype("string")
        parts = told.of(origin)
        if parts is not None:
            table["part"] = parts
        table.to_parquet(folder / "texts.parquet")
        return Kept(len(table), f"{len(table):,} texts of {len(set(classes))} classes", ("text", "class"))

    def raw(self, folder: Path, meta: Mapping[str, Any], options: dict[str, Any]) -> RawDataset:
        import pandas as pd

        check_options(options, [], str(meta["title"]), "Texts in files")
        table = pd.read_parquet(folder / "texts.parquet")
        target = target_of(table["class"], "classification", str(meta["title"]))
        raw = RawTexts(name="text", texts=list(table["text"]), **target)
        set_given(raw, table["part"].to_numpy() if "part" in table else None)
        return raw


def _files(source: Source) -> list[str]:
    found = [name for name in source.members.of(file_types.TEXT) if PurePosixPath(name).stem.lower() not in _OTHER]
    plain = [name for name in found if not name.lower().endswith(_TABLES)]
    found = plain if len(plain) > 0.8 * len(found) else found  # the others say something of these
    return found if len(found) > 1 else []


def _has_lines(source: Source, files: list[str]) -> bool:
    """Whether files, of which some are looked at, hold several lines."""
    some = files[:: max(1, len(files) // 10)]
    return sum(source.members.head(name).strip().count(b"\n") > 0 for name in some) > len(some) / 2


def _class(told: FileParts, name: str, answers: Answers) -> str:
    """The class that a file's path says, besides the part of the split."""
    *folders, stem = told.rest(name)
    folder = (folders or [""])[-1][:100]
    if answers["form"] == FORMS[0]:
        return folder or "(no folder)"
    return stem[:100] or folder  # good/train.txt


def _texts(source: Source, name: str, answers: Answers) -> list[str]:
    text, _ = decode_text(source.members.read(name), name)
    text = text.replace("\0", " ")
    if answers["form"] == FORMS[0]:
        return [" ".join(text.split())] if text.strip() else []
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]
