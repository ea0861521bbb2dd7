"""Tagged word files: each word is one token, and entities are counted on words."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from streamlit.testing.v1 import AppTest

from netloom.data import Prepared, add_file, prepare
from netloom.document import DataChoice, Training
from netloom.explain.concepts.concept_definition import ConceptDefinition, concept_rows
from netloom.explain.core.examples import labels, read_example
from netloom.modalities.encoding.rows import encode_rows
from netloom.modalities.encoding.tags import IGNORE
from netloom.modalities.encoding.tokenization import UNKNOWN
from netloom.runs import TrainedRun, fit_here, predict
from netloom.training import OBJECTIVES
from tests.data.crafted import make_zip
from tests.networks import chain

# Words that the plain-text tokenizer splits, among words that it does not.
ODD = (
    "@paulwalk",
    "http://bit.ly/a-b?c=1",
    ":-)",
    "I-95",
    "don't",
    "\U0001f600\U0001f600",
    "U.S.",
    "’s",
    "#a_b",
    "\u200b",
)
PLAIN = ("From", "Green", "in", "the", "York", "it")
TAGS = ("O", "O", "O", "B-place", "I-place", "B-person", "I-person")
Sentence = list[tuple[str, str]]


@cache
def sentences() -> dict[str, list[Sentence]]:
    """Sentences by file; test sentences are longer than any training sentence."""
    random = np.random.default_rng(8)

    def written(most: int) -> Sentence:
        length = int(random.integers(1, most))
        return list(zip(random.choice([*ODD, *PLAIN], length), random.choice(TAGS, length), strict=True))

    return {name: [written(most) for _ in range(40)] for name, most in (("train", 9), ("dev", 9), ("test", 16))}


def files() -> bytes:
    blocks = {
        name: "\n\n".join("\n".join(f"{word}\t{tag}" for word, tag in sentence) for sentence in file_sentences) + "\n"
        for name, file_sentences in sentences().items()
    }
    return make_zip({f"{name}.conll": text.encode() for name, text in blocks.items()})


def conlleval(tags: list[str]) -> set[tuple[int, int, str]]:
    """Entities as CoNLL's scorer defines them: chunks start and end where one of two adjacent tags says so."""
    entities, start = set(), 0
    padded = [("O", ""), *[(tag[0], tag[2:]) for tag in tags], ("O", "")]
    for index, ((last, kind), (prefix, other)) in enumerate(pairwise(padded)):
        if last != "O" and (prefix in "OB" or kind != other):
            entities.add((start, index - 1, kind))
        if prefix == "B" or (prefix == "I" and (last == "O" or kind != other)):
            start = index
    return entities


@pytest.fixture
def data(home: Path) -> Prepared:
    return prepare(DataChoice(dataset=add_file(files(), "words.zip", home).name), home)


def in_file(data: Prepared, split: str) -> dict[int, Sentence]:
    """The sentences of a split by row, in file order."""
    name = {"train": "train", "validation": "dev", "test": "test"}[split]
    return dict(zip(sorted(data.split[split].tolist()), _with_begin_tags(sentences()[name]), strict=True))


def _with_begin_tags(tagged_sentences: list[Sentence]) -> list[Sentence]:
    """Turns each I- tag that continues nothing into a B- tag, as the reader reports."""
    corrected = []
    for sentence in tagged_sentences:
        starts = {(first, kind) for first, _, kind in conlleval([tag for _, tag in sentence])}
        corrected.append(
            [
                (word, f"B-{tag[2:]}" if (index, tag[2:]) in starts else tag)
                for index, (word, tag) in enumerate(sentence)
            ]
        )
    return corrected


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_conll_words_are_tokens_aligned_with_tags(data: Prepared, split: str) -> None:
    vocabulary = data.token_field("text").vocabulary
    training_words = {word.lower() for sentence in sentences()["train"] for word, _ in sentence}
    assert set(vocabulary[2:]) == training_words
    for row, sentence in in_file(data, split).items():
        words, tags = [word.lower() for word, _ in sentence], [tag for _, tag in sentence]
        ids = data.inputs["text"][row].tolist()
        assert [vocabulary[number] for number in ids[: len(words)]] == words
        assert set(ids[len(words) :]) <= {0}  # no word is truncated, although no training sentence is as long
        target = data.target[row].tolist()
        assert [data.schema.target.classes[number] for number in target if number != IGNORE] == tags
        example = data.example(row)
        assert (list(example.tokens), list(example.tags)) == (words, tags)


def test_entity_f1_matches_conlleval(data: Prepared) -> None:
    rows, classes = data.split["test"], data.schema.target.classes
    true = in_file(data, "test")
    noise = torch.from_numpy(np.random.default_rng(9).normal(size=(len(rows), data.target.shape[1], len(classes))))
    output = noise + 1.5 * torch.nn.functional.one_hot(data.target[rows].clamp(min=0), len(classes))
    pairs = []
    for line, row in zip(output.argmax(2).tolist(), rows.tolist(), strict=True):
        tags = [tag for _, tag in true[row]]
        pairs.append((conlleval(tags), conlleval([classes[number] for number in line[: len(tags)]])))
    right = sum(len(first & second) for first, second in pairs)
    expected = 2 * right / sum(len(first) + len(second) for first, second in pairs)
    assert 0.2 < expected < 0.8
    tagging = OBJECTIVES["tagging"].configured(Training(), data, "cpu")
    assert tagging.evaluate(output, data, rows, "test").metrics["entity_f1"] == pytest.approx(expected)
    sums = tagging.scores(output, data.target[rows])
    means = {name: float(value) / sums.count for name, value in sums.sums.items()}
    assert tagging.finish(means)["entity_f1"] == pytest.approx(expected)


def trained(data: Prepared, dataset: str, home: Path) -> TrainedRun:
    (field,) = data.schema.inputs
    project = chain(
        ("Input", field.parameters()),
        ("Embedding", {"vocabulary": field.vocabulary, "dim": 4}),
        ("Linear", {"units": len(data.schema.target.classes)}),
        data=DataChoice(dataset=dataset),
        training=Training(objective="tagging", epochs=1, device="cpu"),
    )
    return fit_here(project, home)


def test_predictions_and_explanations_are_per_word(home: Path) -> None:
    dataset = add_file(files(), "words.zip", home).name
    data = prepare(DataChoice(dataset=dataset), home)
    run = trained(data, dataset, home)
    row, sentence = max(in_file(data, "test").items(), key=lambda item: len(item[1]))
    words = [word for word, _ in sentence]
    by_row, by_words, string = predict(run, [data.row(row), {"text": words}, {"text": "@paulwalk is"}])
    assert len(by_row["prediction"]) == len(words)
    assert by_words == by_row
    assert len(string["prediction"]) == 3  # a string is tokenized like any text: @, paulwalk, is
    inputs, example = read_example(data, {"text": words})
    assert torch.equal(inputs["text"][0], data.inputs["text"][row])
    assert example.tokens == data.example(row).tokens
    assert [label for label in labels(data, example)["text"] if label] == [word.lower() for word in words]
    plain = next(word for word in words if word in PLAIN)
    assert row in concept_rows(data, ConceptDefinition("word", text=plain))
    assert row not in concept_rows(data, ConceptDefinition("word", text="elsewhere"))


def test_older_tagged_upload_keeps_its_tokenization(home: Path) -> None:
    info = add_file(files(), "words.zip", home)
    old = pd.DataFrame({"text": ["@paulwalk saw I-95"] * 30, "tags": ["O O O B-x I-x I-x"] * 30}).astype("string")
    old.to_parquet(home / "data" / info.name / "tagged.parquet")
    data = prepare(DataChoice(dataset=info.name), home)
    assert data.row(0) == {"text": "@paulwalk saw I-95"}
    assert data.example(0).tokens == ("@", "paulwalk", "saw", "i", "-", "95")
    assert data.inputs["text"].shape == (30, 6)
    assert data.target_text(0) == "O O O B-x I-x I-x"


def test_word_lists_are_tokens_or_joined_for_other_tokenizers() -> None:
    field: dict[str, Any] = {"name": "text", "encoding": "words", "vocabulary": ["", "�", "@a"], "length": 4}
    assert encode_rows({"fields": [field]}, [{"text": ["@A", "", "b"]}])["text"].tolist() == [[2, UNKNOWN, UNKNOWN, 0]]
    letters = {**field, "encoding": "letters", "vocabulary": ["", "�", "@", "a", " "]}
    assert encode_rows({"fields": [letters]}, [{"text": ["@a", "a"]}])["text"].tolist() == [[2, 3, 4, 3]]


def form() -> None:
    """The text box, run by itself in Streamlit."""
    import streamlit as st

    from netloom.ui.components.examples.custom_example import typed

    st.session_state.found = [typed(["@a", "b c", "."], "given"), typed("@a b", "plain")]


@pytest.mark.usefixtures("component_manifests")
def test_text_box_preserves_word_lists() -> None:
    app = AppTest.from_function(form, default_timeout=60).run()
    assert [box.value for box in app.text_area] == ["@a b c .", "@a b"]
    assert app.session_state.found == [["@a", "b c", "."], "@a b"]  # unchanged without input
    app.text_area[0].set_value("@new b .").run()
    assert app.session_state.found == [["@new", "b", "."], "@a b"]
