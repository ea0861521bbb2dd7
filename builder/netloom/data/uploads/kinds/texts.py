"""Text files: one folder per class, or one file per class with one text per line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from netloom.core.errors import DataError
from netloom.core.plain_json import JsonObject
from netloom.core.progress import ProgressCallback
from netloom.core.text import counted
from netloom.data import file_types
from netloom.data.dialect import has_separator, text_lines
from netloom.data.limits import MAX_ROWS
from netloom.data.raw.texts import Texts as RawTexts
from netloom.data.raw_dataset import RawDataset
from netloom.data.settings.label_merging import spelling_notes
from netloom.data.splits.given_splits import refuse_as_classes
from netloom.data.tables.readers import decode_text
from netloom.data.uploads.file_labels.filetables import stated_parts
from netloom.data.uploads.files.members import parts_of
from netloom.data.uploads.files.source import Source
from netloom.data.uploads.images.image_questions import is_unlabeled, set_given_split
from netloom.data.uploads.tabular import target_of
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

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

FORMS = ("a text per file", "a text per line")
FORM = Question("form", "Texts are", "choice", "Whole files in one folder per class, or lines of one file per class",
                choices=FORMS, when_added=True)  # fmt: skip
_NOT_EXAMPLES = {"readme", "license", "licence", "classes", "labels", "changes", "notes", "about", "citation"}
_MOSTLY = 0.8  # the share of files
_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".conll", ".bio", ".xml", ".html", ".py")


class TextFiles(Reader):
    """Texts whose class is the name of their folder or file."""

    name = "text_files"
    title = "Text files"
    about = (
        "A zip of text files: one text per file in one folder per class (good/1.txt), or one file per class with one "
        "text per line (good.txt, bad.txt)."
    )
    kind = "text"

    def likely(self, source: Source) -> float:
        files = _files(source)
        examples = _labeled([name for name in source.names if not _is_description(name)])
        if source.feature_files() or len(files) < 2 or len(files) < _MOSTLY * len(examples):
            return 0.0
        parts = stated_parts(source, files)
        forms_of = FORMS if _has_lines(source, files) else FORMS[:1]
        classes = [{*_classes(source, files, {"form": form}).values()} for form in forms_of]
        if parts.parts and max(map(len, classes)) < 2:
            return 0.0  # the files are parts of a split, without classes
        suffixes = Counter(PurePosixPath(name).suffix.lower() for name in files)
        if any(suffix in _TABLES for suffix in suffixes):
            return 0.05
        if _hold_cells(source, files):
            return 0.2
        return 0.6

    def questions(self, source: Source, answers: Answers) -> list[Question]:
        files = _files(source)
        parts = stated_parts(source, files)
        folders = Counter((parts.remainder(name)[-2:-1] or ("",))[0] for name in files)
        several = len(folders) > 1 and "" not in folders and max(folders.values()) > 1
        return [with_default(FORM, FORMS[0] if several else FORMS[1])]

    def learned(self, source: Source, answers: Answers) -> str:
        files = _files(source)
        classes = sorted({*_classes(source, files, answers).values()})
        return f"Predict the class of a text out of {len(classes)} classes: {', '.join(classes[:6])}."

    def preview(self, source: Source, answers: Answers) -> pd.DataFrame:
        import pandas as pd

        files = _files(source)
        class_of = _classes(source, files, answers)
        rows = []
        for name in files[:: max(1, len(files) // PREVIEWED)][:PREVIEWED]:
            texts = _texts(source, name, answers)
            rows += [{"text": text[:300], "class": class_of[name]} for text in texts[:3]]
        return pd.DataFrame(rows[:PREVIEWED])

    def noted(self, source: Source, answers: Answers) -> list[str]:
        return [*_left_out_notes(source), *spelling_notes(list(_classes(source, _files(source), answers).values()))]

    def used_files(self, source: Source) -> Sequence[str]:
        return _files(source)

    def keep(self, source: Source, answers: Answers, folder: Path, progress: ProgressCallback) -> StoredUpload:
        import pandas as pd

        files = _files(source)
        stated, class_of = stated_parts(source, files), _classes(source, files, answers)
        texts: list[str] = []
        classes: list[str] = []
        origin: list[str] = []
        for index, name in enumerate(files):
            if index % 100 == 0:
                progress(0.05 + 0.8 * index / len(files), f"Reading text {index + 1:,} of {len(files):,}")
            lines = _texts(source, name, answers)
            texts += lines
            classes += [class_of[name]] * len(lines)
            origin += [name] * len(lines)
            if len(texts) > MAX_ROWS:
                raise DataError(f"These files have more than {MAX_ROWS:,} texts; upload a part of them.")
        refuse_as_classes(classes, "text")
        if len(set(classes)) < 2:
            raise DataError(
                "All texts are in one folder or file; at least two are needed, one per class, such as good/1.txt and "
                "bad/1.txt, or good.txt and bad.txt with one text per line."
            )
        table = pd.DataFrame({"text": texts, "class": classes}).astype("string")
        parts = stated.of(origin)
        if parts is not None:
            table["part"] = parts
        table.to_parquet(folder / "texts.parquet")
        summary = f"{len(table):,} texts of {len(set(classes))} classes"
        return StoredUpload(len(table), summary, ("text", "class"), self.noted(source, answers))

    def raw(self, folder: Path, meta: UploadMeta, options: JsonObject) -> RawDataset:
        import pandas as pd

        check_options(options, [], meta["title"], "Texts in files")
        table = pd.read_parquet(folder / "texts.parquet")
        target = target_of(table["class"], "classification", meta["title"])
        raw = RawTexts(name="text", texts=list(table["text"]), **target)
        set_given_split(raw, table["part"].to_numpy() if "part" in table else None)
        return raw


def _files(source: Source) -> list[str]:
    """Return the texts with a class; cached."""
    files: list[str] = source.once("labeled texts", lambda: _labeled_files(source))
    return files


def _labeled_files(source: Source) -> list[str]:
    files = _labeled([name for name in source.members.of(file_types.TEXT) if not _is_description(name)])
    plain = [name for name in files if not name.lower().endswith(_TABLES)]
    files = plain if len(plain) > 0.8 * len(files) else files  # the others probably describe these
    return files if len(files) > 1 else []


def _labeled(names: Sequence[str]) -> list[str]:
    """Return the files in folders of classes: not those in a folder that says that they have none, or beside folders
    with most of the files, such as train/urls_pos.txt beside train/pos."""
    labeled = [name for name in names if not is_unlabeled(name)]
    outer = {folders[:depth] for folders in {parts_of(name)[:-1] for name in labeled} for depth in range(len(folders))}
    inner = [name for name in labeled if parts_of(name)[:-1] not in outer]
    return inner if len(inner) > _MOSTLY * len(labeled) else labeled


def _left_out_notes(source: Source) -> list[str]:
    """Return notes on texts without a class, and on files beside the folders of the classes."""
    used = {*_files(source)}
    unused = [name for name in source.members.of(file_types.TEXT) if name not in used and not _is_description(name)]
    unlabeled = [name for name in unused if is_unlabeled(name)]
    beside = [name for name in unused if not is_unlabeled(name)]
    notes = []
    if unlabeled:
        notes.append(f"Left out {counted(len(unlabeled), 'text')} without a label, such as {unlabeled[0][-60:]!r}.")
    if beside:
        notes.append(
            f"Left out {counted(len(beside), 'file')} beside the folders of the classes, such as {beside[0][-60:]!r}."
        )
    return notes


def _is_description(name: str) -> bool:
    """Return whether a file describes the others."""
    stem = PurePosixPath(name).stem.lower().strip("_")
    return stem in _NOT_EXAMPLES or "readme" in re.split(r"[^a-z]+", stem)


def _has_lines(source: Source, files: list[str]) -> bool:
    """Return whether most files of a sample have several lines."""
    some = files[:: max(1, len(files) // 10)]
    return sum(source.members.head(name).strip().count(b"\n") > 0 for name in some) > len(some) / 2


def _hold_cells(source: Source, files: list[str]) -> bool:
    """Return whether most files of a sample are tables, with as many separators in each of several lines."""
    heads = [source.members.head(name).decode("utf-8", "replace") for name in files[:: max(1, len(files) // 10)]]
    return sum(head.count("\n") >= 3 and has_separator(head, "\t;,|") for head in heads) > len(heads) / 2


def _classes(source: Source, files: list[str], answers: Answers) -> dict[str, str]:
    """Return the class of each file, from its path without the part of the split: its folder or its name, or its suffix
    if all names are equal, as in rt-polarity.pos and rt-polarity.neg."""
    parts = stated_parts(source, files)
    paths = {name: parts.remainder(name) for name in files}
    folders = {name: (path[-2:-1] or ("",))[0][:100] for name, path in paths.items()}
    if answers["form"] == FORMS[0]:
        return {name: folder or "(no folder)" for name, folder in folders.items()}
    stems = {name: path[-1][:100] or folders[name] for name, path in paths.items()}  # good/train.txt
    suffixes = {name: PurePosixPath(name).suffix[1:101] for name in files}
    are_suffixes = len({*stems.values()}) == 1 and len({*suffixes.values()} - {""}) == len(files)
    return suffixes if are_suffixes else stems


def _texts(source: Source, name: str, answers: Answers) -> list[str]:
    text, _ = decode_text(source.members.read(name), name)
    text = text.replace("\0", " ")
    if answers["form"] == FORMS[0]:
        return [" ".join(text.split())] if text.strip() else []
    return [" ".join(line.split()) for line in text_lines(text) if line.strip()]
