"""Tables with a row for each word, as in ner_dataset.csv of Kaggle."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.data import prepare
from netloom.data.uploads import add_file, fitting, open_source, reader_for
from netloom.document import DataChoice
from tests.data.samples import import_and_prepare

SENTENCES = [
    [("Anna", "NNP", "B-per"), ("lives", "VBZ", "O"), ("in", "IN", "O"), (("Oslo", "Rome")[i % 2], "NNP", "B-geo")]
    + [("today", "NN", "O")] * (i % 3)
    for i in range(30)
]


def _csv(header: str = "Sentence #,Word,POS,Tag", *, numbered: str = "first", first: int = 0) -> bytes:
    lines = [header]
    for number, sentence in enumerate(SENTENCES[first:], first + 1):
        for place, cells in enumerate(sentence):
            name = f"Sentence: {number}" if numbered == "words" or place == 0 else ""
            lines.append(",".join([str(number) if numbered == "all" else name, *cells]))
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("header", "numbered"),
    [("Sentence #,Word,POS,Tag", "first"), ("sentence_id,token,pos,ner_tag", "all"), ("sent,word,pos,label", "words")],
)
def test_rows_of_words_are_sentences_with_tags(header: str, numbered: str, home: Path) -> None:
    content = _csv(header.replace("sent,", "sent_id,"), numbered=numbered)
    assert fitting(open_source(content, "ner.csv"))[0].name == "tagged"
    data = import_and_prepare(content, home, "ner.csv")
    assert (len(data.raw), data.raw.target_kind) == (30, "tags")
    assert data.raw.classes == ("O", "B-geo", "I-geo", "B-per", "I-per")
    assert data.raw.row(2)["text"] == ["Anna", "lives", "in", "Oslo", "today", "today"]


def test_another_column_of_tags_can_be_chosen(home: Path) -> None:
    content = _csv()
    assert reader_for(open_source(content, "ner.csv"), target="POS").name == "tagged"
    info = add_file(content, "ner.csv", home, target="POS")
    data = prepare(DataChoice(dataset=info.name), home)
    assert data.raw.classes == ("IN", "NN", "NNP", "VBZ")
    assert reader_for(open_source(content, "ner.csv"), target="Word").name == "table"


def test_files_of_the_parts_give_the_split(home: Path) -> None:
    data = import_and_prepare({"train.csv": _csv(), "test.csv": _csv(first=20)}, home, "ner")
    assert (len(data.raw), len(data.split["test"])) == (40, 10)


def test_words_such_as_null_keep_their_tags(home: Path) -> None:
    content = _csv().replace(b",lives,", b",null,", 1)
    data = import_and_prepare(content, home, "ner.csv")
    assert [len(data.raw.row(0)["text"]), len(data.raw.row(1)["text"])] == [4, 5]


def test_rows_of_single_sentences_stay_a_table() -> None:
    lines = ["sentence_id,word,label", *(f"{i},word{i % 7},{'ab'[i % 2]}" for i in range(40))]
    assert fitting(open_source("\n".join(lines).encode(), "words.csv"))[0].name == "table"


def test_a_target_of_files_of_columns_is_refused(home: Path) -> None:
    content = "\n\n".join("\n".join(f"{word} {tag}" for word, _, tag in rows) for rows in SENTENCES).encode()
    with pytest.raises(ValueError, match="no column to predict by name"):
        add_file(content, "ner.conll", home, kind="tagged", target="POS")


def test_the_class_of_a_document_beside_its_words_is_not_a_tag() -> None:
    lines = ["doc_id,word,count,label", *(f"{i // 5},word{i % 7},{i % 3},{'ab'[i // 5 % 2]}" for i in range(60))]
    assert fitting(open_source("\n".join(lines).encode(), "words.csv"))[0].name == "table"
