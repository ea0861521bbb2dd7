"""Rows to predict in the layouts of the import: intents, conversations, sentences of words, and pairs of images."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from netloom.data import DataError, Prepared, add_file, prepare
from netloom.document import DataChoice
from netloom.runs.prediction.batch_prediction import as_csv
from netloom.sandbox import read_batch
from tests.data.brought import bars, conll, png
from tests.data.crafted import make_csv, make_zip

PATTERNS = {
    "greeting": ["Hi", "Hello there", "Good day", "Hey you"],
    "goodbye": ["Bye", "See you", "Ciao", "So long"],
    "thanks": ["Thanks", "Thank you"],
}
TEXTS = [text for texts in PATTERNS.values() for text in texts]


def _prepare(content: bytes, name: str, home: Path, **options: Any) -> Prepared:
    return prepare(DataChoice(dataset=add_file(content, name, home, options=options or None).name), home)


def _rows(content: bytes, name: str, data: Prepared) -> list[dict[str, Any]]:
    return [dict(row) for row in read_batch(content, name, data.preprocess.to_json()).rows]


def _equal(data: Prepared, rows: list[dict[str, Any]]) -> None:
    """Check that rows are encoded like those of the data."""
    assert len(rows) == len(data.raw)
    for index, row in enumerate(rows):
        expected = data.encode(data.raw.row(index))
        for field, array in data.encode(row).items():
            np.testing.assert_array_equal(array, expected[field])


def _intents(texts: str = "patterns") -> bytes:
    return json.dumps({"intents": [{"tag": tag, texts: of_tag, "responses": ["Well."]}
                                   for tag, of_tag in PATTERNS.items()]}).encode()  # fmt: skip


@pytest.mark.parametrize("name", ["intents.json", "standard input"])
@pytest.mark.parametrize("texts", ["patterns", "text"])
def test_texts_of_intents_are_rows(texts: str, name: str, home: Path) -> None:
    data = _prepare(_intents(texts), "intents.json", home)
    rows = _rows(_intents(texts), name, data)
    assert [row["text"] for row in rows] == TEXTS
    _equal(data, rows)


def test_records_under_the_name_intents_stay_rows(home: Path) -> None:
    data = _prepare(_intents(), "intents.json", home)
    content = json.dumps({"intents": [{"text": "12", "id": "007"}, {"text": "NA", "id": "008"}]}).encode()
    assert _rows(content, "a.json", data) == [{"text": "12", "id": "007"}, {"text": "NA", "id": "008"}]


def test_messages_of_conversations_are_rows(home: Path) -> None:
    chats = [{"messages": [{"role": "user", "content": f"How are {row} you?"},
                           {"role": "assistant", "content": f"I am {row}."}]} for row in range(20)]  # fmt: skip
    content = json.dumps(chats).encode()
    data = _prepare(content, "chats.json", home)
    assert [row["text"] for row in _rows(content, "chats.json", data)] == [f"How are {row} you?" for row in range(20)]


@pytest.mark.parametrize("name", ["labeled.txt", "labeled.train"])
def test_labels_in_front_of_texts_are_not_predicted(name: str, home: Path) -> None:
    content = "\n".join(f"__label__{'yn'[row % 2]} This is text number {row}" for row in range(20)).encode()
    data = _prepare(content, "labeled.txt", home)
    rows = _rows(content, name, data)
    assert [row["text"] for row in rows] == [f"This is text number {row}" for row in range(20)]
    _equal(data, rows)


def _untagged(separator: str = "\t") -> bytes:
    """The words of the file of tagged words."""
    lines = [line.partition(separator)[0] for line in conll().decode().splitlines()[3:]]
    return "\n".join(lines).encode()


def _word_rows(header: str) -> bytes:
    lines = [line.split("\t") for line in conll().decode().splitlines()[3:]]
    rows, number = [], 1
    for line in lines:
        if line == [""]:
            number += 1
        else:
            rows.append(",".join([str(number), *line][: header.count(",") + 1]))
    return make_csv(header, rows)


def _parquet(table: bytes) -> bytes:
    stream = io.BytesIO()
    pd.read_csv(io.BytesIO(table)).to_parquet(stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (conll(), "test.txt"),
        (conll(), "test.conll"),
        (_untagged(), "test.txt"),
        (_word_rows("sentence_id,word,tag"), "ner.csv"),
        (_word_rows("sentence_id,word"), "ner.csv"),
        (_parquet(_word_rows("sentence_id,word,tag")), "ner.parquet"),
    ],
)
def test_words_of_sentences_are_rows_of_a_tagger(content: bytes, name: str, home: Path) -> None:
    data = _prepare(conll(), "train.txt", home)
    file = read_batch(content, name, data.preprocess.to_json())
    assert file.notes == [f"{name!r} is read as 60 sentences, each with its words."]
    _equal(data, [dict(row) for row in file.rows])


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (b"text,id\nNew York is big,1\nAnna sleeps,2\n", "a.csv", [{"text": "New York is big", "id": "1"}]),
        (b'[{"text": ["New", "York"]}, {"text": "Anna sleeps"}]', "a.json", [{"text": ["New", "York"]}]),
        (b"New York is big.\n\nAnna sleeps there.\n", "a.txt", [{"text": "New York is big.\n\nAnna sleeps there.\n"}]),
        (b"Anna\nsleeps\n", "a.txt", [{"text": "Anna\nsleeps\n"}]),
    ],
)
def test_a_tagger_reads_texts_as_before(content: bytes, name: str, expected: list[Any], home: Path) -> None:
    data = _prepare(conll(), "train.txt", home)
    assert _rows(content, name, data)[:1] == expected


def test_records_of_tokens_are_rows_of_a_tagger(home: Path) -> None:
    data = _prepare(conll(), "train.txt", home)
    tokens = [["Anna", "sleeps"], ["New", "York", "is", "big"], ["Bob"]]
    records = [{"tokens": words, "ner_tags": ["O"] * len(words)} for words in tokens]
    assert [row["text"] for row in _rows(json.dumps(records).encode(), "test.json", data)] == tokens


@pytest.mark.parametrize("pack", [gzip.compress, lambda content: make_zip({"rows.csv": content})])
def test_the_only_text_of_an_archive_can_be_a_table(pack: Callable[[bytes], bytes], home: Path) -> None:
    data = _prepare(_intents(), "intents.json", home)
    rows = _rows(pack(b"id,text\n1,See you\n2,Hello there\n"), "rows.csv.gz", data)
    assert rows == [{"id": "1", "text": "See you"}, {"id": "2", "text": "Hello there"}]
    assert len(_rows(pack(_intents()), "intents.json.gz", data)) == len(TEXTS)
    with pytest.raises(DataError, match="line 3 has 3 cells where 2 were expected"):
        _rows(pack(b"id,text\n1,Hi\n2,Hello, you\n"), "rows.csv.gz", data)
    plain = "Hello, you\nSee you, later, maybe\n"
    assert [row["text"] for row in _rows(pack(plain.encode()), "a.txt.gz", data)] == [plain]
    tagger = _prepare(conll(), "train.txt", home)
    _equal(tagger, _rows(pack(conll()), "test.conll.gz", tagger))


def test_words_are_not_rows_of_other_networks(home: Path) -> None:
    data = _prepare(_intents(), "intents.json", home)
    assert _rows(conll(), "a.txt", data) == [{"text": conll().decode()}]
    with pytest.raises(DataError, match="has no column 'text'"):
        _rows(conll(), "a.conll", data)


def _pairs(label: str = ",same") -> bytes:
    images = {f"images/{row}.png": png(pixels) for row, pixels in enumerate(bars(20)[0])}
    rows = [f"{row % 20}.png,{(row + 1 + row // 20) % 20}.png" + (f",{row % 2}" if label else "") for row in range(40)]
    return make_zip({**images, "pairs.csv": make_csv(f"left,right{label}", rows)})


@pytest.mark.parametrize("label", ["", ",same"])
def test_zips_of_pairs_are_rows_of_two_images(label: str, home: Path) -> None:
    data = _prepare(_pairs(), "pairs.zip", home)
    file = read_batch(_pairs(label), "pairs.zip", data.preprocess.to_json())
    assert file.names[:2] == ["images/0.png images/1.png", "images/1.png images/2.png"]
    answers = file.annotated([{"prediction": "0"} for _ in file.rows])
    assert as_csv(file.rows, answers).splitlines()[1].startswith("images/0.png images/1.png,")
    assert [row.pop("file") for row in file.rows] == file.names
    _equal(data, [dict(row) for row in file.rows])


def test_folders_of_two_images_are_pairs(home: Path) -> None:
    data = _prepare(_pairs(), "pairs.zip", home)
    pictures = bars(20)[0]
    names = [f"{('same', 'different')[row // 2 % 2]}/{row // 4}/{'ab'[row % 2]}.png" for row in range(20)]
    content = make_zip({name: png(pixels) for name, pixels in zip(names, pictures, strict=True)})
    assert len(_rows(content, "pairs.zip", data)) == 10


def test_images_without_pairs_are_refused(home: Path) -> None:
    data = _prepare(_pairs(), "pairs.zip", home)
    content = make_zip({f"{row}.png": png(pixels) for row, pixels in enumerate(bars(4)[0])})
    with pytest.raises(
        DataError, match=r"'a\.zip' has no pairs of images; add a table whose rows name two images each"
    ):
        _rows(content, "a.zip", data)
