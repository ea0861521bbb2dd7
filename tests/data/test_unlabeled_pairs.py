"""Pairs of texts without a label, where annotators did not agree, as in SNLI and MultiNLI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from netloom.data import DataError
from netloom.data.paired_fields import PairedFieldsDataset
from netloom.data.uploads import add_file, fitting, open_source, read_upload, readers
from netloom.data.uploads.upload_meta import read_meta, write_meta
from netloom.document import DataChoice
from tests.data.crafted import make_csv

ROWS, UNLABELED = 60, 6
LABELS = ("neutral", "entailment", "contradiction")
COLUMNS = (
    "gold_label", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse", "sentence1",
    "sentence2", "captionID", "pairID", "label1", "label2",
)  # fmt: skip


def _record(row: int) -> dict[str, str]:
    label = "-" if row % 10 == 9 else LABELS[row % 3]
    first, second = f"A person with {row // 3} dogs runs", f"Somebody is outside, {row} times"
    values = (
        label, f"( {first} )", f"( {second} )", f"(ROOT {first})", f"(ROOT {second})", first, second,
        f"{row // 3}.jpg#1", f"{row}.jpg#1n", LABELS[row % 3], LABELS[(row + 1) % 3] if label == "-" else label,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _snli(name: str) -> bytes:
    records = [_record(row) for row in range(ROWS)]
    if name.endswith(".jsonl"):
        lines = [json.dumps({"annotator_labels": [record.pop("label1"), record.pop("label2")], **record})
                 for record in records]  # fmt: skip
        return "\n".join(lines).encode()
    return "\n".join(["\t".join(COLUMNS), *("\t".join(record.values()) for record in records)]).encode()


@pytest.mark.parametrize("name", ["snli_1.0_dev.jsonl", "snli_1.0_dev.txt"])
def test_sentences_of_snli_are_pairs_and_rows_without_agreement_have_no_label(name: str, home: Path) -> None:
    source = open_source(_snli(name), name)
    reader = fitting(source)[0]
    assert reader.name == "text_pairs"
    answers = reader.answered(source, {})
    chosen = {key: answers[key] for key in ("first", "second", "target", "unlabeled")}
    assert chosen == {"first": "sentence1", "second": "sentence2", "target": "gold_label", "unlabeled": True}
    assert reader.learned(source, answers).endswith(" 6 rows without a label are left out.")
    assert "label" not in reader.learned(source, {**answers, "unlabeled": False}).replace("gold_label", "")
    choice = DataChoice(dataset=add_file(_snli(name), name, home).name)
    raw = read_upload(choice, home)
    assert isinstance(raw, PairedFieldsDataset)
    assert (len(raw), raw.classes) == (ROWS - UNLABELED, ("contradiction", "entailment", "neutral"))
    assert raw.warnings == [
        "Left out 6 rows with '-' in 'gold_label', which have no label, as annotators did not agree."
    ]
    # The first of the rows left out is row 9
    assert raw.row(9) == {"first": "A person with 3 dogs runs", "second": "Somebody is outside, 10 times"}


def test_a_single_row_without_agreement_is_singular(home: Path) -> None:
    lines = _snli("a.txt").decode().splitlines()
    unlabeled = [line for line in lines if line.startswith("-")]
    content = "\n".join(line for line in lines if line not in unlabeled[1:]).encode()
    raw = read_upload(DataChoice(dataset=add_file(content, "a.txt", home).name), home)
    assert raw.warnings == ["Left out 1 row with '-' in 'gold_label', which has no label, as annotators did not agree."]


def test_a_document_chooses_whether_rows_without_agreement_are_a_class(home: Path) -> None:
    info = add_file(_snli("a.jsonl"), "a.jsonl", home)
    every = read_upload(DataChoice(dataset=info.name, options={"unlabeled": False}), home)
    assert (len(every), every.classes[0], every.warnings) == (ROWS, "-", [])
    other = read_upload(DataChoice(dataset=info.name, options={"target": "captionID", "task": "classification"}), home)
    assert len(other) == ROWS  # no label of this column is missing


def test_older_uploads_read_the_mark_as_a_class(home: Path) -> None:
    folder = home / "data" / add_file(_snli("a.jsonl"), "a.jsonl", home).name
    meta = read_meta(folder)
    del meta["options"]["unlabeled"]
    write_meta(folder, meta)
    raw = read_upload(DataChoice(dataset=folder.name), home)
    assert (len(raw), raw.classes) == (ROWS, ("-", "contradiction", "entailment", "neutral"))
    stored = {question.name: question.default for question in readers()["text_pairs"].stored_questions(
        folder, meta, meta["options"])}  # fmt: skip
    assert stored["unlabeled"] is False


@pytest.mark.parametrize(
    ("column", "labels", "asked"), [("relation", "+-", True), ("gold_label", "yn", False), ("relation", "01", False)]
)
def test_a_mark_is_a_class_elsewhere(column: str, labels: str, asked: bool, home: Path) -> None:
    rows = (f"one is {row},two is {row},{labels[row % 2]}" for row in range(ROWS))
    content = make_csv(f"s1,s2,{column}", rows)
    source = open_source(content, "a.csv")
    questions = {question.name: question for question in readers()["text_pairs"].questions(source, {})}
    assert ("unlabeled" in questions) == asked
    assert not asked or questions["unlabeled"].default is False
    raw = read_upload(DataChoice(dataset=add_file(content, "a.csv", home).name), home)
    assert (len(raw), raw.classes) == (ROWS, tuple(sorted(labels)))


def test_rows_without_any_label_are_refused(home: Path) -> None:
    content = make_csv("s1,s2,gold_label", (f"one is {row},two is {row},-" for row in range(ROWS)))
    with pytest.raises(DataError, match="Each row has '-' in 'gold_label', so there is nothing to predict"):
        add_file(content, "a.csv", home, kind="text_pairs")


@pytest.mark.parametrize(
    ("columns", "pair"),
    [
        ("question,question_2,same", ["question", "question_2"]),  # not derived: they are the only texts
        ("question1,question1_clean,question2,question2_clean,same", ["question1", "question2"]),
        ("title,title_english,body,body_english,same", None),  # texts that are not named as a pair
    ],
)
def test_texts_derived_from_others_are_not_the_pair(columns: str, pair: list[str] | None) -> None:
    texts = columns.split(",")[:-1]
    rows = (",".join([*(f"{text} is {row}" for text in texts), f"{row % 2}"]) for row in range(ROWS))
    source = open_source(make_csv(columns, rows), "a.csv")
    kinds = [reader.name for reader in fitting(source)]
    assert ("text_pairs" in kinds) == (pair is not None)
    if pair is not None:
        answers = readers()["text_pairs"].answered(source, {})
        assert [answers["first"], answers["second"]] == pair
