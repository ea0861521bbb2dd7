"""Words with tags, and intents, in each layout in which they are published; all are read alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netloom.core.errors import DataError
from netloom.data import Prepared, prepare
from netloom.data.uploads import add_file, fitting, open_source
from netloom.document import DataChoice

ROWS: list[tuple[list[str], list[str], str]] = [
    (["fly", "to", "New", "York"], ["O", "O", "B-city", "I-city"], "flight")
    if i % 3
    else (["rain", "in", ("Rome", "Oslo")[i % 2]], ["O", "O", "B-city"], "weather")
    for i in range(60)
]
PARALLEL = {
    "seq.in": "\n".join(" ".join(words) for words, _, _ in ROWS).encode(),
    "seq.out": "\n".join(" ".join(tags) for _, tags, _ in ROWS).encode(),
    "label": "\n".join(intent for _, _, intent in ROWS).encode(),
}


def columns(first: str = "", last: str = "") -> bytes:
    """Words and tags in columns; `first` and `last` are the lines around a sentence, with a place for its intent."""
    blocks = []
    for words, tags, intent in ROWS:
        lines = (f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True))
        blocks.append(first.format(intent) + "".join(lines) + last.format(intent))
    return "\n".join(blocks).encode()


def records(words: str, tags: str, intent: str, *, joined: bool) -> bytes:
    rows = [
        {words: " ".join(row[0]) if joined else row[0], tags: " ".join(row[1]) if joined else row[1], intent: row[2]}
        for row in ROWS
    ]
    return "\n".join(map(json.dumps, rows)).encode()


LAYOUTS: dict[str, Any] = {
    "comment": columns(first="# intent: {}\n"),
    "first line": columns(first="{}\n"),
    "last line": columns(last="{}\n"),
    "lists": records("tokens", "ner_tags", "intent", joined=False),
    "texts": records("text", "slots", "label", joined=True),
    "lists of Python": "\n".join(
        [
            "Sentence,POS,Tag,Intent",
            *(f'{" ".join(words)},"{["NN"] * len(words)}","{tags}",{intent}' for words, tags, intent in ROWS),
        ]
    ).encode(),
    "files": PARALLEL,
}


def added(content: Any, home: Path, options: dict[str, Any] | None = None) -> Prepared:
    info = add_file(content, "requests", home)
    return prepare(DataChoice(dataset=info.name, options=options or {}), home)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_intents_and_tags_are_read_alike(layout: str, home: Path) -> None:
    assert fitting(open_source(LAYOUTS[layout], "requests"))[0].name == "tagged"
    data = added(LAYOUTS[layout], home)
    assert data.schema.target.kind == "class_and_tags"
    assert data.schema.target.classes == ("flight", "weather")
    assert data.schema.target.tags == ("O", "B-city", "I-city")
    assert [data.raw.row(row)["text"] for row in (0, 1)] == [ROWS[0][0], ROWS[1][0]]
    assert [data.raw.classes[index] for index in data.raw.target] == [intent for _, _, intent in ROWS]
    assert data.raw.tags == [tags for _, tags, _ in ROWS]  # type: ignore[attr-defined]


def test_intents_can_be_left_out_in_a_project(home: Path) -> None:
    assert added(PARALLEL, home, {"intents": False}).schema.target.kind == "tags"


@pytest.mark.parametrize("pattern", ["{part}/{file}", "{part}.{file}"])
def test_parallel_files_of_parts_give_the_split(pattern: str, home: Path) -> None:
    files = {
        pattern.format(part=part, file=file): b"\n".join(content.splitlines()[rows])
        for part, rows in (("train", slice(0, 40)), ("valid", slice(40, 50)), ("test", slice(50, 60)))
        for file, content in PARALLEL.items()
    }
    data = added(files, home)
    assert [len(data.split[part]) for part in ("train", "validation", "test")] == [40, 10, 10]
    assert data.schema.target.kind == "class_and_tags"


def test_numbers_of_words_are_not_words(home: Path) -> None:
    """As in the files of GermEval and, with word classes, in CoNLL-U."""
    pairs = [list(enumerate(zip(words, tags, strict=True), 1)) for words, tags, _ in ROWS]
    germeval = "\n".join(
        "#\thttps://example.org/page [2009-10-17]\n"
        + "".join(f"{number}\t{word}\t{tag}\tO\n" for number, (word, tag) in sentence)
        for sentence in pairs
    )
    universal = "\n".join(
        "# sent_id = 1\n1-2\t_\t_\t_\n"
        + "".join(f"{number}\t{word}\t{word}\t{tag[0]}\n" for number, (word, tag) in sentence)
        for sentence in pairs
    )
    for text, column, tags in (
        (germeval, 3, [row[1] for row in ROWS]),
        (universal, 4, [[tag[0] for tag in row[1]] for row in ROWS]),
    ):
        info = add_file(text.encode(), "words.txt", home, kind="tagged", options={"column": column})
        data = prepare(DataChoice(dataset=info.name), home)
        assert [data.raw.row(row)["text"] for row in range(len(ROWS))] == [words for words, _, _ in ROWS]
        assert data.raw.tags == tags  # type: ignore[attr-defined]


def test_json_with_a_list_per_part_gives_the_split(home: Path) -> None:
    rows = [{"words": words, "tags": tags, "intent": intent} for words, tags, intent in ROWS]
    data = added(json.dumps({"train": rows[:45], "test": rows[45:]}).encode(), home)
    assert len(data.split["test"]) == 15
    assert data.schema.target.kind == "class_and_tags"


def test_words_and_tags_without_intents_are_tags(home: Path) -> None:
    assert added({name: PARALLEL[name] for name in ("seq.in", "seq.out")}, home).schema.target.kind == "tags"


def test_sentences_without_an_intent_are_left_out_with_a_note(home: Path) -> None:
    rows = LAYOUTS["comment"].replace(b"# intent: weather\n", b"", 5)
    data = added(rows, home)
    assert len(data.raw) == 55
    assert "Left out 5 sentences without an intent." in data.raw.warnings


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({**PARALLEL, "seq.out": PARALLEL["seq.out"].replace(b"O O B-city I-city", b"O O B-city", 1)},
         r"Line 2 of 'seq.in' has 4 words, and that of 'seq.out' has 3 tags"),
        ({**PARALLEL, "label": PARALLEL["label"].rpartition(b"\n")[0]},
         r"need equally many lines, received 'seq.in' 60, 'seq.out' 60, 'label' 59"),
    ],
)  # fmt: skip
def test_files_that_do_not_match_are_rejected(files: dict[str, bytes], message: str, home: Path) -> None:
    with pytest.raises(DataError, match=message):
        add_file(files, "requests", home, kind="tagged")


def test_missing_tag_of_a_word_is_not_an_intent(home: Path) -> None:
    content = columns().replace(b"York I-city\n", b"York\n", 1)
    with pytest.raises(DataError, match="Line 8 of 'requests' has no tag after its word: 'York'"):
        add_file(content, "requests", home)


def test_records_without_matching_tags_are_a_table() -> None:
    rows = [{"text": "one two three", "tags": "a;b", "label": "xy"[i % 2]} for i in range(30)]
    assert fitting(open_source("\n".join(map(json.dumps, rows)).encode(), "x.jsonl"))[0].name == "table"
