"""Folders of texts as they are published: the Large Movie Review Dataset, and files without suffixes."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.data.uploads.files.members import counted_files
from tests.data.crafted import make_zip
from tests.data.samples import import_and_prepare

CLASSES = ("neg", "pos")


def _reviews() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for part in ("train", "test"):
        for name in CLASSES:
            files |= {f"aclImdb/{part}/{name}/{i}_7.txt": f"{name} film {part} {i}".encode() for i in range(12)}
            files[f"aclImdb/{part}/urls_{name}.txt"] = b"http://www.imdb.com/title/tt0064354\n" * 12
        files[f"aclImdb/{part}/labeledBow.feat"] = b"9 0:9 1:1 2:4\n7 0:7 1:1 2:4\n" * 12
    files |= {f"aclImdb/train/unsup/{i}_0.txt": b"a film" for i in range(20)}
    return files | {"aclImdb/README": b"Reviews\n", "aclImdb/imdb.vocab": b"the\nand\n", "aclImdb/imdbEr.txt": b"0.4\n"}


def test_files_beside_the_classes_of_reviews_are_left_out(home: Path) -> None:
    data = import_and_prepare(make_zip(_reviews()), home, "aclImdb.zip")
    assert (len(data.raw), data.raw.classes) == (48, CLASSES)
    assert [data.raw.row(index)["text"].split()[0] for index in range(48)] == [
        CLASSES[int(target)] for target in data.raw.target
    ]
    assert {data.raw.row(int(index))["text"].split()[2] for index in data.split["test"]} == {"test"}
    assert len(data.split["test"]) == 24
    left_out = [note for note in data.raw.warnings if note.startswith("Left out")]
    assert left_out[0].startswith("Left out 20 texts without a label, such as 'aclImdb/train/unsup/")
    assert left_out[1].startswith("Left out 8 files beside the folders of the classes")


def test_line_separators_within_a_text_do_not_end_it(home: Path) -> None:
    files = {f"{name}.txt": "\n".join(f"{name}\u2028text {i}" for i in range(12)).encode() for name in CLASSES}
    data = import_and_prepare(make_zip(files), home, "lines.zip")
    assert [data.raw.row(index)["text"] for index in (0, 23)] == ["neg text 0", "pos text 11"]


@pytest.mark.parametrize("folders", [("{name}",), ("20news-bydate-train/{name}", "20news-bydate-test/{name}")])
def test_texts_without_suffixes_are_read(folders: tuple[str, ...], home: Path) -> None:
    files = {
        f"{folder.format(name=name)}/{49_960 + i}": f"Subject: {name}\n\nThe text {i}.".encode()
        for folder in folders
        for name in ("alt.atheism", "sci.space")
        for i in range(12)
    }
    data = import_and_prepare(make_zip(files), home, "20news.zip")
    assert (len(data.raw), data.raw.classes) == (24 * len(folders), ("alt.atheism", "sci.space"))
    assert (data.raw.given is None) == (len(folders) == 1)


def test_as_many_texts_and_sounds_as_images_can_be_read() -> None:
    assert counted_files([f"pos/{i}_7.txt" for i in range(9)]) == (9, 0)
    assert counted_files([f"sci.space/{i}" for i in range(9)] + ["yes/1.wav", "a.feat", "b.csv"]) == (10, 2)
