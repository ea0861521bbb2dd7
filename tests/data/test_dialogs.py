"""Dialogs in two files, as in the Cornell Movie-Dialogs, are texts and answers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from netloom.data import DataError
from netloom.data.sequence_pairs import Pairs
from netloom.data.uploads import add_file, fitting, open_source, read_upload
from netloom.data.uploads.files.source import Content
from netloom.document import DataChoice
from tests.data.crafted import make_zip
from tests.data.samples import import_and_prepare

MARK, TAB = " +++$+++ ", "\t"
FOLDER = "cornell movie-dialogs corpus/"
DIALOGS = [[f"L{10 * dialog + turn}" for turn in range(2 + dialog % 3)] for dialog in range(20)]
LINES = [line for dialog in DIALOGS for line in dialog]
EMPTY = "L51"  # without a text


def _text(line: str) -> str:
    return "" if line == EMPTY else f'Line\tnumber "{line[1:]}, isn’t it?'


def _files(mark: str = MARK, suffix: str = "txt", encoding: str = "cp1252") -> dict[str, bytes]:
    lines = [mark.join([line, "u0", "m0", "BIANCA", _text(line)]) for line in LINES]
    random.Random(0).shuffle(lines)
    between = ", " if mark == MARK else " "
    order = [mark.join(["u0", "u2", "m0", f"[{between.join(map(repr, dialog))}]"]) for dialog in DIALOGS]
    return {f"movie_{name}.{suffix}": "\n".join(rows).encode(encoding)
            for name, rows in (("lines", lines), ("conversations", order))}  # fmt: skip


def _zip() -> bytes:
    others = {
        "movie_titles_metadata.txt": MARK.join(["m0", "10 things", "1999", "6.90", "['comedy']"]).encode() + b"\n",
        "README.txt": b"These are dialogs.\n",
    }
    return make_zip({FOLDER + name: content for name, content in {**_files(), **others}.items()})


@pytest.mark.parametrize(
    ("content", "left_out"),
    [
        (_files(), False),
        (_files(encoding="utf-8"), False),
        (_files(TAB, "tsv"), False),
        (_zip(), True),
    ],
)
def test_each_line_and_its_answer_are_a_row(content: Content, left_out: bool, home: Path) -> None:
    source = open_source(content, "dialogs.zip")
    assert next(reader.name for reader in fitting(source)) == "translation"
    raw = import_and_prepare(content, home, "dialogs.zip").raw
    assert isinstance(raw, Pairs)
    pairs = [(dialog[turn], dialog[turn + 1]) for dialog in DIALOGS for turn in range(len(dialog) - 1)]
    known = [pair for pair in pairs if EMPTY not in pair]
    expected = [tuple(" ".join(_text(line).split()) for line in pair) for pair in known]
    assert [*zip(raw.texts, raw.answers, strict=True)] == expected
    notes = " ".join(raw.warnings)
    assert f"Left out {len(pairs) - len(known)} pairs with a line that is missing or empty." in notes
    assert ("Left out 2 files beside the dialogs" in notes) == left_out


@pytest.mark.parametrize(
    ("name", "missing"), [("lines", "movie_conversations.txt"), ("conversations", "movie_lines.txt")]
)
def test_half_of_the_dialogs_is_refused(name: str, missing: str, home: Path) -> None:
    file = f"movie_{name}.txt"
    with pytest.raises(DataError, match=f"'{file}' has one half of the Cornell Movie-Dialogs; add .*{missing}"):
        add_file(_files()[file], file, home)


def test_half_of_the_dialogs_with_tabs_is_a_table(home: Path) -> None:
    rows = [TAB.join([line, "u0", f"m{index % 2}", "BIANCA", f"Line {line}"]) for index, line in enumerate(LINES)]
    source = open_source("\n".join(rows).encode(), "movie_lines.tsv")
    assert fitting(source)[0].name == "table"


def test_other_tables_beside_each_other_stay_tables(home: Path) -> None:
    content = {f"{part}.csv": b"a,b\n" + b"\n".join(b"%d,%d" % (row, row % 2) for row in range(30))
               for part in ("train", "test")}  # fmt: skip
    info = add_file(content, "a", home)
    assert read_upload(DataChoice(dataset=info.name), home).target_kind == "class"
