"""Two files whose lines belong together, in the layouts in which corpora of translations are published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from netloom.data.tables.row_file import read_rows
from netloom.data.uploads import fitting, open_source
from netloom.data.uploads.texts import parallel_texts
from netloom.modalities.encoding.cells import EncodeError
from tests.data.crafted import make_zip
from tests.data.samples import import_and_prepare, import_error

EN, DE = "the a cat dog bird runs sleeps today".split(), "der ein Katze Hund Vogel rennt schläft heute".split()


def _lines(first: int, count: int) -> tuple[str, str]:
    numbers = range(first, first + count)
    sides = (
        "".join(" ".join(words[int(digit)] for digit in f"{number:03o}") + "\n" for number in numbers)
        for words in (EN, DE)
    )
    return next(sides), next(sides)


def _corpus(names: Mapping[str, int], sides: tuple[str, str]) -> dict[str, bytes]:
    """Return the files of each name with as many lines, with `*` in place of the names of the sides."""
    files, first = {}, 0
    for name, count in names.items():
        for side, text in zip(sides, _lines(first, count), strict=True):
            files[name.replace("*", side)] = text.encode()
        first += count
    return files


SPLITS: dict[str, tuple[dict[str, int], tuple[str, str]]] = {
    "Moses": ({"train.*": 40, "valid.*": 10, "test.*": 12}, ("en", "de")),
    "IWSLT": ({"iwslt/train.de-en.*": 40, "iwslt/valid.de-en.*": 10, "iwslt/tst2012.de-en.*": 12}, ("en", "de")),
    "Multi30k": ({"train.*": 40, "val.*": 10, "test_2016_flickr.*": 6, "test_2017_mscoco.*": 6}, ("en", "de")),
    "WMT": ({"train.*": 40, "newsdev2013.*": 10, "newstest2014.*": 12}, ("en", "de")),
    "OpenNMT": ({"*-train.txt": 40, "*-val.txt": 10, "*-test.txt": 12}, ("src", "tgt")),
    "fairseq": ({"train.*": 40, "val.*": 10, "test.*": 12}, ("source", "target")),
    "folders": ({"*/train.txt": 40, "*/dev.txt": 10, "*/test.txt": 12}, ("en", "de")),
    "folders of parts": ({"train/*.txt": 40, "dev/*.txt": 10, "test/*.txt": 12}, ("english", "german")),
}


@pytest.mark.parametrize("layout", SPLITS)
def test_parallel_files_are_texts_and_answers_in_their_split(layout: str, home: Path) -> None:
    content = make_zip({**_corpus(*SPLITS[layout]), "README.md": b"A corpus.\n", "vocab.en": b"the\na\n"})
    assert fitting(open_source(content, "corpus.zip"))[0].name == "translation"
    data = import_and_prepare(content, home, "corpus.zip")
    assert [len(data.split[part]) for part in ("train", "validation", "test")] == [40, 10, 12]
    assert data.schema.target.name == SPLITS[layout][1][1]
    for row in map(data.raw.row, range(62)):
        assert [EN.index(word) for word in row["text"].split()] == [
            DE.index(word) for word in row["answer so far"].split()
        ]


@pytest.mark.parametrize("pattern", ["*.txt", "small_vocab_*", "Tatoeba.de-en.*"])
def test_two_files_with_equally_many_lines_are_translations(pattern: str, home: Path) -> None:
    data = import_and_prepare(make_zip(_corpus({pattern: 40}, ("en", "de"))), home, "two.zip")
    assert (len(data.raw), data.raw.given, data.raw.target_kind) == (40, None, "sequence")
    assert any("to predict the file" in note for note in data.raw.warnings) == (pattern != "Tatoeba.de-en.*")


@pytest.mark.parametrize("sides", [("pos", "neg"), ("spam", "ham")])
def test_files_of_classes_with_equally_many_lines_stay_classes(sides: tuple[str, str], home: Path) -> None:
    files = {**_corpus({"rt-polarity.*": 40}, sides), "rt-polaritydata.README.1.0.txt": b"Reviews\nof films\n"}
    data = import_and_prepare(make_zip(files), home, "polarity.zip")
    assert data.raw.classes == tuple(sorted(sides))


def test_files_of_languages_with_other_numbers_of_lines_stay_classes(home: Path) -> None:
    files = _corpus({"*.txt": 40}, ("english", "german"))
    files["german.txt"] += b"noch eine Zeile\n"
    data = import_and_prepare(make_zip(files), home, "languages.zip")
    assert data.raw.classes == ("english", "german")


@pytest.mark.parametrize("sides", [("en", "de", "fr"), ("en", "de")])
def test_texts_of_several_languages_stay_classes(sides: tuple[str, ...], home: Path) -> None:
    names = {"*.txt": 40} if len(sides) > 2 else {f"*/{i}.txt": 1 for i in range(20)}
    files = {name: text for side in sides for name, text in _corpus(names, (side, "x")).items() if side in name}
    assert import_and_prepare(make_zip(files), home, "languages.zip").raw.classes == tuple(sorted(sides))


def test_languages_in_parts_with_other_numbers_of_lines_stay_classes(home: Path) -> None:
    files = _corpus({"train/*.txt": 40, "test/*.txt": 12}, ("en", "de"))
    files["train/de.txt"] += b"noch eine Zeile\n"
    data = import_and_prepare(make_zip(files), home, "languages.zip")
    assert (data.raw.classes, len(data.raw)) == (("de", "en"), 105)


def test_more_lines_than_rows_of_a_table_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_texts, "MAX_ROWS", 45)
    content = make_zip(_corpus({"train.*": 40, "test.*": 12}, ("en", "de")))
    assert "have 52 lines; at most 45 can be read" in import_error(content, home, "corpus.zip")


def test_another_number_of_lines_is_refused(home: Path) -> None:
    files = _corpus({"train.*": 40}, ("en", "de"))
    files["train.de"] += b"noch eine Zeile\n"
    assert "'train.en' has 40 lines, but 'train.de' has 41" in import_error(make_zip(files), home, "uneven.zip")


def test_a_pair_in_no_part_of_the_split_is_refused(home: Path) -> None:
    files = _corpus({"train.*": 40, "test.*": 12, "europarl.*": 9}, ("en", "de"))
    assert "'europarl.en' is in no part of the split" in import_error(make_zip(files), home, "more.zip")


def test_two_of_three_languages_are_read(home: Path) -> None:
    files = {
        **_corpus({"train.*": 40, "test.*": 12}, ("en", "fr")),
        **_corpus({"train.*": 40, "test.*": 12}, ("en", "de")),
    }
    data = import_and_prepare(make_zip(files), home, "three.zip")
    assert (data.schema.target.name, len(data.raw)) == ("de", 52)
    assert any("to read 'fr', remove the files of another language" in note for note in data.raw.warnings)


def test_empty_lines_and_other_line_ends_of_unicode_keep_the_lines_together(home: Path) -> None:
    english, german = (text.splitlines() for text in _lines(0, 40))
    english[3], german[7] = "", "der\u2028ein\x85Hund"
    files = {"a.en": "\r\n".join(english).encode(), "a.de": "\n".join(german).encode()}
    data = import_and_prepare(make_zip(files), home, "corpus.zip")
    assert len(data.raw) == 39
    assert data.raw.row(6) == {"text": english[7], "answer so far": "der ein Hund"}


def test_pairs_of_tatoeba_with_ids_are_texts_and_answers(home: Path) -> None:
    rows = zip(*(text.splitlines() for text in _lines(0, 60)), strict=True)
    lines = [f"{1276 + i}\t{english}.\t{77 - i // 2}\t{german}." for i, (english, german) in enumerate(rows)]
    data = import_and_prepare("\n".join(lines).encode(), home, "pairs.tsv")
    assert data.raw.target_kind == "sequence"
    assert data.raw.row(0) == {"text": "the the the.", "answer so far": "der der der."}


def test_a_description_beside_pairs_is_not_a_class(home: Path) -> None:
    rows = zip(*(text.splitlines() for text in _lines(0, 60)), strict=True)
    lines = [f"{english}.\t{german}.\tCC-BY 2.0 (x) #{i}" for i, (english, german) in enumerate(rows)]
    content = make_zip(
        {"deu.txt": "\n".join(lines).encode(), "_about.txt": b"** Info **\nSee www.manythings.org\n" * 4}
    )
    assert import_and_prepare(content, home, "deu-eng.zip").raw.target_kind == "sequence"


def test_lines_without_the_name_of_their_column_are_refused_in_prediction(home: Path) -> None:
    data = import_and_prepare(make_zip(_corpus({"train.*": 40, "test.*": 12}, ("en", "de"))), home, "corpus.zip")
    preprocess = data.preprocess.to_json()
    with pytest.raises(
        EncodeError, match=r"no column 'en'; it has 'the cat'\. Write 'en' as the first line if each line is a text"
    ):
        read_rows(b"the cat\na dog runs\n", "test.en", preprocess)
    assert [row["en"] for row in read_rows(b"en\nthe cat\na dog runs\n", "test.en", preprocess).rows] == [
        "the cat",
        "a dog runs",
    ]
